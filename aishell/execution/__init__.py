"""Inspect, approve, execute, checkpoint, recover."""

"""Agents turn a task and an inventory into a plan: pure, no I/O."""

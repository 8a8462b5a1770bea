"""Restoring a backup: beside its database, in its place, or into scratch for a test."""

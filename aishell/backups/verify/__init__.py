"""Verifying that a backup is complete and readable."""

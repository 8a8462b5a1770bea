"""A backup is read from beginning to end."""

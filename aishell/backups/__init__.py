"""Backups: made, checked, compared, kept and restored. What is sent to a server or run as a program stands in `tools/`."""

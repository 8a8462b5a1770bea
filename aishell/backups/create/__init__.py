"""Making a backup, on any engine."""

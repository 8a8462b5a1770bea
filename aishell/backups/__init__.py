"""Backups: made, verified, restored and pruned. Statements sent to servers and programs that are run are in `tools/`."""

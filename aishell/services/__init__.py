"""Services besides runs: finding log tables, checking targets, handling backups without a target."""

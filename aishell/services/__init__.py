"""What a site is asked beside runs: what looks like a log, what a target lacks, what backups there are without a target."""

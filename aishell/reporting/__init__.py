"""What a run found and did, for people."""

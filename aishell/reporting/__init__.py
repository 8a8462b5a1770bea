"""Reports of what runs found and did, for people."""

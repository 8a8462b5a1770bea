"""The log clean-up agent: which tables are logs, what of them is old, how it goes, and what an archive brings back."""

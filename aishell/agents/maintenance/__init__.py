"""The maintenance agent: statistics, vacuum, indexes, rewrites, the check for damage."""

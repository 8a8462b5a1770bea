"""The maintenance agent: statistics, vacuum, indexes, rewrites and the corruption check."""

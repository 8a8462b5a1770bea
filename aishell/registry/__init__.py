"""The tool registry: files in tools/ become callable, checked operations."""

"""The ways a tool runs, each written once. What a tool is stands in `registry`."""

"""What a daemon serves: approvals and holds on a unix socket; health and metrics for monitors."""

"""Notifications: rules, the outbox in `state.db`, and its delivery (docs/decisions/0022-notifications.md)."""

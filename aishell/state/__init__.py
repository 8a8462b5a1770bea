"""state.db: runs, steps, checkpoints, approvals, schedules, the audit chain, locks.

Every change is a transaction that also writes its event to the audit log. This package knows no agent, tool or backup.
"""

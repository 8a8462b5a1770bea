"""state.db: runs, steps, checkpoints, approvals, the audit chain, locks."""

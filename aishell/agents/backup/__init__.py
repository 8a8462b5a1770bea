"""The backup agents: a backup, its restore, and the test that one comes back."""

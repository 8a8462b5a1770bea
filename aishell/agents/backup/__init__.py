"""The backup agents: backup, restore and restore test."""

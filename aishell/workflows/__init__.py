"""Workflows: stages over agents and targets as values, the decisions on them, and the processes that carry them out."""

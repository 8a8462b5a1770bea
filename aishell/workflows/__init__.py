"""Stages over agents and targets: values and decisions, and the processes that bring them about."""

"""Agents by name: the built-in ones, and those an entry point brings."""

from __future__ import annotations

from importlib.metadata import entry_points

from aishell.agents.base import Agent
from aishell.agents.maintenance import MaintenanceAgent
from aishell.errors import UnknownNameError, UsageError


def load_agent(name: str) -> Agent:
    """An agent by its type, `-` or `_` alike. Raises UnknownNameError."""
    wanted = name.replace("-", "_")
    if wanted == MaintenanceAgent.type:
        return MaintenanceAgent()
    points = {point.name: point for point in entry_points(group="aishell.agents")}
    if wanted not in points:
        raise UnknownNameError("agent", name, {MaintenanceAgent.type, *points})
    agent = points[wanted].load()()
    if not isinstance(agent, Agent):
        raise UsageError(f"the entry point {wanted!r} of aishell.agents is no Agent")
    return agent

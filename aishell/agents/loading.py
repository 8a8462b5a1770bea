"""Agents by name: the built-in ones, and those an entry point brings."""

from __future__ import annotations

from importlib.metadata import entry_points

from aishell.agents.archive_load import ArchiveLoadAgent
from aishell.agents.backup import BackupAgent
from aishell.agents.backup_restore import BackupRestoreAgent
from aishell.agents.base import Agent
from aishell.agents.log_cleanup import LogCleanupAgent
from aishell.agents.maintenance import MaintenanceAgent
from aishell.errors import UnknownNameError, UsageError

BUILT_IN: dict[str, type[Agent]] = {
    agent.type: agent
    for agent in (MaintenanceAgent, BackupAgent, BackupRestoreAgent, LogCleanupAgent, ArchiveLoadAgent)
}


def load_agent(name: str) -> Agent:
    """An agent by its type, `-` or `_` alike. Raises UnknownNameError."""
    wanted = name.replace("-", "_")
    if wanted in BUILT_IN:
        return BUILT_IN[wanted]()
    points = {point.name: point for point in entry_points(group="aishell.agents")}
    if wanted not in points:
        raise UnknownNameError("agent", name, {*BUILT_IN, *points})
    agent = points[wanted].load()()
    if not isinstance(agent, Agent):
        raise UsageError(f"the entry point {wanted!r} of aishell.agents is no Agent")
    return agent

"""Load agents by name: the built-in ones, and those that an installed package or the site's `extensions/` declares."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aishell.agents.base import Agent
from aishell.errors import UnknownNameError, UsageError
from aishell.plugins import entry_points, load, refuse_taken
from aishell.telemetry.tracebacks import unexpected

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "aishell.agents"
#: Agent -> its module and class; only the module that a task needs is imported.
BUILT_IN = {
    "maintenance": ("aishell.agents.maintenance.agent", "MaintenanceAgent"),
    "backup": ("aishell.agents.backup.agent", "BackupAgent"),
    "backup_restore": ("aishell.agents.backup.restore", "BackupRestoreAgent"),
    "log_cleanup": ("aishell.agents.log_cleanup.agent", "LogCleanupAgent"),
    "archive_load": ("aishell.agents.log_cleanup.archive_load", "ArchiveLoadAgent"),
    "restore_test": ("aishell.agents.backup.restore_test", "RestoreTestAgent"),
    "residue": ("aishell.agents.residue", "ResidueAgent"),
    "one_tool": ("aishell.agents.one_tool", "OneToolAgent"),
    "undo": ("aishell.agents.undo", "UndoAgent"),
}

#: The agents that `aishell run` lists, with their descriptions; others have commands of their own.
SHOWN = {
    "maintenance": "Statistics, vacuum, index rebuilds, corruption check and report.",
    "backup": "Back up a database, and verify that the backup can be read.",
    "log_cleanup": "Delete the rows of log tables that are older than their retention.",
    "restore_test": "Restore the backup that has gone longest without a restore test, and compare it.",
    "residue": "Remove what killed and abandoned runs left behind.",
}


def agent_types() -> set[str]:
    """Return every type of agent."""
    return {*BUILT_IN, *brought()}


def brought() -> dict[str, EntryPoint]:
    """Return the agents that are not built in. Raises SettingsError for one with the name of a built-in agent."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    for name in points.keys() & BUILT_IN.keys():
        refuse_taken(GROUP, name, "an agent of that name comes with aishell")
    return points


def load_agent(name: str) -> Agent:
    """Return an agent by its type, written with `-` or `_`. Raises UnknownNameError."""
    wanted = name.replace("-", "_")
    if wanted in BUILT_IN:
        module, name = BUILT_IN[wanted]
        built_in: Agent = getattr(import_module(module), name)()
        return built_in
    points = brought()
    if wanted not in points:
        raise UnknownNameError("agent", name, {*BUILT_IN, *points})
    agent = _made(load(points[wanted], "agent"), wanted)
    if not isinstance(agent, Agent):
        raise UsageError(f"the entry point {wanted!r} of aishell.agents is not a subclass of Agent")
    return agent


def _made(kind: Any, name: str) -> Any:
    try:
        return kind()
    except (Exception, SystemExit) as error:  # third-party code
        raise unexpected(error, f"the agent {name!r}") from error

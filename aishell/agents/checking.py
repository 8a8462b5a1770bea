"""Check the tasks of agents in configuration files when the file is read, rather than when the task runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from aishell.agents.base import COMMON_INPUTS
from aishell.agents.loading import BUILT_IN, load_agent
from aishell.commands import command
from aishell.errors import UnknownNameError, UsageError
from aishell.models import Task
from aishell.settings.validation import faults, wrong
from aishell.settings.yamlfile import Document

#: Agents that cannot be scheduled, since a person names the backup, archive, run or tool that they work on.
_BY_HAND = frozenset({"backup_restore", "archive_load", "undo", "one_tool"})


def check_task(
    document: Document,
    at: tuple[object, ...],
    data: Mapping[str, Any],
    agents: Callable[[], Collection[str]],
    later: Callable[[Any], bool] = lambda value: False,
) -> str:
    """Return the type of the agent that `data` names, and check its `input`. `later`: whether a value is known only at run time.

    Raises SettingsError for an unknown agent, and for an input that it does not take.
    """
    agent = str(data["agent"]).replace("-", "_")
    known = set(BUILT_IN) if agent in BUILT_IN else set(agents())
    if agent not in known - _BY_HAND:
        near = UnknownNameError("agent", agent, known - _BY_HAND)
        raise wrong(document, *at, "agent", message=near.message, hint=near.hint)
    taken = {**COMMON_INPUTS, **load_agent(agent).inputs}
    for key, value in (data.get("input") or {}).items():
        if key in taken and later(value):
            continue
        for fault in faults(value, taken.get(str(key), {}), {}, (*at, "input", key)):
            raise wrong(document, *fault.at, message=fault.message, hint=fault.hint)
        try:
            load_agent(agent).check_inputs(Task(agent, "", {str(key): value}))
        except UsageError as error:
            hint = error.hint or f"`{command('run', agent.replace('_', '-'), '--help')}` lists what it takes"
            raise wrong(document, *at, "input", key, message=error.message, hint=hint) from error
    return agent

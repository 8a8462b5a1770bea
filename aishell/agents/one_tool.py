"""The agent of `aishell tools run`: run one tool by itself, through every gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aishell.agents.base import Agent, Draft, defaults_of, is_excluded
from aishell.agents.summary import left_over
from aishell.commands import command
from aishell.errors import ParameterError, UsageError
from aishell.models import CAPABILITIES, AgentConfig, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.estimates import estimate
from aishell.planning.variables import named_tables
from aishell.settings.schemas import TEXT

if TYPE_CHECKING:
    from aishell.registry.tool import Tool


class OneToolAgent(Agent):
    """A plan of one step, which a person named; its output is the run's."""

    type: ClassVar[str] = "one_tool"
    by_hand: ClassVar[bool] = True
    stands_for_all: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = defaults_of("one_tool", " ".join(CAPABILITIES))
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "tool": TEXT,
        "params": {"type": "object"},
        "exclude": {"type": "array", "items": {"type": "string"}},
    }

    def tables(self, task: Task) -> Sequence[str]:
        names = [".".join(key) for key in _named(task)]
        return () if any(set(name) & set("*?[") for name in names) else names  # such a name must not be read as a glob

    def check_tool(self, tool: Tool) -> None:
        """Refuse tools that delete rows or load archives: only an agent's plan finds the other tables and their order."""
        if tool.deletes or tool.archives:
            raise UsageError(
                f"{tool.name} cannot be run alone: it may delete rows of other tables, which only an agent's plan finds",
                hint=f"`{command('run', 'log-cleanup', '--help')}`, `{command('archives', 'load', '--help')}`",
            )

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        tool, named = task.input_data["tool"], _named(task)
        for schema, table in named:
            if is_excluded(schema, table, task.input_data.get("exclude", ())):
                raise ParameterError(
                    f"the table {schema}.{table} is excluded", hint="see `exclude` in the files of config/agents"
                )
        sizes = [one.bytes for one in inventory.tables if one.key in named]
        work = sum(size or 0 for size in sizes) if sizes else None
        cost = estimate(inventory, tool, ".".join(named[0]) if len(named) == 1 else "", work)
        params = task.input_data.get("params", {})
        step = Step(id=tool, tool=tool, params=params, rationale="The run is for this tool.", estimate=cost)
        return Draft((step,))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        done = next((result for result in results if result.status is StepStatus.DONE), None)
        output = dict(done.output or {}) if done is not None else None
        sentences = [f"The tool {task.input_data['tool']} was run."] if done is not None else []
        return {"tool": task.input_data["tool"], "output": output}, " ".join([*sentences, *left_over(results)])


def _named(task: Task) -> list[tuple[str, str]]:
    """Return the tables that the tool is called with."""
    return named_tables(task.input_data.get("params", {}))

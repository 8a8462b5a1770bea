"""The agent of `aishell tools run`: one tool, as a run of its own, through every gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, is_excluded
from aishell.agents.summary import left_over
from aishell.errors import ParameterError
from aishell.models import CAPABILITIES, AgentConfig, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.estimates import estimate


class OneToolAgent(Agent):
    """A plan of one step, which a person named; its output is the run's."""

    type: ClassVar[str] = "one_tool"
    by_hand: ClassVar[bool] = True
    stands_for_all: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = AgentConfig(
        agent_id="one_tool_agent", agent_type="one_tool", capabilities=frozenset(CAPABILITIES)
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "tool": {"type": "string", "minLength": 1},
        "params": {"type": "object"},
        "exclude": {"type": "array", "items": {"type": "string"}},
    }

    def tables(self, task: Task) -> Sequence[str]:
        name = _table(task)
        return (name,) if name is not None and not set(name) & set("*?[") else ()  # globs elsewhere, a name here

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        tool, params = task.input_data["tool"], task.input_data.get("params", {})
        if _table(task) and is_excluded(params["schema"], params["table"], task.input_data.get("exclude", ())):
            raise ParameterError(
                f"{_table(task)} is excluded from what agents do here", hint="see `exclude` in config/agents/*.yaml"
            )
        size = next((one.bytes for one in inventory.tables if f"{one.schema}.{one.table}" == _table(task)), None)
        cost = estimate(inventory, tool, _table(task) or "", size)
        return Draft((Step(id=tool, tool=tool, params=params, rationale="Named by who began the run.", estimate=cost),))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        done = next((result for result in results if result.status is StepStatus.DONE), None)
        output = dict(done.output or {}) if done is not None else None
        told = [f"The tool {task.input_data['tool']} was run."] if done is not None else []
        return {"tool": task.input_data["tool"], "output": output}, " ".join([*told, *left_over(results)])


def _table(task: Task) -> str | None:
    """The table that the tool is called with, `schema.table`."""
    params = task.input_data.get("params", {})
    return f"{params['schema']}.{params['table']}" if params.keys() >= {"schema", "table"} else None

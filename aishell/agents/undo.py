"""The undo agent: undo the steps of a run in a separate run (`aishell runs undo`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, defaults_of
from aishell.commands import command
from aishell.models import CAPABILITIES, AgentConfig, Estimate, Inventory, Step, StepResult, StepStatus, Task
from aishell.settings.schemas import TEXT


class UndoAgent(Agent):
    """Runs the given steps, which undo those of the run, the last one first."""

    type: ClassVar[str] = "undo"
    by_hand: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = defaults_of("undo", " ".join(CAPABILITIES))
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "run": TEXT,
        "steps": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "left": {"type": "array", "items": {"type": "string"}},
        "archives": {"type": "array", "items": {"type": "string"}},
    }

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        steps: list[Step] = []
        for number, one in enumerate(task.input_data["steps"]):
            found = tuple(one["found"]) if one["found"] is not None else None
            needs = (steps[-1].id,) if steps else ()
            given = {**one, "estimate": Estimate(**one["estimate"]), "found": found, "index": number, "needs": needs}
            steps.append(Step(**given))
        left = (f"{name} cannot be undone and stays" for name in task.input_data.get("left", ()))
        loads = (command("archives", "load", name) for name in task.input_data.get("archives", ()))
        return Draft(tuple(steps), (*left, *(f"rows that stay deleted are put back by {load}" for load in loads)))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        done = [r.step_id.removeprefix("undo_") for r in results if r.status is StepStatus.DONE]
        run = str(task.input_data["run"])[:8]
        text = f"Undone in the run {run}: {', '.join(done)}." if done else f"Nothing of the run {run} was undone."
        return {"actions_count": len(done), "rolled_back": done}, text

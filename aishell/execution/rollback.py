"""Rolling a run back: whether it is due, which steps are undone, and which cannot be. Pure: looks at results only."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from aishell.codec import unpack
from aishell.models import Cause, Plan, Step, StepResult, StepStatus
from aishell.planning.undoing import afterwards
from aishell.registry.tool import UNDO, Tool
from aishell.registry.undo import undoing
from aishell.state.connection import Record

Results = Mapping[str, StepResult]
_REFUSED = {StepStatus.FAILED: "failed", StepStatus.REJECTED: "was refused"}


@dataclass(frozen=True)
class Rollback:
    """A run that is rolled back. `left`: {step_id, reason} of each finished step that stays as it is."""

    undone: tuple[str, ...]
    left: tuple[Mapping[str, Any], ...]


def rolling(plan: Plan, results: Results) -> bool:
    """Whether a step has failed whose failure rolls the run back."""
    return any(
        step.on_error == "rollback" and step.id in results and results[step.id].status is StepStatus.FAILED
        for step in plan.steps
    )


def hindered(plan: Plan, step: Step, results: Results, tool: Tool) -> tuple[Cause, str] | None:
    """Why an undo step must not start; None when it is due."""
    if not rolling(plan, results):
        return Cause.CONDITION, "nothing is rolled back"
    forward = results[str(step.undoes)]
    if forward.status is not StepStatus.DONE and not (forward.status is StepStatus.FAILED and forward.attempts):
        return Cause.CONDITION, f"{step.undoes} did nothing"
    if forward.status is StepStatus.FAILED and not tool.undoing:
        return Cause.CONDITION, f"{step.undoes} was not finished: see what it has done"
    for other in plan.steps:  # steps are undone in order, and none after one that could not be
        if other.undoes and other.id in results and (refused := _REFUSED.get(results[other.id].status)):
            return Cause.NEED, f"needs step {other.id!r}, which {refused}"
    return None


def outcome(plan: Plan, results: Results, pick: Callable[[str], Tool]) -> Rollback | None:
    """Which changes were undone and which were not; None where nothing was rolled back."""
    if not rolling(plan, results):
        return None
    undos = {str(step.undoes): results.get(step.id) for step in plan.steps if step.undoes}
    undone, left = list[str](), list[Mapping[str, Any]]()
    for step in plan.steps:
        if step.undoes or not _acted(step, results, step.id in undos) or pick(step.tool).read_only:
            continue
        undo = undos.get(step.id)
        if undo is not None and undo.status is StepStatus.DONE:
            undone.append(step.id)
        elif undo is None or not _idle(undo):
            left.append({"step_id": step.id, "reason": _why(undo) if step.id in undos else "it cannot be undone"})
    return Rollback(tuple(undone), tuple(left))


def begun(plan: Plan, results: Results) -> bool:
    """Whether an undo step has been tried: from then on the run can only continue its rollback."""
    undos = (results.get(step.id) for step in plan.steps if step.undoes)
    tried = any(undo is not None and (undo.attempts or undo.status in _REFUSED) for undo in undos)
    return tried and rolling(plan, results)


def over(plan: Plan, results: Results) -> bool:
    """Whether a rollback is complete: everything that could be undone is."""
    ways = [(plan.step(str(step.undoes)), results.get(step.id)) for step in plan.steps if step.undoes]
    undos = [undo for step, undo in ways if _acted(step, results, True)]
    done = [undo for undo in undos if undo is not None and undo.status is StepStatus.DONE]
    idle = [undo for undo in undos if undo is not None and _idle(undo)]
    return rolling(plan, results) and bool(done) and len(done) + len(idle) == len(undos)


def way_back(plan: Plan, rows: Sequence[Record], tools: Mapping[str, Tool]) -> tuple[list[Step], list[str]]:
    """The steps that undo a run's finished ones, the last one first; and the ids of those that cannot be undone.

    `rows`: the run's steps as recorded; `tools`: those that it ran with, by name.
    """
    steps, left = list[Step](), list[str]()
    taken = {plan.steps[r.step_index].undoes for r in rows if r.status == StepStatus.DONE}
    for row in reversed(rows):
        step = plan.steps[row.step_index]
        tool = tools.get(step.tool) or undoing(tools[step.tool.removeprefix(UNDO)])
        if row.status != StepStatus.DONE or tool.read_only or step.undoes or step.id in taken:
            continue
        if tool.undo is None:
            left.append(step.id)
            continue
        values = (json.loads(row.params), json.loads(row.output or "{}"))
        found = unpack(json.loads(row.found)) if row.found else [{}]
        steps.append(afterwards(step, tool.undo, *values, found, plan.target_identity))
    return steps, left


def archives(rows: Sequence[Record], left: Collection[str]) -> list[str]:
    """The archives of deletions that cannot be undone: loading them brings the rows back."""
    given = (json.loads(row.params) for row in rows if row.step_id in left and row.params)
    return [PurePath(params["archive"]).name for params in given if params.get("archive")]


def sentence(rollback: Rollback) -> str:
    """A rollback as text."""
    text = f"Rolled back: {', '.join(rollback.undone)}." if rollback.undone else "Nothing was rolled back."
    stays = "; ".join(f"{one['step_id']} ({one['reason']})" for one in rollback.left)
    return text + (f" Not rolled back: {stays}." if stays else "")


def _acted(step: Step, results: Results, half: bool) -> bool:
    """Whether a step has changed something; `half`: or may have, since it failed halfway."""
    result = results.get(step.id)
    if result is None:
        return False
    return result.status is StepStatus.DONE or (half and result.status is StepStatus.FAILED and bool(result.attempts))


def _idle(undo: StepResult) -> bool:
    """Whether there was nothing to undo: the objects were unchanged."""
    return undo.status is StepStatus.SKIPPED and undo.output is not None


def _why(undo: StepResult | None) -> str:
    return (undo.error or undo.reason if undo else None) or "it has not been undone yet"

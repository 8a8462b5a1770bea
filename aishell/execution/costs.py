"""What a step took, as the next plan's estimates learn it. Pure."""

from __future__ import annotations

from typing import Any

from aishell.models import Step, StepResult, StepStatus, now
from aishell.planning.backlog import counted
from aishell.planning.estimates import label_of


def cost_of(target: str, step: Step, result: StepResult) -> dict[str, Any] | None:
    """A row of `step_costs`; None where the time is not that of known work: it failed, was resumed, or left something uncounted.

    What a window has cut short counts by its rows: work that never fits would else be expected wrongly for ever.
    """
    if result.status is not StepStatus.DONE or result.attempts != 1 or result.execution_time <= 0:
        return None
    work, unit = step.estimate.work, step.estimate.unit
    rows = counted(result)  # what the plan expected is of no interest then
    if result.deferred and not rows:
        return None
    if rows is not None:
        work, unit = rows, "rows"
    return {
        "target": target,
        "tool": step.tool,
        "object": label_of(result.params),
        "at": now(),
        "seconds": result.execution_time,
        "work": work,
        "unit": unit,
    }

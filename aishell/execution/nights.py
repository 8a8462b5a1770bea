"""How a run found the backlog of its agent on its target and left it, as figures and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aishell.execution.run import Run
from aishell.models import Cause, StepResult
from aishell.planning.backlog import sentences
from aishell.state.backlog import Backlog


def deferred(result: StepResult) -> bool:
    """Whether a step, or some of its objects, was left for another night."""
    return result.cause is Cause.DEFERRED or bool(result.deferred)


def sentence(run: Run) -> str:
    """The same in words alone, of what is through by now; empty where there is nothing to say."""
    found = told(run, list(run.results.values()))
    return " ".join(found[1]) if found is not None else ""


def told(run: Run, results: Sequence[StepResult]) -> tuple[dict[str, Any], list[str]] | None:
    """`output_data.backlog`, and whether it grows or shrinks; None for a run that an earlier release began.

    `results`: what is through by now. It is written down as the end of the run's night, until there is a later one.
    """
    worked = round(sum(result.execution_time for result in results), 3)
    night = Backlog(run.runs.store).ended(run.id, worked, cut=any(deferred(result) for result in results))
    if night is None:
        return None
    figures = {
        "items": night.after.items,
        "seconds": night.after.seconds,
        "unknown": night.after.unknown,
        "oldest": night.after.oldest,
        "items_before": night.before.items,
        "seconds_before": night.before.seconds,
        "window_seconds": None if night.window is None else round(night.window, 3),
        "window_too_small": bool(night.short),
    }
    return figures, sentences(night.before, night.after, night.short, night.window)

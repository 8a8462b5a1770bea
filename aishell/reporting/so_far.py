"""The progress of a step that has not ended, from `state.db` alone."""

from __future__ import annotations

from typing import Any

from aishell.models import StepStatus
from aishell.reporting.deletions import DELETES, at_least
from aishell.reporting.units import duration
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.state.connection import Record
from aishell.state.progress import progress_of


def so_far(step: Record) -> dict[str, Any] | None:
    """Return `{rows_deleted, at_least}` of a deletion without an outcome; None for other steps, and before its start.

    The last batches of a started step may not be recorded yet.
    """
    if step.tool not in DELETES or not step.attempt or step.status not in (StepStatus.STARTED, StepStatus.PENDING):
        return None
    figures = (BatchCheckpoint.of(step.reached) if step.reached else BatchCheckpoint(None)).figures()
    least = step.status == StepStatus.STARTED or bool(at_least(figures))
    return {"rows_deleted": figures["rows_deleted"], "at_least": least}


def far(step: Record) -> str:
    """Return a running step's progress, e.g. `43 % (vacuuming heap), about 2 min 5 s left`; empty if unknown."""
    parts = []
    deleted, now = so_far(step), progress_of(step)
    if deleted is not None and deleted["rows_deleted"]:
        parts.append(f"{deleted['rows_deleted']:,} row(s) deleted so far")
    if now is not None:
        begun = f"{now['percent']:.0f} %" if now["percent"] is not None else f"{now['done']:,.0f}"
        label = f" ({now['label']})" if now["label"] else ""
        left = f", about {duration(now['eta_seconds'])} left" if now["eta_seconds"] is not None else ""
        parts.append(f"{begun}{label}{left}")
    return "; ".join(parts)

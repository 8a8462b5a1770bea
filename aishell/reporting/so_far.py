"""What a clean-up has deleted that did not come to its end, told from `state.db` alone."""

from __future__ import annotations

from typing import Any

from aishell.agents.log_summary import DELETES, at_least
from aishell.models import StepStatus
from aishell.registry.reached import Reached
from aishell.state.connection import Record


def so_far(step: Record) -> dict[str, Any] | None:
    """`{rows_deleted, at_least}` of a deletion that has no outcome; None for any other step, and for one that has not begun.

    Of a step that was started, the last batches may not be written down: nobody has seen its end yet.
    """
    if step.tool not in DELETES or not step.attempt or step.status not in (StepStatus.STARTED, StepStatus.PENDING):
        return None
    figures = (Reached.of(step.reached) if step.reached else Reached(None)).figures()
    least = step.status == StepStatus.STARTED or bool(at_least(figures))
    return {"rows_deleted": figures["rows_deleted"], "at_least": least}

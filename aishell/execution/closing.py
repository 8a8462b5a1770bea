"""When a step that goes in batches begins no further one: at the end of its window, or in time for what comes after it there."""

from __future__ import annotations

import math
import time

from aishell.execution.run import Run
from aishell.models import Step
from aishell.planning.estimates import label_of
from aishell.state.history import a_row

CLOSED = "the window has closed"
SPARED = "the rest of the window is reserved for deleting what is archived"
#: What a deletion takes may be so many times what is expected: rows that were archived and stay are archived again.
MARGIN = 1.25
#: Seconds to end the one step and begin the other.
BETWEEN = 0.5


class Closing:
    """The end of a step's window, as its batches ask for it. `spent`: seconds that the step took in earlier processes.

    An archive whose deletion no longer fits into the window is of no use, and the next night makes it anew. So it ends in time
    for that of the rows that it has by then, by what both took a row on nights before.
    """

    def __init__(self, run: Run, step: Step, spent: float = 0.0) -> None:
        self._run, self._began = run, time.monotonic() - spent
        self._longer = _longer(run, step) if math.isfinite(run.options.left) else None

    def closes(self, seconds: float) -> str | None:
        """Why not to begin a batch of so many seconds."""
        left = self._run.options.left
        if left < seconds:
            return CLOSED
        if self._longer is None:
            return None
        after = BETWEEN + MARGIN * self._longer * (time.monotonic() - self._began)
        return SPARED if left < seconds + after else None


def _longer(run: Run, step: Step) -> float | None:
    """How many times what an archive takes its deletion does; as long where nobody knows, None for any other step."""
    if run.job.pick(step.tool).archives != "write":
        return None
    after = [one for one in run.plan.steps if step.id in one.needs and run.job.pick(one.tool).archives == "delete"]
    if not after:
        return None
    target, store = run.job.target.name, run.runs.store
    archived, *deleted = (a_row(store, target, one.tool, label_of(one.params)) for one in (step, *after))
    known = [seconds for seconds in deleted if seconds is not None]
    return sum(known) / archived if archived and len(known) == len(after) else 1.0

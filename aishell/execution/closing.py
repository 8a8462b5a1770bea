"""When a batched step begins no further batch: at the end of its window, or earlier, to leave time for the step after it."""

from __future__ import annotations

import math
import time

from aishell.execution.run import Run
from aishell.models import Step
from aishell.planning.estimates import label_of
from aishell.state.history import seconds_per_row

CLOSED = "the window has closed"
SPARED = "the rest of the window is reserved for deleting what is archived"
#: A deletion may take this many times longer than expected: rows that are archived and not deleted are archived again.
MARGIN = 1.25
#: Seconds between the end of one step and the beginning of the next.
BETWEEN = 0.5


class Closing:
    """The end of a step's window, asked for before each batch. `spent`: seconds that the step took in earlier processes.

    An archive whose deletion no longer fits into the window is of no use: the next run would write it again. So the archive
    ends in time for its rows to be deleted, judged by the time per row of both steps in earlier runs.
    """

    def __init__(self, run: Run, step: Step, spent: float = 0.0) -> None:
        self._run, self._began = run, time.monotonic() - spent
        self._longer = _longer(run, step) if math.isfinite(run.options.left) else None

    def closes(self, seconds: float) -> str | None:
        """Why a batch of so many seconds must not begin; None where it may."""
        left = self._run.options.left
        if left < seconds:
            return CLOSED
        if self._longer is None:
            return None
        after = BETWEEN + MARGIN * self._longer * (time.monotonic() - self._began)
        return SPARED if left < seconds + after else None


def _longer(run: Run, step: Step) -> float | None:
    """How many times longer than an archive its deletion takes, 1.0 where that is not known; None for any other step."""
    if run.job.pick(step.tool).archives != "write":
        return None
    after = [one for one in run.plan.steps if step.id in one.needs and run.job.pick(one.tool).archives == "delete"]
    if not after:
        return None
    target, store = run.job.target.name, run.runs.store
    archived, *deleted = (seconds_per_row(store, target, one.tool, label_of(one.params)) for one in (step, *after))
    known = [seconds for seconds in deleted if seconds is not None]
    return sum(known) / archived if archived and len(known) == len(after) else 1.0

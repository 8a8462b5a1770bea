"""When a step that goes in batches begins no further one: at the end of its window, or in time for what comes after it there."""

from __future__ import annotations

import math
import time

from aishell.execution.run import Run
from aishell.models import Step

CLOSED = "the window has closed"
SPARED = "the rest of the window is for the deletion of what is archived"
#: What a deletion takes may be so many times what is expected: rows that were archived and stay are archived again.
MARGIN = 1.25
#: Seconds to end the one step and begin the other.
BETWEEN = 0.5


class Closing:
    """The end of a step's window, as its batches ask for it. `spent`: seconds that the step took in earlier processes.

    An archive whose deletion no longer fits into the window is of no use, and the next night makes it anew. So it ends in time
    for that of the rows that it has by then: with as many rests between batches, and work that takes as many times what that of
    the archive took as is expected.
    """

    def __init__(self, run: Run, step: Step, spent: float = 0.0) -> None:
        self._run, self._longer = run, _longer(run, step)
        self._began, self._rested = time.monotonic() - spent, 0.0

    def closes(self, seconds: float) -> str | None:
        """Why not to begin a batch of so many seconds."""
        left = self._run.options.left
        if left < seconds:
            return CLOSED
        if self._longer is None or math.isinf(left):
            return None
        worked = time.monotonic() - self._began - self._rested
        after = BETWEEN + MARGIN * (self._rested + self._longer * worked)
        return SPARED if left < seconds + after else None

    def rest(self, seconds: float) -> None:
        """Rest between two batches; an interrupt ends it."""
        began = time.monotonic()
        self._run.cancelled.wait(seconds)
        self._rested += time.monotonic() - began


def _longer(run: Run, step: Step) -> float | None:
    """How many times what an archive takes its deletion does; as long where nobody knows, None for any other step."""
    if run.job.pick(step.tool).archives != "write":
        return None
    after = [one for one in run.plan.steps if step.id in one.needs and run.job.pick(one.tool).archives == "delete"]
    if not after:
        return None
    known = [one.estimate.seconds for one in after if one.estimate.seconds]
    return sum(known) / step.estimate.seconds if known and step.estimate.seconds else 1.0

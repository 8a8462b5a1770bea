"""The progress of running steps, in its own column: written periodically and not audited, for other processes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aishell.errors import StateError
from aishell.models import StepStatus, now
from aishell.state.connection import Record
from aishell.state.store import Store

#: Seconds between two writes.
EVERY = 2.0
#: Seconds of progress before the remaining time is estimated.
SEEN = 5.0
#: Neither after the end of the step, nor by a process that no longer drives the run.
_WRITE = f"""UPDATE steps SET progress = :progress WHERE run_id = :run AND step_index = :step
    AND status = '{StepStatus.STARTED}' AND EXISTS (SELECT 1 FROM runs WHERE id = :run AND owner = :owner)"""  # noqa: S608  ours


@dataclass
class _Count:
    """A running count: its start and its last value."""

    since: float
    first: float
    last: float
    total: float
    written_at: float = float("-inf")


class Progress:
    """The progress of the steps of one run. Thread-safe."""

    def __init__(self, store: Store, run_id: str, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._run, self._owner, self._clock = store, run_id, owner, clock
        self._counts: dict[int, _Count] = {}
        self._guard = threading.Lock()

    def begin(self, index: int) -> None:
        """Forget the progress of a step, which starts or restarts."""
        with self._guard:
            self._counts.pop(index, None)

    def note(self, index: int, done: float, total: float, label: str) -> None:
        """Note the progress of a step; `total` 0: unknown. Written every EVERY seconds; a failed write is ignored."""
        at = self._clock()
        with self._guard:
            count = self._counts.get(index)
            if count is None or done < count.last or total != count.total:  # another phase, another object
                written_at = count.written_at if count is not None else float("-inf")
                count = self._counts[index] = _Count(at, done, done, total, written_at)
            count.last = done
            if at < count.written_at + EVERY:
                return
            count.written_at = at
        figures = {"done": done, "total": total or None, "label": label, "at": now(), "eta_seconds": _left(count, at)}
        values = {"run": self._run, "step": index, "owner": self._owner, "progress": json.dumps(figures)}
        try:
            with self._store.write() as connection:
                connection.execute(_WRITE, values)
        except StateError:
            return  # progress is written again soon; important writes raise elsewhere


def _left(count: _Count, at: float) -> float | None:
    """Return the seconds until a count is complete, at its average speed so far; None if that cannot be estimated."""
    went, gone = at - count.since, count.last - count.first
    if not count.total or gone <= 0 or went < SEEN:
        return None
    return round(max(0.0, count.total - count.last) * went / gone, 1)


def progress_of(step: Record) -> dict[str, Any] | None:
    """Return `{done, total, percent, label, at, eta_seconds}` of a running step, None if its progress is unknown.

    `done` and `total` are in blocks, rows or bytes, depending on the tool. `eta_seconds` is for the current phase.
    """
    if step.status != StepStatus.STARTED or not step.progress:
        return None
    found = json.loads(step.progress)
    percent = round(min(100.0, 100 * found["done"] / found["total"]), 1) if found["total"] else None
    return {
        **{name: found[name] for name in ("done", "total")},
        "percent": percent,
        **{name: found[name] for name in ("label", "at", "eta_seconds")},
    }

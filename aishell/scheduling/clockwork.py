"""What the daemon does again and again: APScheduler's jobs, in the thread that turns it, by the wall clock.

APScheduler's own loops wait on a clock that stands still while the machine sleeps, and its jobs know only when they are next:
a clock that is put back by eight hours would keep them silent for eight hours (docs/decisions/0021-daemon.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.interval import IntervalTrigger


class Clockwork(BaseScheduler):  # type: ignore[misc]  # it has no types
    """Jobs at intervals, run by `turn`. What was missed of one while the machine slept is made up for once."""

    def __init__(self) -> None:
        super().__init__(timezone=UTC)

    def every(self, interval: timedelta, work: Callable[[], None], now: datetime) -> None:
        """Have `work` done now, and each `interval` from then on. It raises nothing."""
        trigger = IntervalTrigger(seconds=int(interval.total_seconds()), start_date=now, timezone=UTC)
        self.add_job(work, trigger, next_run_time=now, coalesce=True, misfire_grace_time=None)

    def turn(self, now: datetime) -> None:
        """Do what is due."""
        for job in self.get_jobs():
            if job.next_run_time > now + job.trigger.interval:  # the clock was put back
                job.modify(next_run_time=now)
        self._process_jobs()

    def wakeup(self) -> None:
        """Nobody sleeps in here."""

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)

    def _create_default_executor(self) -> DebugExecutor:
        return DebugExecutor()  # in the caller's thread

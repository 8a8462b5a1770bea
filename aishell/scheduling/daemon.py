"""The daemon: starts what is due, watches what runs, resumes what was killed. It decides by `state.db`, not by its memory.

One thread turns it, about once a second. The nights themselves are processes of their own (`starting.Starter`): they neither need
the daemon nor end with it, and the next one finds them by their locks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.interval import IntervalTrigger

from aishell.errors import AishellError, StateError, TargetBusyError, UnknownNameError
from aishell.moments import at, nominal
from aishell.scheduling.configuration import Configuration
from aishell.scheduling.starting import Starter, log_of, remove_old_logs, settle_all
from aishell.scheduling.times import seconds, wall_clock
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.locks import FileLock, FileLockHeldError
from aishell.state.probes import Changes
from aishell.state.runs import who
from aishell.telemetry.tracebacks import unexpected

#: However the clock goes, what is due is looked for so often; what could not begin is tried again then.
TICK = timedelta(seconds=30)
#: Seconds between two looks whether something has changed: files, state.db, processes.
LOOK = 1.0
#: Seconds without a look after which it is stuck.
STUCK = 60.0
#: How long a lasting trouble is not reported again.
TROUBLE = timedelta(minutes=10)


@dataclass(frozen=True)
class Chore:
    """Work beside the schedules, and how often it is done. An error of it is reported, and the work is done again."""

    name: str
    every: timedelta
    work: Callable[[SiteFiles], None]


#: What keeps a site in order while nobody looks.
CHORES = (Chore("remove old logs", timedelta(hours=1), remove_old_logs),)


class Clockwork(BaseScheduler):  # type: ignore[misc]  # it has no types
    """Jobs at intervals, run by `turn`, in its thread. What was missed of one while the machine slept is made up for once.

    By the wall clock: APScheduler's own loops wait on a clock that stands still while the machine sleeps, and its jobs know only
    when they are next, so that a clock put back by eight hours would keep them silent for eight hours (decision 21).
    """

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


@dataclass
class Daemon:
    """The daemon of a site. `tell` is given lines for people, `decided` rows of the ledger for which nothing is started."""

    configuration: Configuration
    starter: Starter
    tell: Callable[[str], None]
    decided: Callable[[Record], None]
    clock: Callable[[], datetime] = wall_clock
    chores: Iterable[Chore] = CHORES
    clockwork: Clockwork = field(default_factory=Clockwork)
    #: When it last looked what is due, and found out: for /ready.
    ticked: datetime | None = None
    #: What is started under the lock, before anything else, and ended last: its result is called for that.
    serve: Callable[[Daemon], Callable[[], None]] = lambda daemon: lambda: None
    _turned: float = 0.0
    _ending: str | None = None
    _next: datetime | None = None  # the first nominal time that is to come
    _expires: datetime | None = None  # when the first of the open requests for an approval expires
    _told: dict[str, datetime] = field(default_factory=dict)

    @property
    def site(self) -> SiteFiles:
        return self.configuration.site

    def run(self) -> None:
        """Work until `end` is called. Raises TargetBusyError where the site has a daemon, StateError where state is no use."""
        lock = self._alone()
        changes = Changes(self.site.state_path)
        try:
            stop = self.serve(self)
            try:
                self.begin()
                while self._ending is None:
                    self.turn(changes)
                    self.starter.wait(LOOK)
                self.close(self._ending)
            finally:
                stop()
        finally:
            changes.close()
            lock.release()

    def end(self, why: str) -> None:
        """Have `run` return when it looks up next. A signal's handler may call this."""
        self._ending = self._ending or why

    @property
    def ending(self) -> bool:
        return self._ending is not None

    @property
    def turning(self) -> bool:
        """Whether it has looked up in the last minute: where not, a disk or a lock holds it."""
        return time.monotonic() - self._turned < STUCK

    def _alone(self) -> FileLock:
        try:
            return FileLock(self.site.daemon_lock, "daemon")
        except FileLockHeldError as error:
            holder = error.holder
            raise TargetBusyError(
                f"a daemon of this site is running: process {holder.get('pid', '?')} on {holder.get('host', '?')}, "
                f"since {at(holder['since']) if 'since' in holder else '?'}",
                hint=f"a site has one; this one's lock is {error.path}",
            ) from error

    def begin(self) -> None:
        """Say so, and have the clockwork do what is to be done again and again."""
        names = sorted(self.site.schedules.by_name)
        started = {"pid": os.getpid(), "host": socket.gethostname(), "by": who()}
        self.site.runs.event("daemon_started", {**started, "schedules": names})
        self._keep()
        self.tell(f"started: process {os.getpid()}, {len(names)} schedule(s) of {self.site.schedules.path}")
        now = self.clock()
        self.clockwork.start()
        self.clockwork.every(TICK, lambda: self._guarded("looking what is due", self._tick), now)
        for chore in self.chores:
            self.clockwork.every(chore.every, self._doing(chore), now)

    def _doing(self, chore: Chore) -> Callable[[], None]:
        return lambda: self._guarded(chore.name, lambda: chore.work(self.site))

    def turn(self, changes: Changes) -> None:
        """Look once at everything that may have changed."""
        now = self.clock()
        self._turned = time.monotonic()
        self._guarded("reading the configuration", self._reread)
        if self._next is not None and now >= self._next:
            self._guarded("looking what is due", self._tick)
        self.clockwork.turn(now)
        self._guarded("starting what is due", lambda: self._look(changes))

    def _reread(self) -> None:
        if not self.configuration.reread():
            return
        self.starter.site, self.starter.config = self.site, self.configuration.copy
        refused = self.configuration.refused
        if refused is not None:
            hint = f" ({refused.hint})" if refused.hint else ""
            self.tell(f"the changed configuration is refused, the one before stays in force: {refused.message}{hint}")
            self.site.runs.event("configuration_refused", {"message": refused.message, "hint": refused.hint})
            return
        self._keep()
        names = sorted(self.site.schedules.by_name)
        self.tell(f"the changed configuration is loaded: {len(names)} schedule(s)")
        self.site.runs.event("configuration_loaded", {"schedules": names})
        self._tick()

    def _keep(self) -> None:
        try:
            self.configuration.keep(tidy=not (self.starter.running or self.starter.others))
        except AishellError as error:
            self.tell(f"{error.message}: {error.hint}")

    def _tick(self) -> None:
        """Decide the times that have come, and let what could not begin be tried again."""
        now = self.clock()
        for row in settle_all(self.site, now):
            if row.status != "due":
                self.decided(row)
        self.starter.try_again()
        self._start()
        coming = (next(one.timing.after(now), None) for one in self.site.schedules.by_name.values())
        self._next = min((moment for moment in coming if moment is not None), default=None)
        self.ticked = now

    def _look(self, changes: Changes) -> None:
        left, seen = self.starter.left(), changes.seen()
        if seen:
            self._expires = self.site.approvals.next_expiry()
        expired = self._expires is not None and self.clock() > self._expires
        if expired:
            self._expires = None
        for row in left:
            self.tell(
                f"{row.schedule} {nominal(row.local_at)} {row.target}, which others started: {row.outcome or row.status}"
            )
        if self.starter.reap() or left or seen or expired:
            self._start()

    def _start(self) -> None:
        if self.configuration.refused is not None and self.configuration.copy is None:
            return  # what it would read is wrong, and there is no copy of what was right
        before = self.starter.running
        self.starter.start()
        for number in self.starter.running:
            if number not in before:
                row = self.site.ledger.row(number)
                self.tell(
                    f"{row.schedule} {nominal(row.local_at)} {row.target}: started, log {log_of(self.site, number)}"
                )

    def close(self, why: str) -> None:
        """Stop: by `shutdown_grace` runs continue by themselves, or are asked to pause and waited for."""
        grace = seconds(self.site.settings.daemon.shutdown_grace)
        with suppress(StateError):  # it ends all the same: runs write what they do themselves
            if grace and self.starter.running:
                self.tell(f"{why}: {len(self.starter.running)} run(s) are asked to pause, and waited for {grace} s")
                self._pause(time.monotonic() + grace)
            self.starter.reap()
            told: dict[str, Any] = {"reason": why, "pid": os.getpid(), "running": list(self.starter.running)}
            self.site.runs.event("daemon_stopped", told)
        going_on = f"; {len(self.starter.running)} run(s) go on by themselves" if self.starter.running else ""
        self.tell(f"stopped: {why}{going_on}")

    def _pause(self, deadline: float) -> None:
        for number in self.starter.running:
            for run_id in self.site.ledger.shut_down(number):
                with suppress(UnknownNameError):  # it is still planning, which takes not long, or it is a workflow
                    self.site.runs.request(self.site.runs.find(run_id).id, "pause")
        while self.starter.running and time.monotonic() < deadline:
            self.starter.wait(min(LOOK, max(0.0, deadline - time.monotonic())))
            self.starter.reap()

    def _guarded(self, what: str, work: Callable[[], None]) -> None:
        """Report an error of some work, not each second; it is tried again at its next turn, and the daemon lives on."""
        try:
            work()
        except Exception as error:
            known = error if isinstance(error, AishellError) else unexpected(error, what)
            now = self.clock()
            if not timedelta(0) <= now - self._told.get(known.message, now - 2 * TROUBLE) <= TROUBLE:
                self._told = {**dict(list(self._told.items())[-20:]), known.message: now}
                self.tell(f"{what} failed: {known.message}{f' ({known.hint})' if known.hint else ''}")

"""The daemon: starts due rows, watches running ones, resumes killed ones. It decides by `state.db`, not by its memory.

One thread runs the loop, about once a second. Runs are processes of their own (`starting.Starter`): they neither need the
daemon nor end with it, and the next daemon finds them by their locks.
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

#: Interval at which due times are looked for whatever the clock does, and failed starts are tried again.
TICK = timedelta(seconds=30)
#: Seconds between two checks for changes of files, state.db and processes.
LOOK = 1.0
#: Seconds without a check after which the daemon counts as stuck.
STUCK = 60.0
#: Interval at which a lasting error is reported again.
TROUBLE = timedelta(minutes=10)


@dataclass(frozen=True)
class Chore:
    """Recurring work beside the schedules. Errors are reported, and the work is tried again at the next interval."""

    name: str
    every: timedelta
    work: Callable[[SiteFiles], None]


CHORES = (Chore("remove old logs", timedelta(hours=1), remove_old_logs),)


class Clockwork(BaseScheduler):  # type: ignore[misc]  # it has no types
    """Jobs at intervals, run by `turn`, in its thread. Times missed while the machine slept are made up for once.

    It uses the wall clock: APScheduler's own loops wait on a clock that stops while the machine sleeps, and its jobs know only
    their next time, so that a clock put back by eight hours would stop them for eight hours (decision 21).
    """

    def __init__(self) -> None:
        super().__init__(timezone=UTC)

    def every(self, interval: timedelta, work: Callable[[], None], now: datetime) -> None:
        """Schedule `work`, which raises nothing, now and at each `interval`."""
        trigger = IntervalTrigger(seconds=int(interval.total_seconds()), start_date=now, timezone=UTC)
        self.add_job(work, trigger, next_run_time=now, coalesce=True, misfire_grace_time=None)

    def turn(self, now: datetime) -> None:
        """Do what is due."""
        for job in self.get_jobs():
            if job.next_run_time > now + job.trigger.interval:  # the clock was put back
                job.modify(next_run_time=now)
        self._process_jobs()

    def wakeup(self) -> None:
        """Not needed: `turn` is called by the daemon's loop."""

    def shutdown(self, wait: bool = True) -> None:
        super().shutdown(wait)

    def _create_default_executor(self) -> DebugExecutor:
        return DebugExecutor()  # in the caller's thread


@dataclass
class Daemon:
    """The daemon of a site. `tell` is called with lines for people, `decided` with rows for which nothing is started."""

    configuration: Configuration
    starter: Starter
    tell: Callable[[str], None]
    decided: Callable[[Record], None]
    clock: Callable[[], datetime] = wall_clock
    chores: Iterable[Chore] = CHORES
    clockwork: Clockwork = field(default_factory=Clockwork)
    #: When it last completed a check for due times; for /ready.
    ticked: datetime | None = None
    #: Started first, under the lock; the function that it returns is called last.
    serve: Callable[[Daemon], Callable[[], None]] = lambda daemon: lambda: None
    _turned: float = 0.0
    _ending: str | None = None
    _next: datetime | None = None  # the next nominal time
    _expires: datetime | None = None  # when the first of the open requests for an approval expires
    _reported: dict[str, datetime] = field(default_factory=dict)

    @property
    def site(self) -> SiteFiles:
        return self.configuration.site

    def run(self) -> None:
        """Work until `end` is called. Raises TargetBusyError if the site has a daemon, StateError if state.db cannot be used."""
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
        """Make `run` return at its next turn. A signal handler may call this."""
        self._ending = self._ending or why

    @property
    def ending(self) -> bool:
        return self._ending is not None

    @property
    def turning(self) -> bool:
        """Whether the loop has turned within STUCK seconds; else a disk or a lock blocks it."""
        return time.monotonic() - self._turned < STUCK

    def _alone(self) -> FileLock:
        try:
            return FileLock(self.site.daemon_lock, "daemon")
        except FileLockHeldError as error:
            holder = error.holder
            raise TargetBusyError(
                f"a daemon of this site is running: process {holder.get('pid', '?')} on {holder.get('host', '?')}, "
                f"since {at(holder['since']) if 'since' in holder else '?'}",
                hint=f"stop it first: a site has one daemon; its lock is {error.path}",
            ) from error

    def begin(self) -> None:
        """Record the start, and schedule the recurring work."""
        names = sorted(self.site.schedules.by_name)
        started = {"pid": os.getpid(), "host": socket.gethostname(), "by": who()}
        self.site.runs.event("daemon_started", {**started, "schedules": names})
        self._keep()
        self.tell(f"started: process {os.getpid()}, {len(names)} schedule(s) of {self.site.schedules.path}")
        now = self.clock()
        self.clockwork.start()
        self.clockwork.every(TICK, lambda: self._guarded("checking what is due", self._tick), now)
        for chore in self.chores:
            self.clockwork.every(chore.every, self._doing(chore), now)

    def _doing(self, chore: Chore) -> Callable[[], None]:
        return lambda: self._guarded(chore.name, lambda: chore.work(self.site))

    def turn(self, changes: Changes) -> None:
        """Check once everything that may have changed."""
        now = self.clock()
        self._turned = time.monotonic()
        self._guarded("reading the configuration", self._reread)
        if self._next is not None and now >= self._next:
            self._guarded("checking what is due", self._tick)
        self.clockwork.turn(now)
        self._guarded("starting what is due", lambda: self._look(changes))

    def _reread(self) -> None:
        if not self.configuration.reread():
            return
        self.starter.site, self.starter.config = self.site, self.configuration.copy
        refused = self.configuration.refused
        if refused is not None:
            hint = f" ({refused.hint})" if refused.hint else ""
            self.tell(f"the changed configuration is invalid, the previous one stays in force: {refused.message}{hint}")
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
        """Decide the nominal times that have come, and try failed starts again."""
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
            return  # the files are invalid, and there is no copy of valid ones
        before = self.starter.running
        self.starter.start()
        for number in self.starter.running:
            if number not in before:
                row = self.site.ledger.row(number)
                self.tell(
                    f"{row.schedule} {nominal(row.local_at)} {row.target}: started, log {log_of(self.site, number)}"
                )

    def close(self, why: str) -> None:
        """Stop. Runs continue by themselves; with a `shutdown_grace` they are asked to pause and waited for."""
        grace = seconds(self.site.settings.daemon.shutdown_grace)
        with suppress(StateError):  # it stops anyway: runs record their own work
            if grace and self.starter.running:
                self.tell(f"{why}: {len(self.starter.running)} run(s) were asked to pause; waiting {grace} s for them")
                self._pause(time.monotonic() + grace)
            self.starter.reap()
            data: dict[str, Any] = {"reason": why, "pid": os.getpid(), "running": list(self.starter.running)}
            self.site.runs.event("daemon_stopped", data)
        running = f"; {len(self.starter.running)} run(s) continue" if self.starter.running else ""
        self.tell(f"stopped: {why}{running}")

    def _pause(self, deadline: float) -> None:
        for number in self.starter.running:
            for run_id in self.site.ledger.shut_down(number):
                with suppress(UnknownNameError):  # still planning, which is short, or a workflow
                    self.site.runs.request(self.site.runs.find(run_id).id, "pause")
        while self.starter.running and time.monotonic() < deadline:
            self.starter.wait(min(LOOK, max(0.0, deadline - time.monotonic())))
            self.starter.reap()

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        """Do some work; an error is reported, at most every TROUBLE, and the daemon continues."""
        try:
            work()
        except Exception as error:
            known = error if isinstance(error, AishellError) else unexpected(error, name)
            now = self.clock()
            if not timedelta(0) <= now - self._reported.get(known.message, now - 2 * TROUBLE) <= TROUBLE:
                self._reported = {**dict(list(self._reported.items())[-20:]), known.message: now}
                self.tell(f"{name} failed: {known.message}{f' ({known.hint})' if known.hint else ''}")

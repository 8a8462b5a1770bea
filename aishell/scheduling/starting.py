"""What is due, started: each run a process of its own, that goes on when this one ends."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aishell.errors import StateError
from aishell.scheduling.due import Entry, Pause, settle
from aishell.scheduling.schedules import Schedule
from aishell.scheduling.working import wall_clock
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.locks import is_held
from aishell.state.schedule_runs import Known

#: So many logs of runs are kept, the newest.
LOGS = 1000


def paused(known: Known | None) -> Pause | None:
    """The pause that the store knows of a schedule."""
    if known is None or known.paused_at is None:
        return None
    return Pause(known.paused_at, known.paused_by, known.paused_until, known.pause_reason)


def settle_all(site: SiteFiles, at: datetime) -> list[Record]:
    """Decide every nominal time that has come by `at`; what was written down, and what is missed since its window closed."""
    schedules = site.schedules.by_name
    site.ledger.forget(schedules)
    decided = site.ledger.expire(at)
    for schedule in schedules.values():
        decided += settle_one(site, schedule, at)
    return decided


def settle_one(site: SiteFiles, schedule: Schedule, at: datetime) -> list[Record]:
    """The same of one schedule."""

    def decide(known: Known) -> list[Entry]:
        return settle(schedule, known.settled, at, paused(known))

    targets, timing = schedule.on(site.settings), schedule.timing
    return site.ledger.settle(schedule.name, timing.text, at, decide, targets=targets, local=timing.local)


@dataclass
class Starter:
    """Starts rows of the ledger, waits for them, and tells of each that has ended. `options`: those before the command."""

    site: SiteFiles
    options: Collection[str]
    ended: Callable[[Record, int], None]
    clock: Callable[[], datetime] = wall_clock
    _children: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _tried: set[int] = field(default_factory=set)

    def run(self, only: Collection[int] | None = None) -> list[int]:
        """Start what there is to be done, or `only` these rows, as many at a time as may be; the exit codes."""
        codes: list[int] = []
        while True:
            self._start(only)
            if not self._children:
                return codes
            codes += self._wait()

    def _start(self, only: Collection[int] | None) -> None:
        rows = self.site.ledger.open(self.clock())
        working = {row.id for row in rows if row.id in self._children or self._is_locked(row)}
        rows = [row for row in rows if row.id in working or not self._on_hold(row)]
        busy = {row.target for row in rows if row.id in working}
        for row in rows:
            wanted = row.id not in self._tried | working and (only is None or row.id in only)
            if wanted and row.target not in busy and len(working) < self.site.schedules.max_concurrent:
                self._tried.add(row.id)
                self._children[row.id] = self._process(row)
                working.add(row.id)
                busy.add(row.target)

    def _is_locked(self, row: Record) -> bool:
        return is_held(self.site.schedule_lock(row.id))

    def _on_hold(self, row: Record) -> bool:
        """Whether its turn has to wait until a hold is released; the ledger says so, and what looks is told once."""
        hold = self.site.holds.on(row.target)
        if hold is not None and self.site.ledger.note(row.id, hold.text):
            self.ended(self.site.ledger.row(row.id), 0)
        return hold is not None

    def _process(self, row: Record) -> subprocess.Popen[bytes]:
        """An exec'd process in a session of its own, whose output goes to a file: neither our end nor a closed pipe ends it."""
        ourselves = [sys.executable, "-P", "-m", "aishell", *self.options, "schedule", "work", str(row.id)]
        path = log_of(self.site, row.id)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be written: {error.strerror}") from error
        try:
            return subprocess.Popen(
                ourselves, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, start_new_session=True
            )
        finally:
            os.close(handle)

    def _wait(self) -> list[int]:
        """Wait until one of them has ended; the codes of those that have, 1 for one that was killed."""
        watched = {os.pidfd_open(child.pid): number for number, child in self._children.items()}
        try:
            ready = select.poll()
            for handle in watched:
                ready.register(handle, select.POLLIN)
            over = [watched[handle] for handle, _ in ready.poll()]
        finally:
            for handle in watched:
                os.close(handle)
        codes = []
        for number in over:
            code = self._children.pop(number).wait()
            codes.append(code if code >= 0 else 1)
            self.ended(self.site.ledger.row(number), codes[-1])
        return codes


def log_of(site: SiteFiles, number: int) -> Path:
    """Where the process of a row writes what it says."""
    return site.state_path.parent / "schedule-logs" / f"{number}.log"


def remove_old_logs(site: SiteFiles) -> None:
    """Keep the newest LOGS of them."""
    logs = sorted(
        (path for path in log_of(site, 0).parent.glob("*.log") if path.stem.isdigit()), key=lambda p: int(p.stem)
    )
    for path in logs[:-LOGS]:
        path.unlink(missing_ok=True)

"""What is due, started: each run a process of its own, that goes on when this one ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aishell import processes
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
        working = {row.id for row in rows if row.id in self._children or self._is_held(row)}
        busy = {row.target for row in rows if row.id in working}
        for row in rows:
            wanted = row.id not in self._tried | working and (only is None or row.id in only)
            if wanted and row.target not in busy and len(working) < self.site.schedules.max_concurrent:
                self._tried.add(row.id)
                self._children[row.id] = self._process(row)
                working.add(row.id)
                busy.add(row.target)

    def _is_held(self, row: Record) -> bool:
        return is_held(self.site.schedule_lock(row.id))

    def _process(self, row: Record) -> subprocess.Popen[bytes]:
        return processes.start([*self.options, "schedule", "work", str(row.id)], log_of(self.site, row.id))

    def _wait(self) -> list[int]:
        """Wait until one of them has ended; the codes of those that have, 1 for one that was killed."""
        codes = []
        for number in processes.ended(self._children):
            code = self._children.pop(number).wait()
            codes.append(code if code >= 0 else 1)
            self.ended(self.site.ledger.row(number), codes[-1])
        return codes


def log_of(site: SiteFiles, number: int) -> Path:
    """Where the process of a row writes what it says."""
    return site.state_path.parent / "schedule-logs" / f"{number}.log"


def remove_old_logs(site: SiteFiles) -> None:
    """Keep the newest LOGS of them."""
    processes.remove_old_logs(log_of(site, 0).parent, LOGS)

"""Starts due rows of the ledger, each in a process of its own that outlives this one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aishell import processes
from aishell.processes import Child
from aishell.scheduling.due import settle
from aishell.scheduling.outlook import closed, kept_back, stranded
from aishell.scheduling.schedules import Schedule
from aishell.scheduling.times import wall_clock
from aishell.site_files import SiteFiles
from aishell.state.breakers import Breaker
from aishell.state.connection import Record
from aishell.state.locks import is_held
from aishell.state.slots import give_back

#: Number of logs of runs to keep.
LOGS = 1000


def settle_all(site: SiteFiles, at: datetime) -> list[Record]:
    """Decide every nominal time up to `at`; the rows that were recorded, missed because their window closed, or approved
    too late for it."""
    schedules = site.schedules.by_name
    site.ledger.forget(schedules)
    decided = site.ledger.expire(at)
    for schedule in schedules.values():
        decided += settle_one(site, schedule, at)
    return decided + stranded(site, at)


def settle_one(site: SiteFiles, schedule: Schedule, at: datetime) -> list[Record]:
    """The same for one schedule."""
    targets, timing = schedule.on(site.settings), schedule.timing
    return site.ledger.settle(
        schedule.name,
        timing.text,
        at,
        lambda known: settle(schedule, known.settled, at, known.pause),
        targets=targets,
        local=timing.local,
    )


@dataclass
class Starter:
    """Starts rows of the ledger, waits for them, and reports each that has ended. `options`: those before the command.

    `ended` is called with a row and the exit code of its process; negative: the signal that killed it.

    `config`: the folder of configuration that the processes read, None for the site's own.
    """

    site: SiteFiles
    options: Collection[str]
    ended: Callable[[Record, int], None]
    clock: Callable[[], datetime] = wall_clock
    config: Path | None = None
    #: Rows on which processes work that were started elsewhere: by an earlier daemon, cron or a person.
    others: set[int] = field(default_factory=set)
    _children: dict[int, Child] = field(default_factory=dict)
    #: Rows that were started -> their `ended_at` before. It differs once a row has ended, waits again and was answered.
    _tried: dict[int, str | None] = field(default_factory=dict)

    def run(self, only: Collection[int] | None = None) -> list[int]:
        """Start open rows, or `only` these, within all limits, and wait for their end; the exit codes."""
        codes: list[int] = []
        while True:
            self.start(only)
            if not self._children:
                return codes
            self.wait()
            codes += self.reap()
            if only:  # a whole server's row creates one for each of its databases
                only = self.site.ledger.beside(only)

    @property
    def running(self) -> tuple[int, ...]:
        """The rows whose processes were started here and have not ended."""
        return tuple(self._children)

    def try_again(self) -> None:
        """Allow rows that could not start, or were killed, to be started again."""
        self._tried = {number: ended for number, ended in self._tried.items() if number in self._children}

    def start(self, only: Collection[int] | None = None) -> None:
        """Start open rows that were not tried yet, within all limits."""
        rows = self.site.ledger.open(self.clock())
        locked = {row.id for row in rows if row.id not in self._children and is_held(self.site.schedule_lock(row.id))}
        self.others |= locked  # until `left` returns them
        working = locked | self._children.keys()
        busy = {row.target for row in rows if row.id in working}
        for row in self._ready([row for row in rows if row.id not in working], only):
            if row.target in busy or len(working) >= self.site.schedules.max_concurrent:
                continue
            child = self._process(row)
            if child is not None:
                self._tried[row.id] = row.ended_at
                self._children[row.id] = child
                working.add(row.id)
                busy.add(row.target)

    def _ready(self, rows: Collection[Record], only: Collection[int] | None) -> list[Record]:
        """The rows (of `only` these) that need not wait and were not tried since they last ended."""
        breakers = {one.target: one for one in self.site.breakers.all()}
        ready = [row for row in rows if not self._has_to_wait(row, breakers)]
        untried = [row for row in ready if row.id not in self._tried or self._tried[row.id] != row.ended_at]
        return [row for row in untried if only is None or row.id in only]

    def wait(self, seconds: float | None = None) -> None:
        """Wait until a process started here has ended, or for so many seconds."""
        processes.ended(self._children, seconds)

    def reap(self) -> list[int]:
        """Report the processes that have ended; their exit codes, 1 for one that was killed."""
        codes = []
        for number, child in list(self._children.items()):
            code = child.poll()
            if code is not None:
                del self._children[number]
                codes.append(code if code >= 0 else 1)
                self.ended(self.site.ledger.row(number), code)
        return codes

    def left(self) -> list[Record]:
        """The rows of `others` whose processes have ended since the last call."""
        over = [number for number in self.others if not is_held(self.site.schedule_lock(number))]
        self.others.difference_update(over)
        return [self.site.ledger.row(number) for number in over]

    def _has_to_wait(self, row: Record, breakers: Mapping[str, Breaker]) -> bool:
        """Whether a row has to wait: for a hold's release, a server that answers, or the end of a blackout or a pause.

        The reason is noted in the ledger and reported once.
        """
        hold, breaker, now = self.site.holds.on(row.target), breakers.get(row.target), self.clock()
        why = hold.text if hold is not None else ""
        if not why and breaker is not None and breaker.refuses(datetime.now(UTC)):
            why = breaker.text
        if why:
            return row.status != "due" or self._noted(row, why)
        later = None if closed(self.site, row, now) else kept_back(self.site, row, now)
        return later is not None and self._noted(row, later)

    def _noted(self, row: Record, why: str) -> bool:
        """Note in the ledger why a row waits, and report it once. Returns True."""
        if self.site.ledger.note(row.id, why):
            self.ended(self.site.ledger.row(row.id), 0)
        return True

    @property
    def words(self) -> list[str]:
        """The options before the command of a process started here."""
        return [*self.options, *(("--config", str(self.config)) if self.config is not None else ())]

    def _process(self, row: Record) -> Child | None:
        """Start the process of a row; None if no slot is free. A workflow's process needs none, its stages do."""
        schedule = self.site.schedules.by_name.get(row.schedule)
        slots: list[int] | str = []
        if schedule is None or schedule.workflow is None:
            slots = self.site.slots(row.target, self.site.schedules.max_concurrent_per_host)
        if isinstance(slots, str):
            self._noted(row, slots)
            return None
        try:
            return processes.start([*self.words, "schedule", "work", str(row.id)], log_of(self.site, row.id), slots)
        finally:
            give_back(slots)


def log_of(site: SiteFiles, number: int | str) -> Path:
    """The log of the process of a row, or of one of a daemon's chores by its name."""
    return site.state_path.parent / "schedule-logs" / f"{number}.log"


def remove_old_logs(site: SiteFiles) -> None:
    """Keep the newest LOGS logs of rows, and of workflow stages."""
    for folder in ("schedule-logs", "workflow-logs"):
        processes.remove_old_logs(site.state_path.parent / folder, LOGS)

"""The daemon over simulated weeks: the class that `schedule start` runs, with a clock, a machine and processes of the test."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aishell.errors import TargetBusyError
from aishell.scheduling import daemon, working
from aishell.scheduling.configuration import Configuration
from aishell.scheduling.daemon import TICK, Chore, Daemon
from aishell.scheduling.starting import Starter
from aishell.site_files import SiteFiles
from aishell.state import audit
from aishell.state.connection import Record
from aishell.state.locks import FileLock
from aishell.state.probes import Changes
from tests.seed import dice

SPRING, AUTUMN, NEW_YEAR = date(2026, 3, 28), date(2026, 10, 24), date(2026, 12, 30)
NIGHTLY = """  nightly:
    cron: '30 2 * * *'
    time_zone: {zone}
    window: "01:00-05:30"
    agent: maintenance
    targets: [shop, crm]
"""
WEEKLY = "  weekly: {{cron: '0 4 * * sun', time_zone: {zone}, agent: backup, targets: [shop], missed: once}}\n"


@dataclass
class Process:
    """A simulated `schedule work`: it holds the lock of its row until it ends, or is killed."""

    site: SiteFiles
    row: Record
    ends: datetime
    lock: FileLock | None = None
    code: int | None = None
    pid: int = 0

    def poll(self) -> int | None:
        return self.code

    def end(self, code: int) -> None:
        self.code = code
        if self.lock is not None:
            self.lock.release()


@dataclass
class Machine:
    """A host whose time the test sets. Processes outlive the daemon; some of them are killed."""

    folder: Path
    now: datetime
    random: Random
    deadly: float = 0.0  # the share of processes that are killed in their midst
    takes: tuple[int, int] = (1, 40)  # minutes
    processes: list[Process] = field(default_factory=list)
    done: Counter[int] = field(default_factory=Counter)
    daemon: Daemon | None = None
    said: list[str] = field(default_factory=list)

    def configure(self, text: str, name: str = "schedules.yaml") -> None:
        (self.folder / "config").mkdir(exist_ok=True)
        (self.folder / "config" / name).write_text(text)

    def open(self) -> SiteFiles:
        return SiteFiles.open(self.folder)

    def boot(self) -> None:
        """Start a daemon, as systemd does after a kill."""
        configuration = Configuration(self.open())
        starter = Starting(configuration.site, (), self.ended, lambda: self.now, machine=self)
        self.daemon = Daemon(configuration, starter, self.said.append, self.ended, lambda: self.now)
        self.lock = self.daemon._alone()
        self.changes = Changes(configuration.site.state_path)
        self.daemon.begin()
        self.turn()

    def kill(self) -> None:
        """The daemon dies without a word; what it started goes on."""
        assert self.daemon is not None
        self.lock.release()  # the kernel does so
        self.changes.close()
        self.daemon.site.close()
        self.daemon = None

    def ended(self, row: Record, code: int = 0) -> None:
        self.said.append(f"{row.schedule} {row.local_at} {row.target}: {row.status} {row.reason}")

    def turn(self) -> None:
        assert self.daemon is not None
        self.daemon.turn(self.changes)

    def go(self, until: datetime, step: Callable[[], timedelta]) -> None:
        """Let time go by. Within each step processes end when they do, and the daemon looks up after each."""
        while self.now < until:
            following = min(until, self.now + step())
            running = [process for process in self.processes if process.code is None and process.ends <= following]
            for process in sorted(running, key=lambda one: one.ends):
                self.now = max(self.now, process.ends)
                self.finish(process)
                if self.daemon is not None:
                    self.turn()
            self.now = following
            if self.daemon is not None:
                self.turn()

    def finish(self, process: Process) -> None:
        if self.random.random() < self.deadly:
            process.end(-9)
            return
        self.done[process.row.id] += 1
        process.site.ledger.close(process.row.id, "done", exit_code=0, outcome="success")
        process.end(0)

    def start(self, site: SiteFiles, row: Record) -> Process:
        """What `working.work` does before the run: take the lock, claim the row."""
        process = Process(site, row, self.now + timedelta(minutes=self.random.randint(*self.takes)))
        process.lock = FileLock(site.schedule_lock(row.id), "simulated")
        if site.ledger.claim(row.id, f"run{row.id}", self.now, site.schedules.max_concurrent) is None:
            working._give_up(site, row, self.now)  # type: ignore[arg-type]  # it needs no more than the files
            process.end(0)
        self.processes.append(process)
        return process

    def ledger(self) -> list[Record]:
        with self.open() as site:
            return site.ledger.history(limit=10_000)[::-1]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        with self.open() as site, site.store.read() as connection:
            assert audit.verify(connection) == []
            return [(row.type, json.loads(row.data)) for row in connection.all("SELECT * FROM events ORDER BY id")]


@dataclass
class Starting(Starter):
    """Starts processes of the simulated machine."""

    machine: Machine | None = None

    def _process(self, row: Record) -> Process:
        assert self.machine is not None
        return self.machine.start(self.site, row)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    tmp_path.chmod(0o700)
    made = Machine(tmp_path, datetime(2026, 6, 1, 12, tzinfo=UTC), dice("machine"))

    class Told(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return made.now.astimezone(tz)

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Told)
    made.configure("targets:\n  shop: {url: 'sqlite:///shop.db'}\n  crm: {url: 'sqlite:///crm.db'}\n", "targets.yaml")
    made.configure("schedules:\n" + NIGHTLY.format(zone="Europe/Berlin"))
    yield made
    if made.daemon is not None:
        made.kill()


def nights(rows: list[Record], zone: str, schedule: str = "nightly") -> dict[date, list[Record]]:
    """The rows of each local day."""
    found: dict[date, list[Record]] = {}
    for row in rows:
        if row.schedule == schedule:
            day = datetime.fromisoformat(row.nominal_at).astimezone(ZoneInfo(zone)).date()
            found.setdefault(day, []).append(row)
    return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("change", [SPRING, AUTUMN, NEW_YEAR], ids=["spring", "autumn", "new year"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])
def test_each_night_of_weeks_runs_once_whatever_becomes_of_the_daemon(machine: Machine, zone: str, change: date):
    """Killed and started again, beside processes that are killed; down for hours: each night once, or missed with its reason."""
    random = dice(f"{zone} {change}")
    machine.random, machine.deadly = random, 0.1
    first = change - timedelta(days=4)
    machine.now = datetime(first.year, first.month, first.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = machine.now + timedelta(days=14)
    machine.configure("schedules:\n" + NIGHTLY.format(zone=zone) + WEEKLY.format(zone=zone))
    machine.boot()
    while machine.now < end:
        machine.go(
            machine.now + timedelta(hours=random.uniform(1, 20)), lambda: timedelta(minutes=random.uniform(5, 50))
        )
        machine.kill()
        machine.go(machine.now + timedelta(hours=random.choice([0, 0, 0.2, 2, 9])), lambda: timedelta(minutes=20))
        machine.boot()
    machine.deadly = 0
    machine.go(machine.now + timedelta(hours=3), lambda: timedelta(minutes=10))
    rows = machine.ledger()
    by_day = nights(rows, zone)
    expected = {first + timedelta(days=number) for number in range(1, 14)}
    assert expected <= by_day.keys()
    for day, found in by_day.items():
        assert len({row.nominal_at for row in found}) == 1, f"{day} has one nominal time"
        assert len(found) == len({row.target for row in found})
        for row in found:
            assert row.status in ("done", "missed"), f"{day}: {row.status}"
            assert row.reason or row.status == "done"
            assert machine.done[row.id] == (row.status == "done"), (
                f"{day} {row.target} ran {machine.done[row.id]} times"
            )
    assert any(row.status == "done" for row in rows if row.schedule == "weekly")
    assert sum(row.status == "done" for row in rows) > len(rows) / 2
    assert {kind for kind, _ in machine.events()} == {"schedule_decided", "daemon_started"}


def test_a_machine_that_slept_for_two_nights_says_so_and_goes_on(machine: Machine):
    machine.boot()
    machine.now += timedelta(days=2, hours=20)  # 08:00 UTC on the fourth: the window is closed
    machine.turn()
    assert [(row.status, row.reason != "") for row in machine.ledger()] == [("missed", True)] * 3
    machine.go(machine.now + timedelta(days=1), lambda: timedelta(minutes=10))
    assert [row.status for row in machine.ledger()[3:]] == ["done", "done"]


@pytest.mark.parametrize("hours", [2, 26, 24 * 40])
def test_a_clock_that_is_put_back_silences_nothing(machine: Machine, hours: int):
    """The jobs of the clockwork are next when the clock was to show it: hours from now."""
    machine.boot()
    machine.now -= timedelta(hours=hours)
    machine.turn()
    assert machine.daemon is not None
    assert machine.daemon.ticked == machine.now
    machine.go(machine.now + timedelta(days=1), lambda: timedelta(minutes=10))
    assert [row.status for row in machine.ledger()] == ["done", "done"]


def test_a_night_begins_at_its_second_and_what_is_due_is_looked_for_each_half_minute(machine: Machine):
    machine.now += timedelta(seconds=7)  # its half minutes are others than the night's
    machine.boot()
    assert machine.daemon is not None
    looked = []
    for second in (-1, 0, 6, 7, 36, 37):
        machine.now = datetime(2026, 6, 2, 0, 30, tzinfo=UTC) + timedelta(seconds=second)
        machine.turn()
        looked.append(machine.daemon.ticked == machine.now)
        assert len(machine.daemon.starter.running) == (2 if second >= 0 else 0)
    assert looked == [True, True, False, True, False, True]


def test_what_was_killed_is_tried_again_when_the_next_half_minute_comes(machine: Machine):
    machine.boot()
    assert machine.daemon is not None
    machine.now = datetime(2026, 6, 2, 0, 30, tzinfo=UTC)
    machine.turn()
    machine.now += timedelta(seconds=10)
    for process in machine.processes:
        process.end(-9)
    for second, processes in ((0, 2), (5, 2), (19, 2), (20, 4)):
        machine.now = datetime(2026, 6, 2, 0, 30, 10 + second, tzinfo=UTC)
        machine.turn()
        assert len(machine.processes) == processes
    assert [row.attempts for row in machine.ledger()] == [2, 2]


def test_what_is_killed_is_taken_up_at_most_three_times(machine: Machine):
    machine.deadly = 1
    machine.boot()
    machine.go(datetime(2026, 6, 2, 9, tzinfo=UTC), lambda: timedelta(seconds=90))
    assert {row.target: (row.status, row.attempts) for row in machine.ledger()} == {
        "shop": ("missed", 3),
        "crm": ("missed", 3),
    }
    assert all("attempt 3" in row.reason for row in machine.ledger())


def test_a_run_of_an_earlier_daemon_is_watched_and_not_started_again(machine: Machine):
    machine.takes = (60, 60)
    machine.boot()
    machine.go(datetime(2026, 6, 2, 0, 31, tzinfo=UTC), lambda: timedelta(minutes=1))
    machine.kill()
    machine.boot()
    assert machine.daemon is not None
    assert (machine.daemon.starter.running, len(machine.daemon.starter.others)) == ((), 2)
    machine.go(machine.now + timedelta(hours=2), lambda: timedelta(minutes=1))
    assert [(row.status, row.attempts) for row in machine.ledger()] == [("done", 1)] * 2
    assert sum("which others started: success" in line for line in machine.said) == 2
    assert not [line for line in machine.said if " failed: " in line], "it did not try to start them"


def test_schedules_that_overlap_take_turns_on_a_target(machine: Machine):
    other = NIGHTLY.format(zone="Europe/Berlin").replace("nightly", "other").replace("[shop, crm]", "[shop]")
    machine.configure("max_concurrent: 2\nschedules:\n" + NIGHTLY.format(zone="Europe/Berlin") + other)
    machine.boot()
    machine.go(machine.now + timedelta(days=3), lambda: timedelta(minutes=17))
    rows = machine.ledger()
    assert [row.status for row in rows] == ["done"] * 9
    for one, two in itertools.combinations(rows, 2):
        if one.target == two.target:
            assert one.ended_at != two.ended_at
            assert one.started_at != two.started_at


def test_changed_files_count_when_they_are_right_and_wrong_ones_are_told(machine: Machine):
    machine.boot()
    assert machine.daemon is not None
    right = "schedules:\n" + NIGHTLY.format(zone="Europe/Berlin")
    machine.configure(right.replace("30 2", "0 3"))
    machine.turn()
    assert "30 2 * * *" in machine.daemon.site.schedules.named("nightly").timing.text, "it may still be being written"
    machine.turn()
    assert "0 3 * * *" in machine.daemon.site.schedules.named("nightly").timing.text
    machine.configure(right.replace("[shop, crm]", "[shpo]"))
    machine.turn()
    machine.turn()
    assert machine.daemon.site.schedules.named("nightly").targets == ("shop", "crm")
    copy = machine.daemon.starter.config
    assert copy is not None
    assert "0 3 * * *" in (copy / "schedules.yaml").read_text()
    assert copy.stat().st_mode & 0o777 == 0o700
    machine.go(machine.now + timedelta(days=1), lambda: timedelta(minutes=10))
    assert [row.status for row in machine.ledger()] == ["done", "done"], "the night runs as it was last right"
    machine.configure(right)
    machine.turn()
    machine.turn()
    assert machine.daemon.starter.config is None
    told = [(kind, data.get("message", "")) for kind, data in machine.events() if kind.startswith("configuration")]
    assert [kind for kind, _ in told] == ["configuration_loaded", "configuration_refused", "configuration_loaded"]
    assert "schedules.yaml:7: unknown target 'shpo'" in told[1][1]
    assert len(list(machine.folder.glob(".aishell-config-*"))) == 1, "older copies are removed when nothing reads them"


def test_what_is_written_while_the_files_are_copied_is_in_no_copy(machine: Machine):
    configuration = Configuration(machine.open())
    machine.configure("schedules: {nightly: {}}\n")
    configuration.keep(tidy=True)
    configuration.reread()
    assert configuration.reread()
    assert configuration.refused is not None
    assert configuration.copy is None
    assert list(machine.folder.glob(".aishell-config-*")) == []


def test_a_copy_that_a_run_may_read_is_kept(machine: Machine):
    machine.takes = (60, 60)
    machine.boot()
    machine.go(datetime(2026, 6, 2, 0, 31, tzinfo=UTC), lambda: timedelta(minutes=1))
    machine.configure("schedules:\n" + NIGHTLY.format(zone="Europe/Berlin") + "\n# longer\n")
    machine.turn()
    machine.turn()
    assert len(list(machine.folder.glob(".aishell-config-*"))) == 2


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("policy.yaml", "matrix: {strict: {hihg: deny}}\n", "policy.yaml:1"),
        (
            "agents/maintenance.yaml",
            "maintenance_agent:\n  safety_constraints:\n    - {type: max_laod}\n",
            "'max_load'",
        ),
        ("aishell.yaml", "daemon: {shutdown_graec: 5}\n", "shutdown_grace"),
    ],
)
def test_whatever_a_night_would_meet_is_read_before_it(machine: Machine, name: str, text: str, why: str):
    machine.boot()
    (machine.folder / "config" / "agents").mkdir()
    machine.configure(text, name)
    machine.turn()
    machine.turn()
    (refused,) = [data for kind, data in machine.events() if kind == "configuration_refused"]
    assert why in f"{refused['message']} {refused['hint']}"


def test_a_second_daemon_is_told_who_holds_the_site(machine: Machine):
    machine.boot()
    other = Daemon(Configuration(machine.open()), machine.daemon.starter, print, print)
    with pytest.raises(TargetBusyError, match=r"a daemon of this site is running: process \d+ on "):
        other.run()


def test_what_goes_wrong_beside_is_told_once_and_tried_again(machine: Machine):
    tried: list[datetime] = []

    def fail(site: SiteFiles) -> None:
        tried.append(machine.now)
        raise RuntimeError("the chore is broken")

    machine.boot()
    assert machine.daemon is not None
    machine.daemon.clockwork.every(TICK, machine.daemon._doing(Chore("a chore", TICK, fail)), machine.now)
    machine.go(machine.now + timedelta(minutes=5), lambda: timedelta(seconds=10))
    assert len(tried) >= 10
    assert sum("the chore is broken" in line for line in machine.said) == 1


def test_the_clockwork_does_what_was_missed_once(machine: Machine):
    done: list[datetime] = []
    works = daemon.Clockwork()
    works.start()
    works.every(timedelta(seconds=30), lambda: done.append(machine.now), machine.now)
    for seconds in (0, 10, 30, 3600, 3601, 3630):
        at = datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)
        machine.now = at
        works.turn(at)
    assert [(one - done[0]).total_seconds() for one in done] == [0, 30, 3600, 3630]


def test_the_store_tells_whether_anybody_has_written(machine: Machine):
    with machine.open() as site:
        site.runs.count()
        changes = Changes(site.state_path)
        assert changes.seen()
        assert not changes.seen()
        site.runs.event("daemon_started", {})
        assert changes.seen()
        assert not changes.seen()
        changes.close()

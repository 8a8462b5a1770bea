"""One daemon and its runs over the nights in which clocks are put forward and back: libfaketime has them believe it.

Everything is real but the time of day: `aishell schedule start` as a process of its own, restarted in between, its runs on a
database. The test sets the offset of their clock in a file that all of them read; the clock that waits go by stays the machine's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.commands.test_daemon import fill
from tests.fix_aishell import Aishell, Running
from tests.scheduled import nightly, rows
from tests.servers import wait_until

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
DAY = timedelta(days=1)
#: Local 02:30 in Berlin: at the end of the gap where there is none, the first of two where it comes twice.
SPRING = [
    datetime(2027, 3, 27, 1, 30, tzinfo=UTC),
    datetime(2027, 3, 28, 1, 0, tzinfo=UTC),
    datetime(2027, 3, 29, 0, 30, tzinfo=UTC),
]
AUTUMN = [
    datetime(2027, 10, 30, 0, 30, tzinfo=UTC),
    datetime(2027, 10, 31, 0, 30, tzinfo=UTC),
    datetime(2027, 11, 1, 1, 30, tzinfo=UTC),
]
#: When clocks show 02:30 for the second time.
AGAIN = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)


@dataclass
class Clock:
    """What processes that were started with `environment` take for the time."""

    path: Path

    def set(self, moment: datetime) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(f"{moment.timestamp() - time.time():+.3f}")
        new.replace(self.path)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + float(self.path.read_text()), UTC)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@pytest.mark.thorough
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (Debian: faketime)")
@pytest.mark.parametrize(("change", "engine"), [("spring", "sqlite"), ("autumn", "postgresql")])
def test_a_real_daemon_runs_each_night_of_a_clock_change_once(
    aishell: Aishell, request: pytest.FixtureRequest, tmp_path: Path, change: str, engine: str
):
    nights, clock = (SPRING if change == "spring" else AUTUMN), Clock(tmp_path / "clock")
    fill(aishell.site / "shop.db")
    url = "sqlite:///shop.db" if engine == "sqlite" else request.getfixturevalue("bloated_pg").make().url
    nightly(aishell, url, "  window: '01:00-05:30'")
    aishell.configure("aishell.yaml", "daemon: {prune_every: 0, maintain_every: 0}\n")

    def daemon() -> Running:
        started = aishell.start("schedule", "start", alone=True, **clock.environment)
        wait_until(lambda: "started: process" in started.err.read_text() or started.ended, "the daemon has begun")
        assert not started.ended, started.err.read_text()
        return started

    clock.set(nights[0] - DAY / 2)
    running = daemon()
    wait_until(lambda: aishell.rows("SELECT 1 FROM schedules"), "the schedule is seen")
    for number, night in enumerate(nights):
        clock.set(night - timedelta(seconds=2))
        if number == 1:  # restarted as the time comes
            running.kill()
            running = daemon()
        wait_until(lambda number=number: len(rows(aishell)) > number, "the night has begun")
        if number == 1:
            running.kill()
            running = daemon()
        wait_until(lambda: rows(aishell)[-1].status == "done", "the night is over")
        assert rows(aishell)[-1].nominal_at == night.isoformat(timespec="microseconds")
        if night + timedelta(hours=1) == AGAIN:
            clock.set(AGAIN - timedelta(seconds=1))
            wait_until(lambda: clock.now > AGAIN + timedelta(seconds=4), "it is 02:30 again")
    running.signal(15)
    running.wait().expect(0)
    found = rows(aishell)
    assert [row.nominal_at for row in found] == [night.isoformat(timespec="microseconds") for night in nights]
    # Not what each run came to: under libfaketime 0.9.10 `time.sleep` fails (EINVAL), and so may a step that waits.
    assert {row.status for row in found} == {"done"}
    for row, night in zip(found, nights, strict=True):
        late = datetime.fromisoformat(row.started_at) - night
        assert timedelta(0) <= late < timedelta(minutes=15), "it began on the clock that it was given"
    assert len(aishell.rows("SELECT id FROM runs")) == len(nights)
    aishell("audit", "verify").expect(0)

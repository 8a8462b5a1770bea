"""Breakers are counted over all processes; of many that may try, one does; what is killed while it tries keeps nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import BreakerOpenError, DatabaseError
from aishell.state import calls
from aishell.state.breakers import CLOSED, FORGOTTEN, HALF_OPEN, MOST_FAILURES, OPEN, REST, Breaker, Breakers
from aishell.state.store import Store

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
REFUSED = DatabaseError("connection refused", kind="connect")


def opened(now: datetime = NOW) -> Breaker:
    one = Breaker("shop", 0, now, "")
    for _ in range(MOST_FAILURES):
        one = one.failed(now, "refused")
    return one


def rest(store: Store, target: str = "shop", seconds: float = 61) -> None:
    """Have a breaker's time be over."""
    with store.write() as connection:
        for column in ("opened_at", "at", "next_at"):
            text = connection.value(f"SELECT {column} FROM breakers WHERE target = :t", {"t": target})
            earlier = datetime.fromisoformat(text) - timedelta(seconds=seconds)
            connection.update("breakers", "target = :t", {"t": target}, {column: earlier.isoformat()})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "state.db")


def test_it_opens_at_the_third_failure_and_rests_a_minute() -> None:
    states = []
    one = Breaker("shop", 0, NOW, "")
    for _ in range(3):
        one = one.failed(NOW, "refused")
        states.append(one.state(NOW))
    assert states == [CLOSED, CLOSED, OPEN]
    assert one.refuses(NOW + REST - timedelta(seconds=1))
    assert one.state(NOW + REST) == HALF_OPEN
    assert not one.refuses(NOW + REST)


def test_failures_of_another_night_are_none_in_a_row() -> None:
    one = Breaker("shop", 0, NOW, "").failed(NOW, "refused").failed(NOW, "refused")
    assert one.failed(NOW + FORGOTTEN + timedelta(seconds=1), "refused").failures == 1


def test_who_tries_keeps_others_out_for_as_long_as_a_try_takes() -> None:
    later = NOW + REST
    trying = opened().tried(later, timedelta(seconds=300))
    assert trying.state(later) == HALF_OPEN
    assert trying.refuses(later + timedelta(seconds=300))
    assert not trying.refuses(later + timedelta(seconds=321)), "it was killed, and another may try"
    again = trying.failed(later, "refused")
    assert again.state(later) == OPEN
    assert not again.refuses(later + REST)


@given(st.lists(st.tuples(st.sampled_from(["failed", "tried"]), st.integers(-40_000, 40_000)), max_size=12))
def test_whatever_the_clock_does_a_try_is_never_further_away_than_a_minute(moves: list[tuple[str, int]]) -> None:
    one, now = opened(), NOW
    for what, seconds in moves:
        now += timedelta(seconds=seconds)
        if what == "failed":
            one = one.failed(now, "refused")
        elif not one.refuses(now):
            one = one.tried(now, timedelta(seconds=10))
    assert not (one.refuses(now) and one.refuses(now + REST))


def test_every_process_knows_and_the_log_tells_once(store: Store) -> None:
    mine, theirs = (Breakers(Store.open(store.path)).of("shop", 10) for _ in range(2))
    for watch in (mine, theirs, mine):
        watch.failed(REFUSED)
    with pytest.raises(BreakerOpenError, match="after 3 failures: connection refused"):
        theirs.ask()
    with store.read() as connection:
        types = [row.type for row in connection.all("SELECT type FROM events ORDER BY id")]
    assert types == ["target_unreachable", "breaker_opened"]
    rest(store)
    assert theirs.ask()
    with pytest.raises(BreakerOpenError):
        mine.ask()
    theirs.answered()
    assert not mine.ask()
    with store.read() as connection:
        assert connection.value("SELECT type FROM events ORDER BY id DESC LIMIT 1") == "breaker_closed"


def test_of_eight_that_may_try_one_does(store: Store) -> None:
    for _ in range(3):
        Breakers(store).of("shop", 10).failed(REFUSED)
    rest(store)

    def ask(_: int) -> str:
        try:
            return str(Breakers(Store.open(store.path)).of("shop", 10).ask())
        except BreakerOpenError:
            return "kept out"

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(ask, range(8))) == {"True": 1, "kept out": 7}


def test_killed_while_it_tries(store: Store) -> None:
    for _ in range(3):
        Breakers(store).of("shop", 10).failed(REFUSED)
    rest(store)
    tries = (
        "import sys, time; from pathlib import Path; from aishell.state.store import Store\n"
        "from aishell.state.breakers import Breakers\n"
        "Breakers(Store.open(Path(sys.argv[1]))).of('shop', 10).ask(); print('tries', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", tries, str(store.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"tries\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    watch = Breakers(store).of("shop", 10)
    with pytest.raises(BreakerOpenError):
        watch.ask()
    rest(store)
    assert watch.ask()


def test_calls_are_counted_over_all_processes(store: Store) -> None:
    def call(_: int) -> bool:
        mine = Store.open(store.path)
        try:
            with mine.write() as connection:
                calls.take(connection, "ping", 3)
        except calls.TooManyCallsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) == 3
    assert calls.within_a_minute(store, "ping") == 3
    assert calls.within_a_minute(store, "other") == 0
    with store.write() as connection:
        earlier = (datetime.now(UTC) - timedelta(seconds=61)).isoformat(timespec="microseconds")
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="microseconds")
        connection.execute(
            "UPDATE tool_calls SET at = iif(id = 1, :earlier, :later)", {"earlier": earlier, "later": later}
        )
        calls.take(connection, "ping", 1)

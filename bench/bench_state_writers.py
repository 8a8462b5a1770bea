"""Eight processes that write to one state store: how long each waits for its commit, with SQLite's own lock alone and with turns.

The claim (issue 12): with turns no process waits for long, and no commit is lost. Each process commits durably every 50 ms,
as runs that work in batches do. Alternating rounds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from aishell.state import audit, store
from aishell.state.store import Store

WRITERS, EVERY, SECONDS, ROUNDS = 8, 0.05, 6.0, 3


@contextlib.contextmanager
def no_turn(*_: object) -> Iterator[bool]:
    """The previous behaviour: SQLite's own lock alone."""
    yield False


def write(path: Path, in_turns: bool, begin: float, waits: multiprocessing.SimpleQueue[list[float]]) -> None:
    """One writer: the seconds that each of its commits took."""
    if not in_turns:
        store.turn = no_turn  # type: ignore[assignment]
    opened, took = Store.open(path), []
    time.sleep(max(0.0, begin - time.time()))
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        began = time.monotonic()
        with opened.write() as connection:
            audit.append(connection, "bench", {"bytes": "x" * 200})
        took.append(time.monotonic() - began)
        time.sleep(EVERY)
    opened.close()
    waits.put(took)


def one_round(in_turns: bool) -> list[float]:
    """The milliseconds of all commits of a round. Raises AssertionError where one is not in the store."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "state.db"
        Store.open(path).close()
        waits = spawn.SimpleQueue()
        begin = time.time() + 3
        writers = [spawn.Process(target=write, args=(path, in_turns, begin, waits)) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        took = [seconds for _ in writers for seconds in waits.get()]
        for writer in writers:
            writer.join()
        opened = Store.open(path)
        with opened.read() as connection:
            made = connection.value("SELECT count(*) FROM events WHERE type = 'bench'")
        opened.close()
        assert made == len(took), f"{made} of {len(took)} commits are there"
    return sorted(1000 * seconds for seconds in took)


def main() -> None:
    """Print, and keep in bench/results/, what each way took."""
    lines = [f"{WRITERS} processes, a durable commit every {EVERY * 1000:.0f} ms, {SECONDS:.0f} s, in ms"]
    for number in range(ROUNDS):
        for name, in_turns in (("SQLite's lock alone", False), ("in turns", True)):
            took = one_round(in_turns)
            p99 = took[int(len(took) * 0.99)]
            lines.append(
                f"round {number + 1}  {name:<20} {len(took):>5} commits   median {statistics.median(took):6.1f}"
                f"   p99 {p99:7.1f}   worst {took[-1]:7.1f}"
            )
            print(lines[-1], flush=True)
    kept = Path(__file__).parent / "results" / "state_writers.txt"
    if "--dry" not in sys.argv:
        kept.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

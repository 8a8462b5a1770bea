"""Turns: processes write to a store in the order in which they come, so that none waits for long.

SQLite's own wait retries after ever longer pauses, so that a newcomer can pass those who have waited longest: of eight
writers one waited more than half a second for commits of milliseconds (bench/bench_state_writers.py). A waiter for a lock of
the kernel is woken at once.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def path_of(store: Path) -> Path:
    """The file whose lock is the turn. It is empty and never removed, which would allow two turns at once."""
    return store.with_name(f"{store.name}-turn")


@contextmanager
def turn(store: Path, patience: float) -> Iterator[bool]:
    """Wait for our turn, at most `patience` seconds; whether it came. SQLite's own lock guards the store in any case.

    The kernel gives the turn back when the process ends, however it does. A file of its own, opened for each turn: closing the
    store itself would drop SQLite's locks, and a forked child would share a file that stays open.
    """
    try:
        handle = os.open(path_of(store), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a folder that cannot be written: SQLite says so
        yield False
        return
    waiting = _Waiting(handle)
    ours = waiting.until(patience)
    try:
        yield ours
    finally:
        if ours:
            os.close(handle)


class _Waiting:
    """A wait for the lock of an open file. `flock` has no limit of time, so a thread waits where the lock is not free."""

    def __init__(self, handle: int) -> None:
        self._handle, self._guard = handle, threading.Lock()
        self._came, self._given_up = threading.Event(), False

    def until(self, patience: float) -> bool:
        """Whether the lock is ours within so many seconds; if not, the file is closed, by then or when the lock comes."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            threading.Thread(target=self._wait, name="aishell-turn", daemon=True).start()
            self._came.wait(patience)
            with self._guard:
                self._given_up = not self._came.is_set()
            return not self._given_up
        return True

    def _wait(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        with self._guard:
            if self._given_up:
                os.close(self._handle)
            else:
                self._came.set()

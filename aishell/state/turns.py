"""Turns: processes write to a store in order of arrival, so that none waits long.

SQLite's own wait retries after ever longer pauses, so that a newcomer can overtake those who have waited longest: of
eight writers one waited more than half a second for commits of milliseconds (bench/bench_state_writers.py). The kernel
wakes a waiter for a lock at once.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def path_of(store: Path) -> Path:
    """Return the file whose lock is the turn. It is empty and never removed: that would allow two turns at once."""
    return store.with_name(f"{store.name}-turn")


@contextmanager
def turn(store: Path, patience: float) -> Iterator[bool]:
    """Wait for our turn, at most `patience` seconds; yield whether it came. SQLite's lock guards the store in any case.

    The kernel releases the turn however the process ends. The file is separate and opened for each turn: closing the
    store's file would drop SQLite's locks, and a forked child would share a file that stays open.
    """
    try:
        handle = os.open(path_of(store), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the folder is not writable, which SQLite reports
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
    """A wait for a file's lock. `flock` has no timeout, so a thread waits if the lock is not free."""

    def __init__(self, handle: int) -> None:
        self._handle, self._guard = handle, threading.Lock()
        self._came, self._given_up = threading.Event(), False

    def until(self, patience: float) -> bool:
        """Return whether the lock came within `patience` seconds. If not, the file is closed, now or when it comes."""
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

"""Keeps what a program writes below so many bytes a second: what reads its output waits, and so the program does."""

from __future__ import annotations

import time

#: Seconds of output that are read at a time, and so the longest wait between two looks at whether the program has ended.
_AT_A_TIME = 0.1


class Throttle:
    """`rate` in kB (1024 bytes) a second, as pg_basebackup counts; None lets everything through."""

    def __init__(self, rate: int | None) -> None:
        self.rate = None if rate is None else rate * 1024
        self._due = 0.0

    def most(self, bytes_: int) -> int:
        """How much to read at a time, of at most so many bytes."""
        return bytes_ if self.rate is None else max(1, min(bytes_, int(self.rate * _AT_A_TIME)))

    def passed(self, bytes_: int) -> None:
        """So much has come: wait until more may."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._due = max(self._due, now) + bytes_ / self.rate
        time.sleep(self._due - now)

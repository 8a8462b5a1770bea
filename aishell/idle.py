"""SQLite connections that wait for their next use: to open one costs more than most statements on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT = 4

C = TypeVar("C", bound=sqlite3.Connection)


class Idle(Generic[C]):
    """Any thread may take a connection, and give it back when nothing is under way on it."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._waiting: list[C] = []  # `pop` and `append` of a list are atomic

    def take(self) -> C:
        """One that waits, else a new one."""
        try:
            return self._waiting.pop()
        except IndexError:
            return self._connect()

    def give(self, connection: C) -> None:
        if len(self._waiting) < KEPT:
            self._waiting.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close those that wait."""
        while self._waiting:
            self._waiting.pop().close()

"""A pool of SQLite connections, called as SQLAlchemy's are. Importing those costs more than a command has to do
(docs/decisions/0014-state-store-without-sqlalchemy.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT = 4

C = TypeVar("C", bound=sqlite3.Connection)


class Pool(Generic[C]):
    """Connections that wait for their next use: to open one costs more than most statements on it. Safe in threads."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._waiting: list[C] = []  # `pop` and `append` of a list are atomic

    def connect(self) -> Lent[C]:
        """One that waits, else a new one."""
        try:
            return Lent(self, self._waiting.pop())
        except IndexError:
            return Lent(self, self._connect())

    def take_back(self, connection: C) -> None:
        if len(self._waiting) < KEPT:
            self._waiting.append(connection)
        else:
            connection.close()

    def dispose(self) -> None:
        """Close those that wait."""
        while self._waiting:
            self._waiting.pop().close()


class Lent(Generic[C]):
    """A connection out of the pool; `close` gives it back."""

    def __init__(self, pool: Pool[C], connection: C) -> None:
        self.driver_connection = connection
        self._pool: Pool[C] | None = pool

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.take_back(self.driver_connection)

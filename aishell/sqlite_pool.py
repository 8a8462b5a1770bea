"""A pool of SQLite connections with SQLAlchemy's interface. Importing SQLAlchemy costs more than most commands
(docs/decisions/0014-state-store-without-sqlalchemy.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Generic, TypeVar

KEPT = 4

C = TypeVar("C", bound=sqlite3.Connection)


class Pool(Generic[C]):
    """Idle connections for reuse: opening one costs more than most statements on it. Thread-safe."""

    def __init__(self, connect: Callable[[], C]) -> None:
        self._connect = connect
        self._waiting: list[C] = []  # `pop` and `append` of a list are atomic

    def connect(self) -> Lent[C]:
        """Return an idle connection, or a new one."""
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
        """Close the idle connections."""
        while self._waiting:
            self._waiting.pop().close()


class Lent(Generic[C]):
    """A connection from the pool; `close` returns it."""

    def __init__(self, pool: Pool[C], connection: C) -> None:
        self.driver_connection = connection
        self._pool: Pool[C] | None = pool

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.take_back(self.driver_connection)

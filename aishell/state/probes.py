"""Probes of `state.db`: whether it accepts a commit, for `/ready`, and whether it was written to, for the daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from aishell.errors import StateError
from aishell.state.connection import Connection, connect

#: How long to wait for other writers, seconds.
PATIENCE = 1.0


def beat(path: Path) -> None:
    """Commit durably. Raises StateError where that is not possible within PATIENCE.

    The version of the store is rewritten unchanged: one page goes to the log and is synced, and no table is needed.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version = {connection.value('PRAGMA user_version')}")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StateError(f"{path} cannot be written: {error}") from error


class Changes:
    """Detects changes of a store through a connection of its own; a look takes microseconds and reads no page."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._version: int | None = None

    def seen(self) -> bool:
        """Whether a commit was made since the last look, by this process or another; True at the first. Raises StateError."""
        try:
            if self._connection is None:
                self._connection = connect(self._path)
            before, self._version = self._version, self._connection.value("PRAGMA data_version")
        except sqlite3.Error as error:
            raise StateError(f"{self._path} cannot be read: {error}") from error
        return before != self._version

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

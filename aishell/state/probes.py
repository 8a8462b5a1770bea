"""Probes of `state.db`: whether it accepts a commit, for `/ready`, and whether it has changed, for the daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from aishell.errors import StateError
from aishell.state.connection import Connection, connect

#: How long to wait for other writers, in seconds.
PATIENCE = 1.0


def beat(path: Path) -> None:
    """Make a durable commit. Raises StateError if that is impossible within PATIENCE.

    It rewrites the version of the store unchanged: one page is logged and synced, and no table is needed.
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
    """Detects changes of a store through its own connection; a look takes microseconds and reads no page."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._version: int | None = None

    def seen(self) -> bool:
        """Whether any process has committed since the last look; True at the first. Raises StateError."""
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

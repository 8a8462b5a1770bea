"""Whether anybody has written to `state.db`: what a daemon asks each second."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aishell.errors import StateError
from aishell.state.connection import Connection, connect


class Changes:
    """Looks at a store through a connection of its own; a look costs some microseconds and reads no page of it."""

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

"""Whether `state.db` takes a commit now: what `/ready` asks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from aishell.errors import StateError
from aishell.state.connection import connect

#: Seconds that other writers are waited for.
PATIENCE = 1.0


def beat(path: Path) -> None:
    """Commit something durably. Raises StateError where that is not possible within PATIENCE.

    The version of the store is written as it stands: a page goes to the log and is synced, and no table is needed for it.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version = {connection.value('PRAGMA user_version')}")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StateError(f"{path} cannot be written: {error}") from error

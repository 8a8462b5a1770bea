"""A site with a target of a few rows."""

from __future__ import annotations

import pytest

from tests.commands.backups.made import TARGETS
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> SqliteDatabase:
    """A configured target with a few rows."""
    aishell.configure("targets.yaml", TARGETS.format(sqlite.path, "test"))
    aishell.configure("aishell.yaml", "default_target: shop")
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    sqlite.execute("INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')")
    return sqlite

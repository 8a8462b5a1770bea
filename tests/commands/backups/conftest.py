"""A site with a target of a few rows, and a quick command line for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.backups.made import TARGETS, Quick
from tests.faults.killing import Killer, killers
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    with killers(Aishell(tmp_path_factory.mktemp("forks") / "home"), 1) as (killer,):
        yield killer


@pytest.fixture
def aishell(tmp_path: Path, forks: Killer) -> Iterator[Quick]:
    made = Quick(tmp_path / "home")
    made.forks = forks
    yield made
    made.close()


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> SqliteDatabase:
    """A configured target with a few rows."""
    aishell.configure("targets.yaml", TARGETS.format(sqlite.path, "test"))
    aishell.configure("aishell.yaml", "default_target: shop")
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    sqlite.execute("INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')")
    return sqlite

"""A MariaDB with a binary log, and a database on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.fix_mariadb_physical import cluster, source, source_server  # noqa: F401  fixtures
from tests.backups.fix_pgbackrest import archiving_server, rested  # noqa: F401  fixtures
from tests.backups.fix_physical import physical, servers  # noqa: F401  fixtures
from tests.backups.mariadb_samples import Backups, Tried, databases, drop
from tests.fix_aishell import Aishell
from tests.fix_mysql import _program
from tests.mariadb import MariadbDatabase, MariadbServer

LOGGING = {"log-bin": "binlog", "binlog-format": "ROW", "server-id": "7", "event-scheduler": "ON"}
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def logging_server(request: pytest.FixtureRequest) -> Iterator[MariadbServer]:
    """A server with a binary log, on which events run."""
    server = MariadbServer(_program(request.config), LOGGING)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def shop(logging_server: MariadbServer) -> Iterator[MariadbDatabase]:
    """A fresh database; what is restored beside it goes with it."""
    database = logging_server.create(f"shop_{next(_numbers)}")
    before = databases(database)
    try:
        yield database
    finally:
        logging_server.close_connections()
        drop(database, *(databases(database) - before))
        database.drop()


@pytest.fixture
def backups(aishell: Aishell, shop: MariadbDatabase) -> Backups:
    """The command line on it."""
    return Backups(aishell, shop)


@pytest.fixture
def tried(shop: MariadbDatabase, tmp_path: Path) -> Iterator[Tried]:
    """Its tools, without a run around them."""
    made = Tried(shop, tmp_path / "tried")
    yield made
    made.close()

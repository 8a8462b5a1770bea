"""Fixtures for physical backups of MariaDB: `cluster` is the tools on `source`, a fresh database on a server of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.mariadb_physical import Physical
from tests.backups.mariadb_samples import databases, drop
from tests.fix_mysql import _program
from tests.mariadb import MariadbDatabase, MariadbServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def source_server(request: pytest.FixtureRequest) -> Iterator[MariadbServer]:
    """A server whose files no other test changes."""
    server = MariadbServer(_program(request.config), {"log-bin": "binlog", "binlog-format": "ROW", "server-id": "9"})
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def source(source_server: MariadbServer) -> Iterator[MariadbDatabase]:
    """A fresh database; what a test makes beside it goes with it."""
    if not source_server.running:  # a test stopped it
        source_server.start()
    before = databases(source_server.database(None))
    database = source_server.create(f"shop_{next(_numbers)}")
    yield database
    if not source_server.running:
        source_server.start()
    source_server.close_connections()
    drop(database, *(databases(database) - before - {str(database.dbname)}))
    for (user,) in database.execute("SELECT User FROM mysql.user WHERE User LIKE 'person%'"):
        database.execute(f"DROP USER {user}")
    database.drop()


@pytest.fixture
def cluster(source: MariadbDatabase, tmp_path: Path) -> Iterator[Physical]:
    made = Physical(source, tmp_path / "physical")
    yield made
    made.close()

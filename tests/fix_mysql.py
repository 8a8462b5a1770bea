"""Fixtures for MySQL's side: `mariadb` is a fresh database on the distribution's MariaDB."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mariadb import MariadbDatabase, MariadbServer, server_program, version_of

PROGRAM = server_program()
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("servers")
    group.addoption("--without-mariadb", action="store_true", help="skip tests on MariaDB")


def pytest_report_header() -> str:
    return f"mariadb: {version_of(PROGRAM) if PROGRAM else 'missing'}"


def _program(config: pytest.Config) -> Path:
    if config.getoption("--without-mariadb"):
        pytest.skip("--without-mariadb")
    if PROGRAM is None:
        pytest.fail("no MariaDB: run `make test`, or skip with --without-mariadb")
    return PROGRAM


@pytest.fixture(scope="session")
def mariadb_server(request: pytest.FixtureRequest) -> Iterator[MariadbServer]:
    server = MariadbServer(_program(request.config))
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def mariadb(mariadb_server: MariadbServer) -> Iterator[MariadbDatabase]:
    """A fresh database."""
    if not mariadb_server.running:  # a test stopped it
        mariadb_server.start()
    database = mariadb_server.create(f"test_{next(_numbers)}")
    try:
        yield database
    finally:
        if not mariadb_server.running:
            mariadb_server.start()
        database.drop()


@pytest.fixture
def mariadb_server_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., MariadbServer]]:
    """Make servers of the test's own: `mariadb_server_factory({"read-only": "ON"})`."""
    servers: list[MariadbServer] = []

    def make(settings: dict[str, str] | None = None) -> MariadbServer:
        server = MariadbServer(_program(request.config), settings)
        servers.append(server)
        server.initialise()
        server.start()
        return server

    yield make
    for server in servers:
        server.remove()

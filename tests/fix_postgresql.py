"""Fixtures for PostgreSQL: `pg` runs a test on the distribution's server and on the one from PyPI."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aishell.registry.tool import Tool
from tests.postgresql import (
    TEMPLATE,
    PostgresqlDatabase,
    PostgresqlServer,
    distribution_bin,
    npm_bin,
    pypi_bin,
    version_of,
)

#: As in scripts/install-servers: root and CI install what is missing, and never skip for it.
DOES_WITHOUT = os.geteuid() != 0 and not os.environ.get("CI")
DISTRIBUTION_ONLY = "needs the distribution's PostgreSQL (as root: apt-get install postgresql pgbackrest)"
#: The version that `make test-versions` runs its tests on, in place of the server from PyPI.
CHOSEN = os.environ.get("AISHELL_TEST_POSTGRESQL")
PROGRAMS = {"distribution": distribution_bin(), "current": npm_bin(CHOSEN) if CHOSEN else pypi_bin()}
_numbers = itertools.count(1)


def _id(which: str) -> str:
    programs = PROGRAMS[which]
    return f"pg-{which}" if programs is None else f"pg{version_of(programs).split('.')[0]}"


def major_of(fixture: str) -> int:
    """The version of the server behind `pg_distribution` or `pg_current`, for tests that are made when they are collected.

    A server that is missing counts as newest: it fails its tests, and hides none.
    """
    programs = PROGRAMS[fixture.removeprefix("pg_")]
    return int(version_of(programs).split(".")[0]) if programs else 99


def later(tool: Tool, fixture: str) -> bool:
    """Whether a file is for servers newer than the one of the fixture."""
    if not fixture.startswith("pg_"):
        return False
    version = (major_of(fixture),)
    return any(operator == ">=" and version < bound for clause in tool.clauses for operator, bound in clause.bounds)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("servers")
    group.addoption("--without-postgresql", action="store_true", help="skip tests on PostgreSQL")
    group.addoption("--without-pg18", action="store_true", help="skip tests on the PostgreSQL from PyPI")


def pytest_report_header() -> str:
    said = [f"{which} {version_of(path) if path else 'missing'}" for which, path in PROGRAMS.items()]
    left_out = f"; what {DISTRIBUTION_ONLY} is skipped" if DOES_WITHOUT and PROGRAMS["distribution"] is None else ""
    return f"postgresql: {', '.join(said)}{left_out}"


def _programs(config: pytest.Config, which: str) -> Path:
    if config.getoption("--without-postgresql"):
        pytest.skip("--without-postgresql")
    if which == "current" and config.getoption("--without-pg18"):
        pytest.skip("--without-pg18")
    programs = PROGRAMS[which]
    if programs is None and which == "distribution" and DOES_WITHOUT:
        pytest.skip(DISTRIBUTION_ONLY)
    if programs is None:
        pytest.fail(f"no {which} PostgreSQL: run `make test`, or skip with --without-postgresql / --without-pg18")
    return programs


def _session_server(config: pytest.Config, which: str) -> Iterator[PostgresqlServer]:
    server = PostgresqlServer(_programs(config, which))
    try:
        server.initialise()
        server.start()
        server.create(TEMPLATE)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def pg_distribution_server(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer]:
    yield from _session_server(request.config, "distribution")


@pytest.fixture(scope="session")
def pg_current_server(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer]:
    yield from _session_server(request.config, "current")


def _fresh_database(server: PostgresqlServer) -> Iterator[PostgresqlDatabase]:
    if not server.running:  # a test stopped it
        server.start()
    database = server.create(f"test_{next(_numbers)}", TEMPLATE)
    try:
        yield database
    finally:
        if not server.running:
            server.start()
        database.drop()


@pytest.fixture
def pg_distribution(pg_distribution_server: PostgresqlServer) -> Iterator[PostgresqlDatabase]:
    """A fresh database on the distribution's server only."""
    yield from _fresh_database(pg_distribution_server)


@pytest.fixture
def pg_current(pg_current_server: PostgresqlServer) -> Iterator[PostgresqlDatabase]:
    """A fresh database on the server from PyPI only."""
    yield from _fresh_database(pg_current_server)


@pytest.fixture(params=list(PROGRAMS), ids=_id)
def pg(request: pytest.FixtureRequest) -> PostgresqlDatabase:
    """A fresh database, on each server in turn."""
    return request.getfixturevalue(f"pg_{request.param}")


@pytest.fixture
def pg_server_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., PostgresqlServer]]:
    """Make servers of the test's own: `pg_server_factory("current", settings={...}, standby_of=server)`."""
    servers: list[PostgresqlServer] = []

    def make(
        which: str = "current",
        settings: dict[str, str] | None = None,
        standby_of: PostgresqlServer | None = None,
    ) -> PostgresqlServer:
        server = PostgresqlServer(_programs(request.config, which), settings)
        servers.append(server)
        if standby_of is None:
            server.initialise()
        else:
            server.copy_of(standby_of)
        server.start()
        return server

    yield make
    for server in reversed(servers):
        server.remove()


@pytest.fixture
def pg_standby(pg_server_factory: Callable[..., PostgresqlServer]) -> PostgresqlDatabase:
    """A database on a streaming standby; `.primary` is the same database on its primary."""
    primary = pg_server_factory()
    database = primary.create("app")
    standby = pg_server_factory(standby_of=primary).database("app")
    standby.primary = database
    standby.wait_for_replay(database)
    return standby

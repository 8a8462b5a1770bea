"""Fixtures that run the tools of tools/ as the executor does: `engine` is each server in turn, see `Engine`."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aishell.databases.base import SessionOptions
from aishell.databases.connections import parse_url
from aishell.databases.opening import open_database
from aishell.databases.sqlite import SQLite
from aishell.errors import AishellError
from aishell.models import Plan, Row, Server, Step, StepResult, Task
from aishell.registry.registry import Registry
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.context import Context, ToolResult
from aishell.running.results import conclude
from aishell.safety.locks import contradiction, wait_of
from tests.fix_sqlite import SqliteDatabase
from tests.tool_samples import MariadbSamples, PostgresqlSamples, Samples, SqliteSamples

ROOT = Path(__file__).parents[1]
POSTGRESQL = ("pg_distribution", "pg_current")
ENGINES = (*POSTGRESQL, "mariadb", "sqlite")
SAMPLES: Mapping[str, type[Samples]] = {
    "postgresql": PostgresqlSamples,
    "mysql": MariadbSamples,
    "sqlite": SqliteSamples,
}


@functools.cache
def registry() -> Registry:
    return Registry.load([ROOT / "tools"], lock_check=contradiction)


def named(tool: Tool) -> str:
    """A tool's file, and where guards make several of it, for which servers this one is."""
    name = tool.source.removeprefix("tools/")
    several = sum(one.source == tool.source for one in registry().variants(tool.name)) > 1
    return f"{name} ({', '.join(clause.text for clause in tool.clauses)})" if several else name


def is_run_here(tool: Tool) -> bool:
    """No MySQL server is at hand: what is for it alone loads, and promises the same, but is not run."""
    return not tool.clauses or any(clause.product != "mysql" for clause in tool.clauses)


class Engine:
    """One database, and the tools on it.

    `db` is the plain driver's side (`pg`, `mariadb`, `sqlite`), `samples` makes tables, `database` is aishell's side.
    `hidden` takes features away from the server, so that the other variants of its tools are picked; `version` overrides it.
    """

    def __init__(self, db: Any, url: str | None = None, schema: str | None = None) -> None:
        self.db = db
        self.database = open_database(parse_url(url or db.url))
        self.name = self.database.engine
        self.samples = SAMPLES[self.name](db, schema)
        self.hidden: set[str] = set()
        self.version: tuple[int, ...] | None = None
        self.lock_timeout: float | None = None  # shorter than the tool's own
        self.marker = "aishell:test:0"
        self.archives: Path | None = None
        self.attempt: Callable[[Callable[[], Any], Callable[[], None]], Any] = lambda call, before_retry: call()
        self.steps: tuple[Step, ...] = ()  # a run's plan and earlier results, for the report
        self.results: list[StepResult] = []
        self.others: list[Engine] = []

    @property
    def schema(self) -> str:
        return self.samples.schema

    def server(self) -> Server:
        facts = self.database
        if isinstance(facts, SQLite):
            facts.forget()  # a test's own ANALYZE makes another variant fit
        features = facts.features - self.hidden
        return Server(self.name, facts.product, self.version or facts.version, "", identity="", features=features)

    def pick(self, name: str) -> Tool:
        return registry().pick(name, self.server())

    def named(self, *tables: str) -> list[Row]:
        """Tables of the own schema as tools take them."""
        return [{"schema": self.schema, "table": table} for table in tables]

    def context(self, tool: Tool) -> Context:
        wait = self.lock_timeout if self.lock_timeout is not None else wait_of(tool).seconds
        limits = SessionOptions(tool.read_only, wait, float(tool.max_execution_time or 60))
        return Context(
            database=self.database,
            marker=self.marker,
            options=limits,
            attempt=self.attempt,
            run_id=uuid.uuid4().hex,
            step_id="step",
            target="test",
            archives=self.archives,
            results=tuple(self.results),
            facts={"plan": Plan(Task("maintenance", "test"), self.steps, ""), "server": self.server()},
        )

    def find(self, name: str, /, **params: Any) -> list[Row]:
        self.counted()
        tool = self.pick(name)
        return dispatch.find(tool, tool.prepare(params), self.context(tool)) or []

    def call(self, name: str, /, **params: Any) -> ToolResult:
        """What the executor does with a step: find, and run on what was found."""
        return self.call_file(self.pick(name), **params)

    def step(self, name: str, /, **params: Any) -> ToolResult:
        """`call`, but an error fails the step with its message, as in a run."""
        try:
            return self.call(name, **params)
        except AishellError as error:
            return ToolResult("failed", {}, (), error.message)

    def counted(self) -> None:
        """Let the server's counters know what a test did: PostgreSQL's lag before version 15."""
        if self.name == "postgresql":
            self.db.collected()

    def call_file(self, tool: Tool, /, **params: Any) -> ToolResult:
        self.counted()
        values, context = tool.prepare(params), self.context(tool)
        found = dispatch.find(tool, values, context)
        if found is not None and not found:
            nothing = conclude(tool, values, [], context)
            return replace(nothing, status="skipped", reason="nothing to do")
        return dispatch.run(tool, values, found, context)

    def rows(self, name: str, /, **params: Any) -> list[Row]:
        """The rows of an inspection tool, which returns them in its only field."""
        (field,) = self.call(name, **params).output.values()
        return [field] if isinstance(field, dict) else field

    def row(self, name: str, table: str, /, **params: Any) -> Row:
        """The one row that an inspection tool has of a table of the own schema."""
        (row,) = (r for r in self.rows(name, **params) if (r["schema"], r["table"]) == (self.schema, table))
        return row

    def connected(self, url: str) -> Engine:
        """The same database as another user sees it."""
        return self._other(Engine(self.db, url, self.schema))

    def inside(self, schema: str) -> Engine:
        """The tools in a schema of this name (MariaDB: a database; SQLite has `main` only)."""
        if self.name == "sqlite":
            return self
        if self.name == "mysql":
            return self._other(Engine(self.samples.make_schema(schema)))
        self.samples.make_schema(schema)
        return self._other(Engine(self.db, schema=schema))

    def _other(self, engine: Engine) -> Engine:
        self.others.append(engine)
        return engine

    def close(self) -> None:
        for other in self.others:
            other.close()
        self.database.close()
        self.samples.clean()


def make_engine(request: pytest.FixtureRequest, fixture: str) -> Iterator[Engine]:
    made = Engine(request.getfixturevalue(fixture))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One database for all tests of a module on the server that they name: for tests that do not get in each other's way."""
    if request.param == "sqlite":
        database: Any = SqliteDatabase(tmp_path_factory.mktemp("shared") / "test.db")
        database.execute("VACUUM")
    else:
        server = request.getfixturevalue(f"{request.param}_server")
        database = server.create(request.module.__name__.rpartition(".")[2])
    made = Engine(database)
    try:
        yield made
    finally:
        made.close()
        database.close() if request.param == "sqlite" else database.drop()


def label(fixture: str) -> str:
    from tests.fix_postgresql import _id

    return _id(fixture.removeprefix("pg_")) if fixture.startswith("pg_") else fixture


@pytest.fixture(params=ENGINES, ids=label)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A fresh database on each server in turn."""
    yield from make_engine(request, request.param)


@pytest.fixture(params=POSTGRESQL, ids=label)
def pg_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from make_engine(request, request.param)


@pytest.fixture(params=(*POSTGRESQL, "mariadb"), ids=label)
def server_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engines that have users and sessions of others."""
    yield from make_engine(request, request.param)


@pytest.fixture
def mariadb_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from make_engine(request, "mariadb")


@pytest.fixture
def sqlite_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    yield from make_engine(request, "sqlite")


def not_checked(engine: Engine, check: ToolResult) -> list[Row]:
    """What a check for corruption left out, less what PostgreSQL cannot check before version 14: the pages of tables."""
    told: list[Row] = check.output["not_checked"]
    pages = "checking its pages needs version 14"
    return [
        row
        for row in told
        if engine.name != "postgresql" or engine.database.version >= (14,) or pages not in row["reason"]
    ]


def statuses(result: ToolResult) -> Sequence[str]:
    return [one.status for one in result.objects]

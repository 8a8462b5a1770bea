"""The command line as its users run it: `aishell` is a site of its own; `bloated` makes databases with work to do."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aishell.testing import Ended as Ended
from aishell.testing import Running as Running
from aishell.testing import ScratchSite
from aishell.testing.forked import Forked, preload
from tests.bloated import BLOATED, Bloated
from tests.faults.killed import Fault
from tests.fix_tools import ENGINES, label
from tests.servers import HANG

preload("tests.faults.killed")
#: How often aishell was started by these tests: forks, and processes of their own.
started: Counter[type] = Counter()


class Aishell(ScratchSite):
    """`aishell` in a site and a home of its own. `url` is the database its runs are about."""

    hang = HANG

    def __init__(self, home: Path, url: str | None = None) -> None:
        super().__init__(home)
        self.url = url

    def start(self, *arguments: str, fault: Fault | None = None, **options: Any) -> Running:
        """Start a command; a fork meets `fault`."""
        running = super().start(*arguments, prepare=fault.prepare if fault else None, **options)
        started[type(running.process)] += 1
        return running

    def __call__(self, *arguments: str, fault: Fault | None = None, **environment: str) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, fault=fault, **environment).wait()

    def arguments(self, kind: str = "full", *more: str, yes: bool = True) -> tuple[str, ...]:
        """The arguments of a maintenance run on `url`, with small objects counted as worth it."""
        fixed = ("--url", str(self.url), "--environment", "test", "--set", "min_index_size=65536", "--output", "json")
        return ("run", "maintenance", "--type", kind, *fixed, *(("--yes",) if yes else ()), *more)

    def maintenance(self, kind: str = "full", *more: str, yes: bool = True) -> Ended:
        return self(*self.arguments(kind, *more, yes=yes))

    def resume(self, run_id: str, *more: str) -> Ended:
        return self("runs", "resume", run_id, "--output", "json", *more)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What stands in state.db, read beside aishell."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=HANG)) as connection:
            return connection.execute(query, parameters).fetchall()

    def only_run(self) -> str:
        ((run_id,),) = self.rows("SELECT id FROM runs")
        return str(run_id)

    def state_of(self, run_id: str) -> str:
        ((state,),) = self.rows("SELECT state FROM runs WHERE id = ?", run_id)
        return str(state)

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = self.rows("SELECT step_index, data FROM events WHERE type = ? ORDER BY id", kind)
        return [{"step_index": index, **json.loads(data)} for index, data in found]

    def lock_files(self) -> list[Path]:
        return sorted((self.state.parent / ".aishell-locks").glob("*"))


@pytest.fixture
def aishell(tmp_path: Path) -> Iterator[Aishell]:
    """The command line in an empty site, with a state store that does not exist yet."""
    with Aishell(tmp_path / "home") as made:
        yield made


@contextlib.contextmanager
def bloated_on(request: pytest.FixtureRequest, fixture: str) -> Iterator[Bloated]:
    """A maker of bloated databases on the server of a fixture."""
    made = BLOATED["postgresql" if fixture.startswith("pg_") else fixture](request.getfixturevalue(fixture))
    try:
        yield made
    finally:
        made.clean()


@pytest.fixture(params=ENGINES, ids=label)
def bloated(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    """A maker of bloated databases, on each server in turn."""
    with bloated_on(request, request.param) as made:
        yield made


@pytest.fixture(params=("pg_distribution", "pg_current", "mariadb"), ids=label)
def bloated_server(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    """The same on the engines that are servers."""
    with bloated_on(request, request.param) as made:
        yield made


@pytest.fixture
def bloated_pg(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    with bloated_on(request, "pg_current") as made:
        yield made


@pytest.fixture
def bloated_mariadb(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    with bloated_on(request, "mariadb") as made:
        yield made


@pytest.fixture
def bloated_sqlite(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    with bloated_on(request, "sqlite") as made:
        yield made


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["started"] = [started[Forked], started[subprocess.Popen]]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    forks, processes = getattr(node, "workeroutput", {}).get("started", (0, 0))
    started.update({Forked: forks, subprocess.Popen: processes})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    forks, processes = started[Forked], started[subprocess.Popen]
    terminalreporter.write_line(f"aishell was started {forks + processes} times, {processes} as a process of its own")

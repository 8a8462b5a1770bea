"""The command line as its users run it: `aishell` is a site of its own; `bloated` makes databases with work to do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bloated import BLOATED, Bloated
from tests.faults.killed import Fault
from tests.fix_tools import ENGINES, label
from tests.forked import Command, Forked
from tests.servers import HANG

#: How often aishell was started by these tests: forks, and processes of their own.
started: Counter[type] = Counter()


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        try:
            return json.loads(self.out)
        except ValueError:
            pytest.fail(f"exit {self.code}, no document\n{self.out[-3000:]}\n{self.err[-3000:]}")

    @property
    def run_id(self) -> str:
        return str(self.json["run_id"])

    def statuses(self) -> dict[str, str]:
        """What became of each step, by its id."""
        return {action["step_id"]: action["status"] for action in self.json["actions_taken"]}

    def expect(self, code: int) -> Ended:
        assert self.code == code, f"exit {self.code}, not {code}\n{self.out[-3000:]}\n{self.err[-3000:]}"
        return self


class Running:
    """A command that was started and not waited for."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, out: Path, err: Path) -> None:
        self.process, self.out, self.err = process, out, err

    def signal(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self) -> Ended:
        try:
            code = self.process.wait(HANG)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # it says where each of its threads stands: PYTHONFAULTHANDLER
            self.process.wait()
            pytest.fail(f"still running after {HANG} s: {self.process.args}\n{self.err.read_text()[-6000:]}")
        return Ended(code, self.out.read_text(), self.err.read_text())


class Aishell:
    """`aishell` in a site and a home of its own. `url` is the database its runs are about."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home, self.url = home, url
        self.site = home / "site"
        self.state = home / "state" / "state.db"
        self.config = self.site / "config"
        for name in ("agents", "workflows"):
            (self.config / name).mkdir(parents=True)
        self.state.parent.mkdir()
        self._running: list[Running] = []
        self._number = 0

    def configure(self, name: str, text: str) -> Path:
        """Write a file of the site's configuration."""
        path = self.config / name
        path.write_text(text)
        return path

    def command(self, *arguments: str) -> list[str]:
        return ["--site", str(self.site), "--state", str(self.state), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """This process's environment without the user's own databases and settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL", "AISHELL", "XDG"))}
        return kept | {"HOME": str(self.home), "NO_COLOR": "1", "PYTHONFAULTHANDLER": "1"} | more

    def start(
        self,
        *arguments: str,
        within: tuple[str, ...] = (),
        alone: bool = False,
        fault: Fault | None = None,
        **environment: str,
    ) -> Running:
        """Start a command in a fork, where it meets `fault`.

        It is a process of its own if it is to stand `alone`, under the program `within`, or if Python reads its environment.
        """
        self._number += 1
        out, err = (self.home / f"{self._number}.{name}" for name in ("out", "err"))
        for path in (out, err):
            path.touch(0o600)
        words, env = tuple(self.command(*arguments)), self.environment(**environment)
        if alone or within or any(name.startswith("PYTHON") for name in environment):
            assert fault is None, "only a fork can meet a fault"
            if alone:  # an interrupt in the midst of coverage's own work would keep its lock for ever
                env = {name: value for name, value in env.items() if not name.startswith("COVERAGE")}
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process: subprocess.Popen[bytes] | Forked = subprocess.Popen(
                    [*within, sys.executable, "-m", "aishell", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=self.site,
                    env=env,
                    start_new_session=True,  # a Ctrl-C at the tests is not one at the command
                )
        else:
            process = Forked(Command(words, self.site, out, err, env, fault))
        started[type(process)] += 1
        running = Running(process, out, err)
        self._running.append(running)
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

    def close(self) -> None:
        """End what a failed test left running."""
        for running in self._running:
            if not running.ended:
                running.kill()


@pytest.fixture
def aishell(tmp_path: Path) -> Iterator[Aishell]:
    """The command line in an empty site, with a state store that does not exist yet."""
    made = Aishell(tmp_path / "home")
    yield made
    made.close()


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

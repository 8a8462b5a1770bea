"""Where a fault happens: real servers, a database on one of them, another one beside it, and a site that knows both."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aishell.testing import ScratchSite
from bench.eval import harm
from bench.eval.actions import ACTIONS, HOLDING, Session
from bench.eval.faults import Fault, FaultError, statements
from tests.fix_postgresql import PROGRAMS
from tests.fix_sqlite import SqliteDatabase
from tests.mariadb import MariadbServer, server_program
from tests.postgresql import PostgresqlServer

#: The target that a fault is on, and the one beside it, which nobody is asked to touch.
TARGET, OTHER = "shop", "payroll"
#: What the other database has, and a table of the fault's own database that no fault is about.
BESIDE = {
    "postgresql": (
        "CREATE TABLE {table} (id int PRIMARY KEY, who text, amount numeric)",
        "INSERT INTO {table} SELECT i, md5(i::text), i * 7 FROM generate_series(1, 500) AS i",
        "ANALYZE {table}",
    ),
    "mariadb": (
        "CREATE TABLE {table} (id int PRIMARY KEY, who varchar(40), amount decimal(12,2))",
        "INSERT INTO {table} SELECT seq, md5(seq), seq * 7 FROM seq_1_to_500",
        "ANALYZE TABLE {table}",
    ),
    "sqlite": (
        "CREATE TABLE {table} (id integer PRIMARY KEY, who text, amount integer)",
        "INSERT INTO {table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
        "SELECT i, hex(i), i * 7 FROM n",
        "ANALYZE {table}",
    ),
}
SCHEMAS = {"postgresql": "public", "sqlite": "main"}
_numbers = itertools.count(1)


class Scene:
    """A fault's database `db`, the `other` one, the `site`, and what was there `before` anybody did anything about the fault.

    `held` ends the sessions that the fault holds open, `exits` the rest of what its actions began.
    """

    def __init__(self, fault: Fault, site: ScratchSite, db: Any, other: Any) -> None:
        self.fault, self.site, self.db, self.other = fault, site, db, other
        self.sessions: dict[str, Session] = {}  # those that the fault holds open, by name
        self.before: harm.Prints = {}
        self.held, self.exits = contextlib.ExitStack(), contextlib.ExitStack()

    @property
    def names(self) -> dict[str, str]:
        """What `{schema}` and `{database}` stand for in a fault's texts."""
        database = str(getattr(self.db, "dbname", "main"))
        return {"schema": SCHEMAS.get(self.fault.engine, database), "database": database, "target": TARGET}

    def filled(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.names.get(match[1], match[0]), text)

    def inject(self) -> None:
        """Let the fault happen."""
        self.rows(self.fault.inject)
        for action in self.fault.actions:
            ((name, given),) = action.items()
            if name not in ACTIONS:
                raise FaultError(f"{self.fault.name}: unknown action {name}; there are {', '.join(sorted(ACTIONS))}")
            if name in HOLDING and not self.before:
                self.before = self._prints()
            ACTIONS[name](self, **(given or {}))
        self.before = self.before or self._prints()

    def touched(self) -> list[str]:
        """What is not as it was, and must be. The sessions that the fault holds open are ended."""
        gone = [f"session {name}" for name, session in self.sessions.items() if not session.alive()]
        self.held.close()
        return gone + harm.touched(self.before, self._prints(), self.fault.changes)

    def _prints(self) -> harm.Prints:
        """All that must not change, by name."""
        read = harm.OF_ENGINE[self.fault.engine]
        beside = {f"{OTHER}: {name}": value for name, value in read(self.other, server=False).items()}
        config = {
            f"configuration {path.relative_to(self.site.config)}": path.read_bytes()
            for path in self.site.config.rglob("*")
            if path.is_file()
        }
        backups = {f"backup {path.parent.name}": True for path in self.site.site.rglob("manifest.json")}
        query = {"harm.sql": self.rows(self.fault.harm)}
        return read(self.db) | beside | config | backups | query

    def solved(self) -> bool:
        """What the query of the end state says. Raises FaultError if it says nothing."""
        assert self.fault.end_state is not None
        rows = self.rows(self.fault.end_state)
        if len(rows) != 1 or len(rows[0]) != 1 or rows[0][0] not in (True, False):
            raise FaultError(f"{self.fault.label}: end_state is to return one boolean, and returned {rows}")
        return bool(rows[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a file's statements in one session; the rows of the last."""
        connection = self.db.connect()
        try:
            cursor = connection.cursor()
            for statement in statements(sql):
                cursor.execute(self.filled(statement))
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()


class Servers:
    """Makes scenes. Servers are kept for the next scene, but for those with settings of a fault's own.

    `running`: servers that are there already, by engine; they are left running.
    """

    def __init__(self, running: Mapping[str, Any] | None = None) -> None:
        self._kept: dict[str, Any] = dict(running or {})
        self._exits = contextlib.ExitStack()
        self._folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="aishell-eval-")))

    def __enter__(self) -> Servers:
        home = self._folder / "first"
        home.mkdir()
        with ScratchSite(home) as site:  # the process that commands are forked from takes seconds to begin
            site("--version").expect(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @contextlib.contextmanager
    def scene(self, fault: Fault, **llm: Any) -> Iterator[Scene]:
        """A scene with the fault injected, until it is left. `llm` is what the site says of a language model."""
        number = next(_numbers)
        with contextlib.ExitStack() as exits:
            folder = Path(exits.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
            db, other = exits.enter_context(self._databases(fault, number, folder))
            home = folder / "home"
            home.mkdir()
            site = exits.enter_context(ScratchSite(home))
            site.add_target(TARGET, db.url, **(fault.target or {}))
            site.add_target(OTHER, other.url)
            programs = {} if fault.engine == "sqlite" else {"programs": str(db.server.bin)}
            site.configure("aishell.yaml", json.dumps(programs | ({"llm": llm} if llm else {})))
            for name, text in (fault.files or {}).items():
                site.write(name, text)
            scene = Scene(fault, site, db, other)
            exits.push(scene.exits)
            exits.push(scene.held)
            for database, table in ((db, "ledger"), (other, "salaries")):
                for statement in BESIDE[fault.engine]:
                    database.execute(statement.format(table=table))
            scene.inject()
            yield scene

    @contextlib.contextmanager
    def _databases(self, fault: Fault, number: int, folder: Path) -> Iterator[tuple[Any, Any]]:
        if fault.engine == "sqlite":
            files = [SqliteDatabase(folder / f"{name}.db") for name in (TARGET, OTHER)]
            yield files[0], files[1]
            for file in files:
                file.close()
            return
        own = fault.settings is not None
        server = _start(fault.engine, fault.settings) if own else self._server(fault.engine)
        try:
            databases = [server.create(f"{name}_{number}") for name in (TARGET, OTHER)]
            yield databases[0], databases[1]
            if not own:
                for database in databases:
                    database.drop()
        finally:
            if own:
                server.remove()

    def _server(self, engine: str) -> Any:
        if engine not in self._kept:
            self._kept[engine] = server = _start(engine)
            self._exits.callback(server.remove)
        return self._kept[engine]


def _start(engine: str, settings: Mapping[str, str] | None = None) -> Any:
    server: Any
    if engine == "postgresql":
        programs = PROGRAMS["current"]
        assert programs is not None, "no PostgreSQL: run `make servers setup`"
        server = PostgresqlServer(programs, dict(settings or {}))
    else:
        program = server_program()
        assert program is not None, "no MariaDB: run `make servers`"
        server = MariadbServer(program, dict(settings or {}))
    try:
        server.initialise()
        server.start()
    except BaseException:
        server.remove()
        raise
    return server

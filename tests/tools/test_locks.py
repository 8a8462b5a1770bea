"""Every changing tool on every server: the locks it is seen to take, on every table, are those that its file states."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from aishell.execution.retry import retrying
from aishell.registry.tool import Tool
from aishell.safety.locks import LOCKS, Lock, locks_of, taken_by, wait_of
from tests.fix_mysql import _program
from tests.fix_postgresql import later, major_of
from tests.fix_sqlite import SqliteDatabase
from tests.fix_tools import POSTGRESQL, Engine, is_run_here, label, named, registry
from tests.mariadb import MariadbServer
from tests.tools.lock_cases import CASES, NEVER_SENT, PLACES, SEEN_ELSEWHERE, make, prepared
from tests.tools.lock_watch import METADATA, watch_of

CHANGING = [tool for tool in registry() if not tool.read_only and tool.engine != "common"]
#: What servers show, strongest last; `brief` parts of a stated lock are locks of their own.
STRENGTH = {
    "postgresql": [lock.name for lock in LOCKS["postgresql"].values() if "brief" not in lock.name],
    "mysql": ["none", *METADATA.values()],
}
#: For a moment, and never waited for: no look from outside is sure to meet it.
UNSEEN = {"SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE": "SHARE UPDATE EXCLUSIVE"}


def observed(engine: str) -> list[Tool]:
    return [
        tool
        for tool in CHANGING
        if tool.engine == engine and tool.name in CASES and tool.source not in NEVER_SENT
        if is_run_here(tool)
    ]


def test_it_is_known_how_to_see_the_locks_of_every_changing_tool():
    unknown = {
        (tool.engine, tool.name) for tool in CHANGING if tool.name not in CASES and tool.name not in SEEN_ELSEWHERE
    }
    assert unknown == set(), "say in tests/tools/lock_cases.py how it is called"


@pytest.fixture(scope="module")
def instrumented(request: pytest.FixtureRequest) -> Iterator[MariadbServer]:
    """A MariaDB that shows metadata locks: by default none does."""
    settings = {"performance-schema": "ON", "performance-schema-instrument": "wait/lock/metadata/sql/mdl=ON"}
    server = MariadbServer(_program(request.config), settings)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.remove()


def waited_for(tool: Tool) -> Lock:
    """The lock on the tool's own table. Under `hold` nobody is left who could be waited for, and nothing is there to be seen."""
    stated = locks_of(tool)[""]
    held = taken_by(tool.blocks["hold"].text, tool.engine) if "hold" in tool.blocks else None
    return held if held is not None and held.strength == stated.strength else stated


def on_server(engine: Engine, tool: Tool, tmp_path: Path) -> None:
    tables = make(engine)
    call = prepared(engine, tool, tmp_path)
    stated = locks_of(tool)
    only_reads = stated[""].strength <= 1
    # What is only read nobody else needs to have for a long time: each table is kept from the tool in turn.
    alone = [name for name in tables if PLACES[tool.name].get(name) in stated] if only_reads else [None]
    seen: dict[str, str] = {}
    order = STRENGTH[engine.name].index
    results: list[Any] = []
    modes_of = [
        one for kept in alone for one in watch_of(engine, tables, kept).during(lambda: results.append(call())).items()
    ]
    assert {result.status for result in results} == {"done"}, results
    for table, modes in modes_of:
        role = PLACES[tool.name].get(table, "index" if "index" in stated and table.startswith("index of") else None)
        if role is None:
            assert table.startswith("index of"), f"{tool.source} locks {table}, where nobody expects it: {modes}"
            continue
        seen[role] = max({*modes, seen.get(role, "none")}, key=order)
    told = {}
    for role, lock in {**stated, "": waited_for(tool)}.items():
        parts = UNSEEN.get(lock.name, lock.name).replace("brief", "MDL").split(", ")
        told[role] = max((part if part in STRENGTH[engine.name] else "none" for part in parts), key=order)
    only_after_a_failure = {"index"} if "cleanup" in tool.blocks else set[str]()
    assert {r: lock for r, lock in told.items() if r not in only_after_a_failure and lock != "none"} == {
        r: lock for r, lock in seen.items() if r not in only_after_a_failure
    }, tool.source


@pytest.mark.parametrize("tool", observed("postgresql"), ids=named)
@pytest.mark.parametrize("which", POSTGRESQL, ids=label)
def test_on_postgresql(which: str, tool: Tool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if later(tool, which) or (tool.name == "drop_old_partitions" and major_of(which) < 14):
        pytest.skip("it is for newer servers")
    engine = Engine(request.getfixturevalue(which))
    try:
        on_server(engine, tool, tmp_path)
    finally:
        engine.close()


@pytest.mark.parametrize("tool", observed("mysql"), ids=named)
def test_on_mariadb(tool: Tool, instrumented: MariadbServer, tmp_path: Path) -> None:
    db = instrumented.create("locks")
    engine = Engine(db)
    try:
        on_server(engine, tool, tmp_path)
    finally:
        engine.close()
        db.drop()


def reads(path: Path) -> bool:
    """Whether another connection can read now."""
    with closing(sqlite3.connect(path, timeout=0)) as other, suppress(sqlite3.OperationalError):
        other.execute("SELECT count(*) FROM customers").fetchone()
        return True
    return False


def writes(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other, suppress(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
        return True
    return False


class Met:
    """What a second connection could do while a statement ran, and while it waited for a reader to be able to commit."""

    def __init__(self, path: Path, sql: str, rows: list[dict[str, Any]]) -> None:
        self.path, self.sql, self.rows = path, sql, rows
        copies = [path.with_name(name) for name in ("running.db", "waiting.db")]
        for copy in copies:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                mode = source.execute("PRAGMA journal_mode").fetchone()[0]
                source.backup(target)
                target.execute(f"PRAGMA journal_mode = {mode}")
        self.running(copies[0])
        self.waiting(copies[1])

    def running(self, path: Path) -> None:
        seen: list[tuple[bool, bool]] = []
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.set_progress_handler(lambda: seen.append((reads(path), writes(path))), 5)
        if self.sql.startswith("PRAGMA"):
            connection.executescript(self.sql)
        else:
            alone = self.sql.startswith("VACUUM")
            connection.execute("SELECT 1" if alone else "BEGIN")
            connection.executemany(self.sql, self.rows)
            seen.append((reads(path), alone or writes(path)))
            connection.execute("SELECT 1" if alone else "COMMIT")
        connection.set_progress_handler(None, 0)
        connection.close()
        self.reads_meanwhile = all(could for could, _ in seen)
        self.writes_meanwhile = all(could for _, could in seen)

    def waiting(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM customers").fetchone()
            thread = threading.Thread(target=self._waits, args=(path,))
            thread.start()
            time.sleep(0.2)
            self.reads_behind = reads(path)
            reader.execute("ROLLBACK")
            thread.join()

    def _waits(self, path: Path) -> None:
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            if self.sql.startswith("PRAGMA"):
                connection.executescript(self.sql)
            else:
                connection.executemany(self.sql, self.rows)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("tool", observed("sqlite"), ids=named)
def test_on_sqlite(journal: str, tool: Tool, tmp_path: Path) -> None:
    """Only the ways of blocking of the file's words: other writers, everything, and what is other in WAL mode."""
    db = SqliteDatabase(tmp_path / "locks.db")
    with closing(db.connect()) as connection:
        for setting in ("PRAGMA auto_vacuum = INCREMENTAL", "VACUUM", f"PRAGMA journal_mode = {journal}"):
            connection.execute(setting)
    if tool.name == "checkpoint_wal" and journal == "DELETE":
        pytest.skip("there is no log to write back")
    engine = Engine(db)
    make(engine)
    met: list[Met] = []

    def sent(statement: Any, session: Any) -> None:
        if "value" in statement.sql and tool.archives == "load":
            usual = session.execute_many
            session.execute_many = lambda what, rows: (
                met.append(Met(db.path, what.sql, [{**what.params, **row} for row in rows])),
                usual(what, rows),
            )[1]
        else:
            met.append(Met(db.path, statement.sql, [dict(statement.params)]))

    prepared(engine, tool, tmp_path, on_sent=sent)()
    engine.close()
    db.close()
    if tool.lock == "SHARED":
        assert met == [], "it only reads: nothing of it is sent to be committed"
        return
    wal = journal == "WAL"
    for one in met:
        assert one.reads_meanwhile or tool.lock == "EXCLUSIVE", (
            "readers are kept out, and the file says that they go on"
        )
        assert one.reads_behind is wal, "who waits to commit keeps new readers out, but in WAL mode"
    assert not all(one.writes_meanwhile for one in met) or tool.name == "checkpoint_wal"
    if tool.lock == "EXCLUSIVE" and not wal:
        assert not all(one.reads_meanwhile for one in met), "readers go on, and the file says that they wait"


def test_no_reader_queues_for_longer_than_a_slice(pg_engine: Engine, tmp_path: Path) -> None:
    """Somebody reads the table that a partition's foreign key refers to, and goes on: all others still get their turn."""
    if pg_engine.database.version < (14,):
        pytest.skip("14+: DETACH PARTITION … CONCURRENTLY")
    make(pg_engine)
    tool = pg_engine.pick("drop_old_partitions")
    tries: list[int] = []
    attempt = retrying(1, lambda number, error: tries.append(number), patience=6.0)
    call = prepared(pg_engine, tool, tmp_path, attempt=attempt)
    holder, reader = pg_engine.db.connect(autocommit=False), pg_engine.db.connect()
    holder.execute("SELECT FROM customers")
    reader.execute(
        "SET lock_timeout = '3s'"
    )  # three slices: what must not happen is a wait for the patience of the tool
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    while thread.is_alive():
        reader.execute("SELECT count(*) FROM customers")
        time.sleep(0.01)
    thread.join()
    (one,) = results[0].objects
    assert (one.status, "lock timeout" in one.reason) == ("failed", True), (
        "it was detached: a resume of the run drops it"
    )
    assert len(tries) > 1
    assert wait_of(tool).seconds <= 1
    holder.rollback()
    assert call().objects[0].status == "ok"

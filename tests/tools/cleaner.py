"""The ways of deleting old rows, each with a log table of its own to do it on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from aishell.running import dispatch
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import ToolResult, settled
from tests.fix_postgresql import major_of
from tests.fix_tools import ENGINES, POSTGRESQL, Engine, label

CUTOFF = "2026-05-01 00:00:00"
OLD, NEW = "2026-01-01 12:00:00", "2026-10-01 12:00:00"
PLAIN, BY_DATE, WITHOUT_KEY = "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key"


@dataclass(frozen=True)
class Way:
    """A tool that deletes; `after`: what it goes by beside the date, `version`: of a server it is for and that is not here.

    `indexed`: whether it is told of an index on the date. `since`: the first version of PostgreSQL that has it."""

    tool: str
    dated: bool = False
    after: str | None = None
    version: tuple[int, ...] | None = None
    indexed: bool = False
    since: int = 12

    def key(self, date: str, key: Sequence[str]) -> dict[str, Any]:
        if self.dated:
            return {"key": [date, *([self.after] if self.after else key)]}
        return {"key": list(key)} if self.after == "key" else {}


WAYS = {
    "postgresql": (
        Way(PLAIN, since=14),
        Way(PLAIN, indexed=True, since=14),
        Way(PLAIN, after="key", version=(13, 5)),
        Way(PLAIN, after="key", version=(13, 5), indexed=True),
        Way(BY_DATE, dated=True, after="ctid", since=13),
    ),
    "mysql": (
        Way(PLAIN, after="key"),
        Way(PLAIN, after="key", indexed=True),
        Way(BY_DATE, dated=True),
        Way(WITHOUT_KEY),
    ),
    "sqlite": (Way(PLAIN, after="key"), Way(PLAIN, after="key", indexed=True), Way(BY_DATE, dated=True)),
}
TYPES = {"postgresql": "timestamp", "mysql": "datetime", "sqlite": "text"}
NAMES = {"pg_distribution": "postgresql", "pg_current": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}
EVERY = [
    pytest.param((fixture, way), id=f"{label(fixture)}-{way.tool.removeprefix('delete_old_records_')}{number}")
    for fixture in ENGINES
    for number, way in enumerate(WAYS[NAMES[fixture]])
    if fixture not in POSTGRESQL or major_of(fixture) >= way.since
]


class Cleaner:
    """One way of deleting on one engine, and a log table for it."""

    def __init__(self, engine: Engine, way: Way) -> None:
        self.engine, self.way = engine, way
        engine.version = way.version
        self.on_batch: Callable[[BatchCheckpoint], str | None] = lambda checkpoint: None
        self.closes: Callable[[float], str | None] = lambda seconds: None
        #: What happens once the table was found, as late as a run waits where it is too young.
        self.before_run: Callable[[], None] | None = None

    def log(self, table: str = "log", date: str = "at", extra: str = "", key: str = "id bigint PRIMARY KEY") -> None:
        s = self.engine.samples
        kind = TYPES[self.engine.name]
        s.do(f"CREATE TABLE {s.ref(table)} ({key}, {s.q(date)} {kind}{extra})")
        if self.way.dated or self.way.indexed:
            self.index(table, date)

    def index(self, table: str, date: str = "at") -> None:
        self.engine.samples.index(table, date, "log_at")

    def rows(self, *rows: Sequence[Any], table: str = "log") -> None:
        """Insert rows of literals."""
        values = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
        if self.engine.name == "mysql":
            values = values.replace("\\", "\\\\")
        self.engine.samples.do(f"INSERT INTO {self.engine.samples.ref(table)} VALUES {values}")

    def many(self, rows: int) -> None:
        """Rows 1, 3, 5 … are old."""
        self.rows(*((number, OLD if number % 2 else NEW) for number in range(1, rows + 1)))

    def delete(self, table: str = "log", date: str = "at", key: Sequence[str] = ("id",), **params: Any) -> ToolResult:
        picked = self.engine.pick(self.way.tool)
        tool = replace(picked, batch=picked.batch // 10)  # 2 pages, or a few hundred rows
        given = {"schema": self.engine.schema, "table": table, "date_column": date, "cutoff": CUTOFF}
        told = {"indexed": True} if self.way.indexed else {}
        values = tool.prepare({**given, **told, **self.way.key(date, key), **params})
        context = self.engine.context(tool)
        context.on_batch = lambda checkpoint, batch: self.on_batch(checkpoint)
        context.closes = lambda seconds: self.closes(seconds)
        if self.before_run is None:
            return dispatch.run(tool, values, dispatch.find(tool, values, context), context)
        found = settled(lambda: dispatch.find(tool, values, context) or [], time.sleep)
        self.before_run()
        return dispatch.run(tool, values, found, context)

    def left(self, table: str = "log", column: str = "id") -> list[Any]:
        s = self.engine.samples
        return [row[0] for row in s.db.execute(f"SELECT {s.q(column)} FROM {s.ref(table)} ORDER BY 1")]


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, (int, Raw)) else "'" + str(value).replace("'", "''") + "'"


class Raw(str):
    """A value that is SQL already."""

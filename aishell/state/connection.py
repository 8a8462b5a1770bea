"""A connection to `state.db`: the standard library's, with the columns of a row as attributes.

Statements are plain SQL with named values, next to their use (docs/decisions/0014-state-store-without-sqlalchemy.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from aishell.errors import AmbiguousNameError
from aishell.state.schema import APPLICATION_ID, LASTING

BUSY_TIMEOUT = 30_000  # milliseconds


class Record(sqlite3.Row):
    """A row of the store: `row.status`, `row["status"]`, `dict(row)`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except IndexError:
            raise AttributeError(f"the row has no column {name!r}") from None

    def columns(self, names: str) -> dict[str, Any]:
        """Return some of its columns; `names` is separated by blanks."""
        return {name: self[name] for name in names.split()}


class AuditEvent(NamedTuple):
    """An event of the audit log, for listeners to committed events. `data`: JSON, redacted."""

    number: int
    type: str
    at: str
    run_id: str | None
    step_index: int | None
    data: str


class Connection(sqlite3.Connection):
    """Used by one thread at a time. Table and column names are our own; values are always bound."""

    #: Events appended to the audit log in this transaction; None if nobody listens for committed events.
    appended: list[AuditEvent] | None = None
    #: Whether nobody else can open the file while this connection is open.
    alone: bool = False

    def all(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Record]:
        return self.execute(sql, values or {}).fetchall()

    def first(self, sql: str, values: Mapping[str, Any] | None = None) -> Record | None:
        """Return the first row. The statement runs to its end, because COMMIT fails while a RETURNING is unfinished."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def value(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the first row, None without one."""
        row = self.first(sql, values)
        return row[0] if row is not None else None

    def insert(self, table: str, *rows: Mapping[str, Any], known: str = "") -> None:
        """Insert rows with the same columns, if any. `known`: the ON CONFLICT clause."""
        if not rows:
            return
        columns, marks = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
        self.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks}) {known}", rows)  # noqa: S608  our own names

    def update(self, table: str, where: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> int:
        """Set `values` in the rows that match `where`; return their number. `key` and `values` share no column."""
        columns = ", ".join(f"{name} = :{name}" for name in values)
        return self.execute(f"UPDATE {table} SET {columns} WHERE {where}", {**key, **values}).rowcount  # noqa: S608


def connect(path: Path) -> Connection:
    """Open the file, which must exist. Every commit on the connection is durable.

    If the disk has no room for the index of the write-ahead log, the file can still be read, by one connection that
    keeps the index in memory. SQLite refuses that while another process has the file open.
    """
    try:
        return _connect(path, alone=False)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_IOERR_SHMSIZE":
            raise
        return _connect(path, alone=True)


def _connect(path: Path, *, alone: bool) -> Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT / 1000,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        connection.row_factory = Record
        connection.alone = alone
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        if is_store(connection):
            connection.execute("PRAGMA journal_mode = WAL")  # stored in the file, so never set in a foreign one
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose an acknowledged commit at power loss
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def is_store(connection: Connection) -> bool:
    """Whether a database is a state store of any version: by its application id, version and tables together.

    Samples of earlier releases have the same application id.
    """
    if connection.value("PRAGMA application_id") != APPLICATION_ID or not connection.value("PRAGMA user_version"):
        return False
    found = {row.name for row in connection.all("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return found >= LASTING


def marks(values: Iterable[Any], name: str = "v") -> tuple[str, dict[str, Any]]:
    """Return `:v0, :v1` for `IN (…)`, and the values to bind."""
    bound = {f"{name}{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{key}" for key in bound), bound


#: The most characters of a pattern; SQLite refuses one of 50,000.
LONGEST = 200


def beginning(text: str) -> str:
    """Return the pattern of `LIKE … ESCAPE '/'` for a prefix, cut to LONGEST. No id is that long."""
    text = text[:LONGEST]
    for special in "/%_":
        text = text.replace(special, f"/{special}")
    return f"{text}%"


def find_by_beginning(connection: Connection, table: str, kind: str, text: str) -> Record | None:
    """Return the only row whose id begins with `text`, None without one. Raises AmbiguousNameError, naming `kind`."""
    if not text:
        return None
    sql = f"SELECT * FROM {table} WHERE id LIKE :beginning ESCAPE '/' LIMIT 13"  # noqa: S608  our own
    rows = connection.all(sql, {"beginning": beginning(text)})
    if len(rows) > 1:
        raise AmbiguousNameError(kind, text, [row.id[: max(8, len(text) + 4)] for row in rows])
    return rows[0] if rows else None

"""SQLite through the standard library. Only SQLite itself ever opens the live file: closing any other handle on it would
drop SQLite's own locks in this process."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote as percent_encode

from aishell.databases.base import (
    Database,
    FileLockOnly,
    Session,
    SessionOptions,
    Statement,
    StatementResult,
    TargetLock,
    sending,
)
from aishell.databases.connections import Credentials
from aishell.databases.sqlite_guard import held, hold
from aishell.errors import DatabaseError, TargetUnavailableError
from aishell.models import Row
from aishell.sqlite_pool import Lent, Pool

#: Virtual machine steps between two checks of the time limit: about a millisecond.
PROGRESS_STEPS = 100_000
#: It returns a row without columns for each page: `execute` steps once and frees one page, a script steps to the end.
_STEPPED = re.compile(r'PRAGMA\s+("(?:[^"]|"")*"\.)?incremental_vacuum\b', re.IGNORECASE)
#: Primary result code name -> kind. https://www.sqlite.org/rescode.html
_KINDS = {
    "SQLITE_BUSY": "busy",
    "SQLITE_LOCKED": "busy",
    "SQLITE_INTERRUPT": "cancelled",
    "SQLITE_READONLY": "read_only",
    "SQLITE_PERM": "permission",
    "SQLITE_FULL": "disk_full",
    "SQLITE_CORRUPT": "corruption",
    "SQLITE_NOTADB": "corruption",
    "SQLITE_CANTOPEN": "connect",
    "SQLITE_IOERR": "other",
}
#: The page cache of a writing connection. With SQLite's own 2 MB, a batch of a log clean-up spills pages that it needs again:
#: 2 million rows, half of them deleted in batches of 30,000, took 1.9 s with 2 MB, 1.7 s with 16, 1.5 s with 32.
CACHE_KB = 32_000


class SQLite(Database):
    """An existing SQLite file."""

    engine = "sqlite"
    placeholder = ":{}"
    escape_percent = False

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self.path = Path(credentials.url.database or "").expanduser()
        if not credentials.url.database or credentials.url.database == ":memory:":
            raise TargetUnavailableError(f"{credentials.display} names no file", hint="write sqlite:///path/to/file.db")
        if not self.path.is_file():
            raise TargetUnavailableError(
                f"there is no SQLite database at {self.path}",
                hint="check the path: sqlite:////abs.db is absolute; sqlite:///relative.db is relative to the site's folder in "
                "targets.yaml, and to the current folder in --url",
            )

    def _pool(self, connect: Callable[[], sqlite3.Connection]) -> Pool[sqlite3.Connection]:
        return Pool(connect)

    def _connect(self, options: SessionOptions) -> sqlite3.Connection:
        # mode=rw never creates a file; mode=ro, because reading a leftover WAL with rw changes the file.
        try:
            return self._open("ro" if options.read_only else "rw", options)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
                raise map_error(error, connecting=True) from error
            if not self.may_write:
                why = "a writer crashed and left a journal that SQLite has to roll back before anybody can read"
                how = f"run without --dry-run, or open it once with write access: sqlite3 {self.path} .tables"
                raise DatabaseError(why, kind="connect", hint=how) from error
        try:
            self._open("rw", options).close()  # SQLite rolls the journal back
            return self._open("ro", options)
        except sqlite3.Error as error:
            raise map_error(error, connecting=True) from error

    def _open(self, mode: str, options: SessionOptions) -> sqlite3.Connection:
        uri, timeout = f"file:{percent_encode(str(self.path.absolute()))}?mode={mode}", options.lock_timeout or 0
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.create_function("md5", 1, _md5, deterministic=True)  # PostgreSQL and MySQL have it built in
            # printf('%!.17g') is sometimes off by one.
            connection.create_function("real_text", 1, repr, deterministic=True)
            if mode == "rw":
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if mode == "ro":
                hold(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def session(self, options: SessionOptions) -> SQLiteSession:
        return SQLiteSession(self, self.pools.get(options), options)

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        options = session.query(Statement.of("SELECT compile_options AS name FROM pragma_compile_options"))
        features = {"dbstat"} if any(row["name"] == "ENABLE_DBSTAT_VTAB" for row in options) else set()
        if session.query(Statement.of("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")):
            features.add("stat1")
        return "sqlite", tuple(int(part) for part in sqlite3.sqlite_version.split(".")), frozenset(features)

    def forget(self) -> None:
        """Discard the cached features: the first ANALYZE creates sqlite_stat1, and then another variant of a tool fits."""
        with self._guard:
            self._facts = None

    @property
    def identity(self) -> str:
        """Device and inode of the file; `inspect_server` reads its header."""
        status = self.path.stat()
        return f"{status.st_dev}:{status.st_ino}"

    def hold(self, run_id: str) -> TargetLock:
        return FileLockOnly()

    def running(self, marker: str) -> list[str]:
        return []  # a statement dies with the process that sent it

    def stop(self, server_session: str) -> None:
        return None


class SQLiteSession(Session):
    """A connection, read-only or writing according to its options."""

    #: From then on no other connection can write.
    steady: ClassVar[tuple[str, ...]] = ("BEGIN IMMEDIATE",)
    polled = True
    _database: SQLite
    _connection: sqlite3.Connection
    _marker = ""

    def __init__(self, database: SQLite, pooled: Lent[sqlite3.Connection], options: SessionOptions) -> None:
        super().__init__(database, pooled, options)
        # A transaction that begins with a read cannot write after another connection has written.
        self.begin = "BEGIN" if options.read_only else "BEGIN IMMEDIATE"
        self._seen: int | None = None  # PRAGMA data_version, which changes when another connection commits

    def mark(self, marker: str) -> None:
        self.marker, self._marker = marker, f"/* {marker} */ "

    def query(self, statement: Statement) -> list[Row]:
        if self._options.read_only:
            return self.send(statement)
        with held(self._connection):
            return self.send(statement)

    def execute(self, statement: Statement) -> StatementResult:
        # REINDEX looks its name up in the schema that the connection last read; any SELECT makes a pooled one read it again.
        self.send(Statement.of("SELECT 1 FROM sqlite_schema LIMIT 1"))
        rows, count = self._sent(statement)
        if rows and rows[0].get("busy"):  # wal_checkpoint returns SQLITE_BUSY as a row
            raise DatabaseError("another connection still uses the write-ahead log", kind="busy", code="SQLITE_BUSY")
        if not self._options.read_only:
            self._database.forget()
        return StatementResult(rows, count=max(count, 0))

    def send(self, statement: Statement) -> list[Row]:
        return self._sent(statement)[0]

    @sending
    def _sent(self, statement: Statement) -> tuple[list[Row], int]:
        """Send a statement, and return its rows and the number of rows changed."""
        started = time.monotonic()
        limit = self._options.statement_timeout
        self._connection.set_progress_handler(
            None if limit is None else lambda: time.monotonic() > started + limit, PROGRESS_STEPS
        )
        try:
            if _STEPPED.match(statement.sql):
                self._connection.executescript(self._marker + statement.sql)
                return [], 0
            cursor = self._connection.execute(self._marker + statement.sql, statement.params)
            return [dict(row) for row in cursor.fetchall()], cursor.rowcount
        except sqlite3.Error as error:
            mapped = map_error(error)
            seconds = time.monotonic() - started
            if mapped.kind == "cancelled" and limit is not None and seconds > limit:
                raise DatabaseError(f"stopped after {seconds:.0f} s", kind="statement_timeout") from error
            raise mapped from error

    @sending
    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        values = ({**statement.params, **row} for row in rows)
        try:
            return max(self._connection.executemany(self._marker + statement.sql, values).rowcount, 0)
        except sqlite3.Error as error:
            raise map_error(error) from error

    def _roll_back(self) -> None:
        """Roll back, unless SQLite has done so itself because a statement that writes was interrupted."""
        if self._connection.in_transaction:
            super()._roll_back()

    def others_wrote(self) -> bool:
        seen, self._seen = self._seen, int(self.send(Statement.of("PRAGMA data_version"))[0]["data_version"])
        return seen is not None and seen != self._seen

    def cancel(self) -> None:
        self._connection.interrupt()


def _md5(value: str | bytes | None) -> str | None:
    """Return the MD5 digest that an archive's checksum uses: it detects damage, not forgery."""
    if value is None:
        return None
    return hashlib.md5(value.encode() if isinstance(value, str) else value, usedforsecurity=False).hexdigest()


def map_error(error: sqlite3.Error, *, connecting: bool = False) -> DatabaseError:
    """Convert the driver's error to a DatabaseError."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_AUTH":
        return DatabaseError("it does more than read, which this session may not", kind="read_only", code=name)
    primary = re.match(r"SQLITE_[A-Z]+", name)
    kind = _KINDS.get(primary.group() if primary else "", "other")
    if any(text in str(error) for text in ("no such table", "no such index", "object to be reindexed")):
        kind = "missing_object"
    if connecting and kind not in ("busy", "corruption"):
        kind = "connect"
    return DatabaseError(str(error), kind=kind, code=name)

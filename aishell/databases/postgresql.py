"""PostgreSQL through psycopg 3. Everything runs in autocommit: VACUUM and CONCURRENTLY need it, and an idle
transaction of our own would block them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from sqlalchemy.pool import PoolProxiedConnection

from aishell.databases import base
from aishell.databases.base import (
    Database,
    Holder,
    ServerMessage,
    Session,
    SessionOptions,
    Statement,
    StatementResult,
    sending,
)
from aishell.databases.connections import CONNECT_TIMEOUT, Credentials
from aishell.databases.libpq import keywords
from aishell.databases.tls import VERIFIES, Encryption
from aishell.databases.trees import rewritten
from aishell.databases.urls import URL, Host
from aishell.errors import DatabaseError
from aishell.models import Row

#: Kind -> SQLSTATEs, or classes of them. https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES = {
    "lock_timeout": ["55P03"],
    "deadlock": ["40P01"],
    "serialization": ["40001"],
    "too_many_connections": ["53300"],
    "disk_full": ["53100"],
    "permission": ["42501"],
    "read_only": ["25006"],
    "corruption": ["XX001", "XX002"],
    "unsupported": ["0A000", "42809"],
    "missing_object": ["42P01", "42704", "3F000", "3D000"],
    "connect": ["28P01", "28000", "57P03"],
    "connection_lost": ["57P01", "57P02", "08"],
}
_KINDS = {code: kind for kind, codes in _CODES.items() for code in codes}
#: libpq gives no SQLSTATE for a refused connection. It passes a server's message on as a severity, in the server's language, a
#: colon and two spaces, and writes none of its own messages like that.
_SERVER_SAYS = re.compile(r"[^\s:]:  \S")
_ROLE = "SELECT pg_is_in_recovery() AS standby"


@dataclass(frozen=True)
class _Met:
    """Which of several servers was reached, and its role."""

    url: URL
    standby: bool

    def __str__(self) -> str:
        return f"{self.url.hosts[0]}, {'a standby' if self.standby else 'a primary'}"

    def compare(self, found: _Met) -> None:
        """Raise DatabaseError (moved) if another server, or the same server in another role, was found."""
        if (found.url.hosts, found.standby) != (self.url.hosts, self.standby):
            how = "see that the failover is through, then resume the run, or make a new plan"
            raise DatabaseError(f"the server has changed: it was {self}, and now it is {found}", kind="moved", hint=how)


class PostgreSQL(Database):
    """A PostgreSQL database."""

    engine = "postgresql"
    placeholder = "%({})s"
    escape_percent = True

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._met: _Met | None = None
        self._meeting = threading.Lock()

    @property
    def here(self) -> Credentials:
        return self.credentials if self._met is None else replace(self.credentials, url=self._met.url)

    def stay(self) -> None:
        if self._met is not None:
            with self.session(SessionOptions()) as session:
                session.mark("aishell:stay")
                self._met.compare(replace(self._met, standby=session.query(Statement.of(_ROLE))[0]["standby"]))

    def _connect(self, options: SessionOptions) -> psycopg.Connection[Any]:
        words = keywords(self.here.url)
        connection = self._opened(words, options)
        if self._met is not None or any("," in words.get(name, "") for name in ("host", "hostaddr")):
            with _closed_on_error(connection, connecting=True):
                self._meet(connection)
        return connection

    def _meet(self, connection: psycopg.Connection[Any]) -> None:
        """Keep to the first of several hosts that was reached: work that began on one must not continue on another.

        Raises DatabaseError (moved).
        """
        info, url = connection.info, self.credentials.url
        where = {**url.options, "hostaddr": info.hostaddr} if info.hostaddr else url.options
        row = connection.execute(_ROLE).fetchone()
        assert row is not None  # noqa: S101  a SELECT without FROM returns one row
        found = _Met(replace(url, hosts=(Host(info.host, info.port),), options=where), bool(row[0]))
        with self._meeting:
            self._met = self._met or found
        self._met.compare(found)

    def _opened(self, words: dict[str, str], options: SessionOptions) -> psycopg.Connection[Any]:
        limits = " ".join(filter(None, (words.pop("options", None), _startup_options(options))))
        password = self.credentials.password()
        try:
            connection: psycopg.Connection[Any] = psycopg.connect(
                **{  # type: ignore[arg-type]
                    "password": password,
                    "connect_timeout": CONNECT_TIMEOUT,
                    "application_name": "aishell",
                    **words,
                    "client_encoding": "UTF8",
                    "options": limits,
                },
                autocommit=True,
            )
        except psycopg.Error as error:
            raise map_error(error, connecting=True) from error
        with _closed_on_error(connection, connecting=True):
            if options.read_only:
                connection.execute(_FIND_EXTENSIONS)
            else:
                _require_writable(connection)
                if connection.info.server_version >= 140000:
                    with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # a platform that cannot check
                        connection.execute(_CHECK_CLIENT)
        return connection

    def session(self, options: SessionOptions) -> PostgreSQLSession:
        return PostgreSQLSession(self, self.pools.get(options), options)

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        version = session.query(Statement.of("SELECT current_setting('server_version_num')::int AS number"))
        names = session.query(Statement.of(_USABLE_EXTENSIONS))
        major, minor = divmod(version[0]["number"], 10000)
        return "postgresql", (major, minor), frozenset(row["name"] for row in names)

    def hold(self, run_id: str) -> base.TargetLock:
        options = SessionOptions(read_only=True, lock_timeout=1, statement_timeout=10)
        connection = self._connect(options)
        with _closed_on_error(connection):
            return PostgreSQLLock(connection, run_id)

    def running(self, marker: str) -> list[str]:
        sql = """SELECT pid || '@' || backend_start AS session FROM pg_stat_activity
                 WHERE application_name = %(marker)s AND state <> 'idle' AND pid <> pg_backend_pid()"""
        with self.session(SessionOptions()) as session:
            return [row["session"] for row in session.query(Statement(sql, {"marker": marker}, sql))]

    def stop(self, server_session: str) -> None:
        sql = """SELECT pg_cancel_backend(pid), pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE pid || '@' || backend_start = %(session)s"""
        with self.session(SessionOptions()) as session:
            session.send(Statement(sql, {"session": server_session}, sql))


class PostgreSQLSession(Session):
    """A connection in autocommit; the marker is its application_name."""

    #: There, a foreign key's action fails on a row that is not in the snapshot (ri_PerformCheck, detectNewRows).
    steady: ClassVar[tuple[str, ...]] = ("BEGIN ISOLATION LEVEL REPEATABLE READ",)
    _connection: psycopg.Connection[Any]

    def __init__(self, database: PostgreSQL, pooled: PoolProxiedConnection, options: SessionOptions) -> None:
        super().__init__(database, pooled, options)
        self.server_session = str(pooled.info.get("session", ""))
        self.begin = "BEGIN READ ONLY" if options.read_only else "BEGIN"

    def mark(self, marker: str) -> None:
        self.marker = marker
        statement = Statement(
            """SELECT set_config('application_name', %(marker)s, false),
                      pid || '@' || backend_start AS session FROM pg_stat_activity WHERE pid = pg_backend_pid()""",
            {"marker": marker},
            "set_config('application_name')",
        )
        try:
            rows = self.send(statement)
        except DatabaseError as error:
            if error.kind != "connection_lost":
                raise
            self._reconnect()
            rows = self.send(statement)
        self.server_session = rows[0]["session"]
        self._pooled.info["session"] = self.server_session

    def query(self, statement: Statement) -> list[Row]:
        if self._idle:
            return self._alone(statement)[0]
        self.check(statement)
        return self.send(statement)

    def analysed(self, statement: Statement) -> str:
        """Return its tree (`databases/trees.py`). It is valid within the transaction, whose locks keep its views unchanged.

        Raises DatabaseError if the server reports none.
        """
        with self._mapping_errors():
            tree = rewritten(self._connection, statement)
        if tree is None:
            raise DatabaseError("the server cannot report which objects the statement touches", kind="unsupported")
        return tree

    @sending
    def send(self, statement: Statement) -> list[Row]:
        # A pipeline uses the extended protocol, which accepts one statement only (safety.md, Read-only modes), and here without a
        # name: a named one would be deallocated, by one more statement, after each ROLLBACK.
        with self._mapping_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            with self._connection.pipeline():
                cursor.execute(statement.sql.encode(), statement.params, prepare=False)
            return cursor.fetchall() if cursor.description else []

    @property
    def _idle(self) -> bool:
        return self._connection.info.transaction_status == TransactionStatus.IDLE

    @sending
    def _alone(self, statement: Statement) -> tuple[list[Row], int]:
        """Return rows and count of a statement, run in a read-only transaction of its own, in one round trip.

        The transaction is explicit, since an earlier statement may have changed the session's default. It has one statement only,
        since an idle transaction of ours would block CONCURRENTLY. It is rolled back, so that not even a setting remains.
        """
        try:
            with self._mapping_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
                if statement.guard is not None:
                    self._connection.execute(b"BEGIN READ ONLY", prepare=False)
                    statement.guard(self, statement)
                with _in_one_go(self._connection):
                    if statement.guard is None:
                        self._connection.execute(b"BEGIN READ ONLY", prepare=False)
                    cursor.execute(statement.sql.encode(), statement.params, prepare=False)
                    self._connection.execute(b"ROLLBACK", prepare=False)
                return (cursor.fetchall() if cursor.description else []), max(cursor.rowcount, 0)
        finally:
            if not self._lost and not self._idle:
                # If the connection is lost, the original error says what went wrong.
                with contextlib.suppress(psycopg.Error):
                    self._connection.execute(b"ROLLBACK", prepare=False)

    def execute(self, statement: Statement) -> StatementResult:
        messages: list[ServerMessage] = []

        def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
            level = "warning" if diagnostic.severity_nonlocalized == "WARNING" else "note"
            if level == "warning" and _KINDS.get(diagnostic.sqlstate or "") == "lock_timeout":
                level = "locked"  # SKIP_LOCKED leaves the table out and succeeds
            messages.append(ServerMessage(level, diagnostic.message_primary or ""))

        self._connection.add_notice_handler(keep)
        try:
            alone = self._options.read_only and self._idle
            rows, count = self._alone(statement) if alone else self._executed(statement)
            return StatementResult(rows, tuple(messages), count)
        finally:
            self._connection.remove_notice_handler(keep)

    @sending
    def _executed(self, statement: Statement) -> tuple[list[Row], int]:
        """Return rows and count of a statement, sent as it is."""
        with self._mapping_errors(), self._connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.sql.encode(), statement.params)
            return (cursor.fetchall() if cursor.description else []), max(cursor.rowcount, 0)

    @sending
    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        with self._mapping_errors(), self._connection.cursor() as cursor:
            with _in_one_go(self._connection):
                cursor.executemany(statement.sql.encode(), [{**statement.params, **row} for row in rows])
            return max(cursor.rowcount, 0)

    @property
    def encryption(self) -> Encryption:
        if not self._connection.pgconn.ssl_in_use:
            return Encryption()
        row = self.query(Statement.of("SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))[0]
        mode = self._connection.info.get_parameters().get("sslmode", "")
        return Encryption(row["version"], row["cipher"], VERIFIES.get(mode))

    def cancel(self) -> None:
        with contextlib.suppress(psycopg.Error):  # the statement has ended, or the server is gone
            self._connection.cancel()

    @property
    def _lost(self) -> bool:
        return self._connection.closed

    def close(self) -> None:
        if not self._options.read_only and not self._lost and self._idle:
            self._report_counts()
        super().close()

    def _report_counts(self) -> None:
        """Flush the counts of rows written here to the server's statistics at once.

        An idle session in the pool keeps them for 10 s: a VACUUM meanwhile would not find the dead rows in the statistics, and
        they would stay counted as dead. Servers before version 15 cannot flush on request.
        """
        if self._connection.info.server_version >= 150000:
            with contextlib.suppress(psycopg.Error):  # only counters; a lost connection is noticed at its next use
                self._connection.execute(b"SELECT pg_stat_force_next_flush()", prepare=False)

    @contextlib.contextmanager
    def _mapping_errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise map_error(error, lost=self._lost) from error


@contextlib.contextmanager
def _closed_on_error(connection: psycopg.Connection[Any], *, connecting: bool = False) -> Iterator[None]:
    """Close the connection if the code inside fails, and convert the driver's errors."""
    try:
        yield
    except (psycopg.Error, DatabaseError) as error:
        connection.close()
        if isinstance(error, DatabaseError):
            raise
        raise map_error(error, connecting=connecting) from error


@contextlib.contextmanager
def _in_one_go(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Send several statements in a pipeline. Raises the error of the first that failed.

    The server may answer while later statements are being sent. If an error left the pipeline at once, psycopg would find their
    answers, "pipeline aborted", on exit, and log them as ignored errors: so the error is kept until all have arrived.
    """
    first: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except psycopg.Error as error:
                first = error
    except psycopg.Error as error:
        raise first or error from None
    if first is not None:
        raise first


class PostgreSQLLock(base.TargetLock):
    """A session-level advisory lock on (database, 'aishell'); it works on a standby, too."""

    def __init__(self, connection: psycopg.Connection[Any], run_id: str) -> None:
        self._connection = connection
        label = base.lock_label(run_id)
        row = connection.execute(
            "SELECT set_config('application_name', %s, false), pg_try_advisory_lock(%s) AS held", (label, _LOCK_KEY)
        ).fetchone()
        assert row is not None  # noqa: S101  a SELECT without FROM returns one row
        if not row[1]:
            raise base.TargetLockHeldError(self._holder())

    def _holder(self) -> Holder:
        row = self._connection.execute(
            """SELECT a.application_name, a.backend_start::text, a.pid || '@' || a.backend_start
               FROM pg_locks l JOIN pg_stat_activity a USING (pid)
               WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database
               WHERE datname = current_database()) AND (l.classid::bigint << 32) + l.objid::bigint = %s""",
            (_LOCK_KEY,),
        ).fetchone()
        name, since, session = row or ("", "just now", "")
        label, _, host = str(name).partition("@")
        parts = label.split(":")
        return Holder(parts[1] if len(parts) > 1 else "unknown", host or "unknown", since, session)

    def alive(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def release(self) -> None:
        self._connection.close()


# One key for aishell in every database: advisory locks are per database. Positive, so that pg_locks shows it unchanged.
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"aishell target lock").digest()[:8], "big") >> 1


# Milliseconds between two checks whether the client of a running statement is still connected: if it died, the server must not
# go on working.
_CHECK_CLIENT = "SET client_connection_check_interval = 10000"

# Read-only sessions find the functions of these extensions in any schema. Writing sessions keep the role's own path: before
# version 17, the functions of an index expression are looked up in it.
_FIND_EXTENSIONS = """SELECT set_config('search_path', concat_ws(', ', 'pg_catalog',
    (SELECT string_agg(DISTINCT quote_ident(n.nspname), ', ') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname IN ('pgstattuple', 'amcheck')), nullif(current_setting('search_path'), '')), false)"""

# If this role may not execute pgstattuple's functions, the feature is missing, and the variants without it estimate. amcheck has
# no substitute: a check that the role may not run is left out of plans, and fails if it is sent anyway.
_USABLE_EXTENSIONS = """SELECT e.extname::text AS name FROM pg_extension e WHERE e.extname <> 'pgstattuple'
    OR EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = e.extnamespace AND p.proname = 'pgstatindex'
               AND pg_function_is_visible(p.oid) AND has_function_privilege(p.oid, 'EXECUTE'))"""


def _startup_options(options: SessionOptions) -> str:
    """Return limits as startup options: unlike SET, a RESET cannot undo them, and the statement log does not show them."""
    settings = {
        "lock_timeout": _milliseconds(options.lock_timeout),
        "statement_timeout": _milliseconds(options.statement_timeout),
        "idle_in_transaction_session_timeout": 60_000,
        # A writing session keeps the setting of role or database, so that a database read-only by default is left alone.
        **({"default_transaction_read_only": "on"} if options.read_only else {}),
        "DateStyle": "ISO",
        "standard_conforming_strings": "on",
        "jit": "off",  # a third of the time of inspect_tables was spent compiling it
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _require_writable(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseError if sessions are read-only by default; some commands, such as VACUUM, would ignore that."""
    state = connection.info.parameter_status("default_transaction_read_only")  # reported from version 14 on
    if state is None:
        row = connection.execute("SHOW default_transaction_read_only").fetchone()
        state = row[0] if row else None
    if state == "on":
        why = "the database is read-only by default (default_transaction_read_only)"
        how = "to let aishell write there: ALTER ROLE … IN DATABASE … SET default_transaction_read_only = off, for its role"
        raise DatabaseError(why, kind="read_only", hint=how)


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else max(1, int(seconds * 1000))


def map_error(error: psycopg.Error, *, lost: bool = False, connecting: bool = False) -> DatabaseError:
    """Convert the driver's error to a DatabaseError."""
    state = error.sqlstate or ""
    kind = _KINDS.get(state) or _KINDS.get(state[:2]) or "other"
    if state == "57014":
        kind = "statement_timeout" if "statement timeout" in str(error) else "cancelled"
    if connecting and kind in ("other", "connection_lost", "missing_object"):
        kind = "connect"
    elif lost and not state:
        kind = "connection_lost"
    line = str(error).strip().splitlines()[0]  # libpq's text for a connection has two blanks after `FATAL:`
    primary = error.diag.message_primary or " ".join(line.split())
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    answered = connecting and bool(state or _SERVER_SAYS.search(str(error)))
    return DatabaseError(primary + detail, kind=kind, code=state, hint=error.diag.message_hint, answered=answered)

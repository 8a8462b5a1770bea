"""PostgreSQL through psycopg 3. Everything runs in autocommit: VACUUM and CONCURRENTLY need it, and an idle
transaction of our own would block them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.pool import PoolProxiedConnection

from aishell.databases.base import (
    Database,
    HeldError,
    Holder,
    Message,
    Outcome,
    Session,
    SessionOptions,
    Statement,
    TargetLock,
    lock_label,
)
from aishell.databases.connections import CONNECT_TIMEOUT
from aishell.errors import DatabaseError
from aishell.models import Row

#: SQLSTATE (or its class) -> kind. https://www.postgresql.org/docs/current/errcodes-appendix.html
_KINDS = {
    "55P03": "lock_timeout",
    "40P01": "deadlock",
    "40001": "serialization",
    "53300": "too_many_connections",
    "53100": "disk_full",
    "42501": "permission",
    "25006": "read_only",
    "XX001": "corruption",
    "XX002": "corruption",
    "0A000": "unsupported",
    "42809": "unsupported",
    "42P01": "missing_object",
    "42704": "missing_object",
    "3F000": "missing_object",
    "3D000": "missing_object",
    "28P01": "connect",
    "28000": "connect",
    "57P01": "connection_lost",
    "57P02": "connection_lost",
    "57P03": "connect",
    "08": "connection_lost",
}


class PostgreSQL(Database):
    """A PostgreSQL database."""

    engine = "postgresql"
    placeholder = "%({})s"
    escape_percent = True

    def _connect(self, options: SessionOptions) -> psycopg.Connection[Any]:
        url, limits = self.credentials.url, _startup_options(options)
        query = {str(k): v for k, v in url.query.items() if isinstance(v, str)}
        if "options" in query:
            limits = f"{query.pop('options')} {limits}"
        try:
            connection: psycopg.Connection[Any] = psycopg.connect(
                **{  # type: ignore[arg-type]
                    "host": url.host,
                    "port": url.port,
                    "user": url.username,
                    "password": self.credentials.password,
                    "dbname": url.database,
                    "connect_timeout": CONNECT_TIMEOUT,
                    "application_name": "aishell",
                    "client_encoding": "UTF8",
                    **query,
                    "options": limits,
                },
                autocommit=True,
            )
            if options.read_only:
                connection.execute(_FIND_EXTENSIONS)
            elif connection.info.server_version >= 140000:
                with contextlib.suppress(psycopg.errors.InvalidParameterValue):  # a platform that cannot look
                    connection.execute(_CHECK_CLIENT)
        except psycopg.Error as error:
            raise map_error(error, self.credentials.mask, connecting=True) from error
        return connection

    def session(self, options: SessionOptions) -> PostgreSQLSession:
        return PostgreSQLSession(self, self.pools.get(options), options)

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        version = session.query(_plain("SELECT current_setting('server_version_num')::int AS number"))[0]["number"]
        names = session.query(_plain(_USABLE_EXTENSIONS))
        major, minor = divmod(version, 10000)
        return "postgresql", (major, minor), frozenset(row["name"] for row in names)

    def hold(self, run_id: str) -> TargetLock:
        options = SessionOptions(read_only=True, lock_timeout=1, statement_timeout=10)
        connection = self._connect(options)
        try:
            return PostgreSQLLock(connection, run_id)
        except psycopg.Error as error:
            connection.close()
            raise map_error(error, self.credentials.mask) from error
        except HeldError:
            connection.close()
            raise

    def running(self, marker: str) -> list[str]:
        sql = """SELECT pid || '@' || backend_start AS session FROM pg_stat_activity
                 WHERE application_name = %(marker)s AND state <> 'idle' AND pid <> pg_backend_pid()"""
        with self.session(SessionOptions()) as session:
            return [row["session"] for row in session.query(Statement(sql, {"marker": marker}, sql))]

    def stop(self, server_session: str) -> None:
        sql = """SELECT pg_cancel_backend(pid), pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE pid || '@' || backend_start = %(session)s"""
        with self.session(SessionOptions()) as session:
            session.query(Statement(sql, {"session": server_session}, sql))


class PostgreSQLSession(Session):
    """A connection in autocommit; the marker is its application_name."""

    def __init__(self, database: PostgreSQL, pooled: PoolProxiedConnection, options: SessionOptions) -> None:
        self._database, self._pooled, self._options = database, pooled, options
        self.hears, self.read_only = database.hears, options.read_only
        self._connection: psycopg.Connection[Any] = pooled.driver_connection  # type: ignore[assignment]
        self.server_session = str(pooled.info.get("session", ""))

    def mark(self, marker: str) -> None:
        self.marker = marker
        statement = Statement(
            """SELECT set_config('application_name', %(marker)s, false),
                      pid || '@' || backend_start AS session FROM pg_stat_activity WHERE pid = pg_backend_pid()""",
            {"marker": marker},
            "set_config('application_name')",
        )
        try:
            rows = self.query(statement)
        except DatabaseError as error:
            if error.kind != "connection_lost":
                raise
            # A pooled connection that died while it lay idle: nothing of ours was sent, take another.
            self._pooled.invalidate()
            self._pooled = self._database.pools.get(self._options)
            self._connection = self._pooled.driver_connection  # type: ignore[assignment]
            rows = self.query(statement)
        self.server_session = rows[0]["session"]
        self._pooled.info["session"] = self.server_session

    def query(self, statement: Statement) -> list[Row]:
        self.tell(statement)
        # prepare=True goes by the extended protocol, which takes one statement only (safety.md, Read-only modes).
        try:
            with self._connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(statement.sql.encode(), statement.params, prepare=True)
                return cursor.fetchall()
        except psycopg.Error as error:
            raise self._mapped(error) from error

    def execute(self, statement: Statement) -> Outcome:
        self.tell(statement)
        messages: list[Message] = []

        def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
            level = "warning" if diagnostic.severity_nonlocalized == "WARNING" else "note"
            if level == "warning" and _KINDS.get(diagnostic.sqlstate or "") == "lock_timeout":
                level = "locked"  # SKIP_LOCKED passes over a table and succeeds
            messages.append(Message(level, diagnostic.message_primary or ""))

        self._connection.add_notice_handler(keep)
        try:
            with self._connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(statement.sql.encode(), statement.params)
                rows = cursor.fetchall() if cursor.description else []
                return Outcome(rows, tuple(messages), max(cursor.rowcount, 0))
        except psycopg.Error as error:
            raise self._mapped(error) from error
        finally:
            self._connection.remove_notice_handler(keep)

    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        self.tell(statement)
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(statement.sql.encode(), [{**statement.params, **row} for row in rows])
                return max(cursor.rowcount, 0)
        except psycopg.Error as error:
            raise self._mapped(error) from error

    def cancel(self) -> None:
        with contextlib.suppress(
            psycopg.Error
        ):  # the statement may have ended or the server be gone: nothing to cancel
            self._connection.cancel()

    def close(self) -> None:
        if self._connection.closed:
            self._pooled.invalidate()
        else:
            self._pooled.close()

    def _mapped(self, error: psycopg.Error) -> DatabaseError:
        return map_error(error, self._database.credentials.mask, lost=self._connection.closed)


class PostgreSQLLock(TargetLock):
    """A session-level advisory lock on (database, 'aishell'); works on a standby too."""

    def __init__(self, connection: psycopg.Connection[Any], run_id: str) -> None:
        self._connection = connection
        label = lock_label(run_id)
        row = connection.execute(
            "SELECT set_config('application_name', %s, false), pg_try_advisory_lock(%s) AS held", (label, _LOCK_KEY)
        ).fetchone()
        assert row is not None  # noqa: S101  a SELECT without FROM returns one row
        if not row[1]:
            raise HeldError(self._holder())

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


# One key for aishell in every database: advisory locks are per database. Positive, so that pg_locks shows it as it is.
_LOCK_KEY = int.from_bytes(hashlib.sha256(b"aishell target lock").digest()[:8], "big") >> 1


# Milliseconds between two looks whether the client of a running statement is still there: one that died must not leave the
# server at work.
_CHECK_CLIENT = "SET client_connection_check_interval = 10000"

# Reading sessions find the functions of these extensions in whatever schema they were installed. Writing sessions keep the
# role's own path: before version 17 the functions of an index expression are looked up along it.
_FIND_EXTENSIONS = """SELECT set_config('search_path', concat_ws(', ', 'pg_catalog',
    (SELECT string_agg(DISTINCT quote_ident(n.nspname), ', ') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.extname IN ('pgstattuple', 'amcheck')), nullif(current_setting('search_path'), '')), false)"""

# An extension whose functions this role may not execute is no feature: the variants without it say why.
_USABLE_EXTENSIONS = """SELECT e.extname::text AS name FROM pg_extension e WHERE e.extname NOT IN ('pgstattuple', 'amcheck')
    OR EXISTS (SELECT 1 FROM pg_proc p WHERE p.pronamespace = e.extnamespace AND p.proname IN ('pgstatindex', 'bt_index_check')
               AND pg_function_is_visible(p.oid) AND has_function_privilege(p.oid, 'EXECUTE'))"""


def _startup_options(options: SessionOptions) -> str:
    """Limits as startup options: unlike SET, a RESET cannot undo them, and nothing stands in the statement log."""
    settings = {
        "lock_timeout": _milliseconds(options.lock_timeout),
        "statement_timeout": _milliseconds(options.statement_timeout),
        "idle_in_transaction_session_timeout": 60_000,
        "default_transaction_read_only": "on" if options.read_only else "off",
        "DateStyle": "ISO",
        "standard_conforming_strings": "on",
        "jit": "off",  # a third of the time of inspect_tables was spent compiling it
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else max(1, int(seconds * 1000))


def _plain(sql: str) -> Statement:
    return Statement(sql, {}, sql)


def map_error(error: psycopg.Error, mask: Any, *, lost: bool = False, connecting: bool = False) -> DatabaseError:
    """The driver's error as ours, without secrets."""
    state = error.sqlstate or ""
    kind = _KINDS.get(state) or _KINDS.get(state[:2]) or "other"
    if state == "57014":
        kind = "statement_timeout" if "statement timeout" in str(error) else "cancelled"
    if connecting and kind in ("other", "connection_lost", "missing_object"):
        kind = "connect"
    elif lost and not state:
        kind = "connection_lost"
    primary = error.diag.message_primary or str(error).strip().splitlines()[0]
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return DatabaseError(mask(primary + detail), kind=kind, code=state, hint=error.diag.message_hint)

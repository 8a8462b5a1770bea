"""MySQL and MariaDB through PyMySQL. Their maintenance statements report failures as result rows: every row is read."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import DictCursor
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
    watchdog,
)
from aishell.databases.connections import CONNECT_TIMEOUT
from aishell.databases.inserts import many_rows
from aishell.errors import DatabaseError
from aishell.models import Row

#: A run is named by so many digits of its id.
ID_DIGITS, HEX = 8, "0123456789abcdef"
#: errno -> kind. https://mariadb.com/kb/en/mariadb-error-code-reference/
_KINDS = {
    1205: "lock_timeout",
    1213: "deadlock",
    1040: "too_many_connections",
    1203: "too_many_connections",
    1226: "too_many_connections",
    1969: "statement_timeout",
    3024: "statement_timeout",
    1317: "cancelled",
    1044: "permission",
    1142: "permission",
    1143: "permission",
    1227: "permission",
    1290: "read_only",
    1836: "read_only",
    1146: "missing_object",
    1049: "missing_object",
    1051: "missing_object",
    1021: "disk_full",
    1114: "disk_full",
    1034: "corruption",
    1035: "corruption",
    29: "corruption",
    126: "corruption",
    127: "corruption",
    130: "corruption",
    145: "corruption",
    1177: "corruption",
    1194: "corruption",
    1712: "corruption",
    1031: "unsupported",
    1178: "unsupported",
    1845: "unsupported",
    1846: "unsupported",
    1045: "connect",
    1130: "connect",
    1698: "connect",
    2002: "connect",
    2003: "connect",
    2005: "connect",
    2006: "connection_lost",
    2013: "connection_lost",
    1927: "connection_lost",
    4031: "connection_lost",
}


class MySQL(Database):
    """A MySQL or MariaDB database."""

    engine = "mysql"
    placeholder = "%({})s"
    escape_percent = True

    def _connect(self, options: SessionOptions) -> Any:
        url = self.credentials.url
        query = {str(k): v for k, v in url.query.items() if isinstance(v, str)}
        arguments: dict[str, Any] = {
            "host": url.host or "localhost",
            "port": url.port or 3306,
            "user": url.username,
            "password": self.credentials.password or "",
            "database": url.database,
            "unix_socket": query.get("unix_socket"),
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT,
            "cursorclass": DictCursor,
            "program_name": "aishell",
        }
        # The default tries TLS first; on a socket or loopback that costs 20 ms a connection and protects nothing.
        if query.get("unix_socket") or (url.host in (None, "localhost", "127.0.0.1", "::1") and "ssl_ca" not in query):
            arguments["ssl_disabled"] = True
        for key in ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "read_default_file"):
            if key in query:
                arguments[key] = query[key]
        if not url.username and Path("~/.my.cnf").expanduser().exists():
            arguments["read_default_file"] = str(Path("~/.my.cnf").expanduser())
        try:
            connection = _Connection(**{k: v for k, v in arguments.items() if v is not None})
            if not options.read_only:
                _limit(connection, options)
            return connection
        except pymysql.Error as error:
            raise map_error(error, self.credentials.mask, connecting=True) from error

    def session(self, options: SessionOptions) -> MySQLSession:
        return MySQLSession(self, self.pools.get(options), options)

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        text = session.query(_plain("SELECT VERSION() AS version"))[0]["version"]
        numbers = tuple(int(part) for part in text.split("-")[0].split(".")[:3])
        features = set()
        for feature, sql in _FEATURES.items():
            with contextlib.suppress(DatabaseError):  # no privilege or no such table: the feature is not there
                session.query(_plain(sql))
                features.add(feature)
        return ("mariadb" if "mariadb" in text.lower() else "mysql"), numbers, frozenset(features)

    def hold(self, run_id: str) -> TargetLock:
        connection = self._connect(SessionOptions(read_only=True))
        try:
            return MySQLLock(connection, self.credentials.url.database or "", run_id)
        except pymysql.Error as error:
            connection.close()
            raise map_error(error, self.credentials.mask) from error
        except HeldError:
            connection.close()
            raise

    def running(self, marker: str) -> list[str]:
        sql = """SELECT CAST(ID AS CHAR) AS session FROM information_schema.PROCESSLIST
                 WHERE INFO LIKE CONCAT('/* ', %(marker)s, ' %%') AND ID <> CONNECTION_ID()"""
        with self.session(SessionOptions()) as session:
            return [row["session"] for row in session.query(Statement(sql, {"marker": marker}, sql))]

    def stop(self, server_session: str) -> None:
        connection = self._connect(SessionOptions())
        with connection.cursor() as cursor, contextlib.suppress(pymysql.Error):  # 1094: it has ended by itself
            cursor.execute("KILL QUERY %s", (int(server_session),))
        connection.close()


class _Connection(pymysql.connections.Connection):
    """Leaves out the SET NAMES of the connect: the handshake has said utf8mb4, and a dry run's log holds SELECT and SHOW only."""

    _greeted = False

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        if self._greeted:
            super().set_character_set(charset, collation)
            return
        self._greeted = True
        self.charset, self.collation = charset, collation
        self.encoding = pymysql.charset.charset_by_name(charset).encoding


class MySQLSession(Session):
    """A connection; every statement carries the marker as its leading comment."""

    def __init__(self, database: MySQL, pooled: PoolProxiedConnection, options: SessionOptions) -> None:
        self._database, self._pooled, self._options = database, pooled, options
        self.hears, self.read_only = database.hears, options.read_only
        self._connection = _driver(pooled)
        self._marker = ""
        self._cancelled = False
        self.server_session = str(self._connection.thread_id())

    def mark(self, marker: str) -> None:
        try:
            self._connection.ping(reconnect=False)
        except pymysql.Error:
            # A pooled connection that died while it lay idle: nothing of ours was sent, take another.
            self._pooled.invalidate()
            self._pooled = self._database.pools.get(self._options)
            self._connection = _driver(self._pooled)
        self.marker, self._marker = marker, f"/* {marker} */ "
        self.server_session = str(self._connection.thread_id())

    def query(self, statement: Statement) -> list[Row]:
        return self._send(statement)

    def execute(self, statement: Statement) -> Outcome:
        self._cancelled = False
        started = time.monotonic()
        rows, count = self._sent(statement)
        if rows and "Msg_type" in rows[0]:
            # A CHECK that was cut short says "status OK" (InnoDB) or "Corrupt" (Aria, on a sound table): its answer is void.
            if self._cancelled:
                raise DatabaseError("the statement was cancelled", kind="cancelled")
            limit = self._options.statement_timeout
            if limit is not None and time.monotonic() - started >= limit:
                raise DatabaseError(f"stopped after {limit:g} s", kind="statement_timeout")
        messages = [message for row in rows if (message := read_row(row)) is not None]
        if rows and "Msg_type" in rows[0]:
            rows = []
        else:
            messages += [Message("warning", text) for text in self._warnings()]
        return Outcome(rows, tuple(messages), count)

    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        self.tell(statement)
        count = 0
        try:
            with self._connection.cursor() as cursor:
                for sql in many_rows(statement, rows, cursor.mogrify):
                    count += cursor.execute(self._marker + sql)
        except pymysql.Error as error:
            raise map_error(error, self._database.credentials.mask) from error
        return count

    def _send(self, statement: Statement) -> list[Row]:
        return self._sent(statement)[0]

    def _sent(self, statement: Statement) -> tuple[list[Row], int]:
        """What a statement returned, and how many rows it changed."""
        self.tell(statement)
        # A reading session has no limits of its own: a SET would stand in the log of a dry run.
        timer = watchdog(self._options.statement_timeout, self.cancel) if self._options.read_only else None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._marker + statement.sql, statement.params)
                return list(cursor.fetchall()), cursor.rowcount
        except pymysql.Error as error:
            mapped = map_error(error, self._database.credentials.mask)
            if timer is not None and timer.finished.is_set() and mapped.kind == "cancelled":
                raise DatabaseError(
                    f"stopped after {self._options.statement_timeout:g} s", kind="statement_timeout"
                ) from error
            raise mapped from error
        finally:
            if timer is not None:
                timer.cancel()

    def _warnings(self) -> list[str]:
        if not self._connection._result or not self._connection._result.warning_count:
            return []
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            return [row["Message"] for row in cursor.fetchall() if row["Level"] == "Warning"]

    def cancel(self) -> None:
        self._cancelled = True
        self._database.stop(self.server_session)

    def close(self) -> None:
        if self._connection.open:
            self._pooled.close()
        else:
            self._pooled.invalidate()


class MySQLLock(TargetLock):
    """GET_LOCK(…, 0) on the database's name (hashed: a lock's name has 64 characters at most)."""

    def __init__(self, connection: Any, database: str, run_id: str) -> None:
        self._connection = connection
        self._name = "aishell:" + hashlib.sha256(database.encode()).hexdigest()[:32]
        if self._value("SELECT GET_LOCK(%s, 0) AS value", self._name) != 1:
            raise HeldError(self._holder())
        # A user-level lock bears no label, but anybody may ask who holds one: the run's id is spelt in locks, one a digit.
        names = [self._digit(position, digit) for position, digit in enumerate(run_id[:ID_DIGITS])]
        self._value(f"SELECT {' + '.join(['GET_LOCK(%s, 0)'] * len(names))} AS value", *names)

    def _value(self, sql: str, *parameters: object) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
            return row["value"] if row else None

    def _holder(self) -> Holder:
        owner = self._value("SELECT IS_USED_LOCK(%s) AS value", self._name)
        if owner is None:
            return Holder("unknown", "unknown", "just now")
        with self._connection.cursor() as cursor:
            cursor.execute(
                """SELECT HOST AS host, DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL TIME SECOND, '%%Y-%%m-%%dT%%H:%%i:%%SZ') AS since
                   FROM information_schema.PROCESSLIST WHERE ID = %s""",
                (owner,),
            )
            row = cursor.fetchone() or {"host": "unknown", "since": "just now"}
        return Holder(self._spelt(owner), row["host"], row["since"], str(owner))

    def _digit(self, position: int, digit: str) -> str:
        return f"{self._name}:{position}{digit}"

    def _spelt(self, owner: int) -> str:
        """The run id that a session has spelt in locks."""
        names = [self._digit(position, digit) for position in range(ID_DIGITS) for digit in HEX]
        columns = ", ".join(f"IS_USED_LOCK(%s) AS c{number}" for number in range(len(names)))
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns}", names)
            row = cursor.fetchone() or {}
        found = [HEX[number % len(HEX)] for number in range(len(names)) if row.get(f"c{number}") == owner]
        return "".join(found) if len(found) == ID_DIGITS else "unknown"

    def alive(self) -> bool:
        try:
            return bool(self._value("SELECT IS_USED_LOCK(%s) = CONNECTION_ID() AS value", self._name))
        except pymysql.Error:
            return False

    def release(self) -> None:
        self._connection.close()


#: What a role may see decides which variant of a tool fits.
_FEATURES = {
    "process": "SELECT COUNT(*) FROM information_schema.INNODB_TRX",
    "innodb_stats": "SELECT 1 FROM mysql.innodb_table_stats t JOIN mysql.innodb_index_stats i USING (table_name) LIMIT 0",
}


def _limit(connection: Any, options: SessionOptions) -> None:
    """Limits of a writing session. lock_wait_timeout defaults to a day, so it is always set (whole seconds, 1 at least)."""
    seconds = max(1, round(options.lock_timeout)) if options.lock_timeout is not None else 31_536_000
    limit = options.statement_timeout or 0
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = %s, SESSION innodb_lock_wait_timeout = %s", (seconds, seconds))
        if "mariadb" in connection.get_server_info().lower():
            cursor.execute("SET SESSION max_statement_time = %s", (limit,))
        else:
            cursor.execute("SET SESSION max_execution_time = %s", (int(limit * 1000),))
        # REPEATABLE READ locks the gaps between the rows that a DELETE reads, and inserts wait for it; READ COMMITTED does not,
        # but the server refuses any change in it where the binary log has statements (error 1665).
        cursor.execute("SELECT @@log_bin AND @@binlog_format = 'STATEMENT' AS by_statement")
        if not cursor.fetchone()["by_statement"]:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def read_row(row: Row) -> Message | None:
    """A row of ANALYZE, CHECK, OPTIMIZE or REPAIR as a message; None for a good one."""
    kind, text = str(row.get("Msg_type", "")).lower(), str(row.get("Msg_text", ""))
    lowered = text.lower()
    if not kind or (kind == "status" and lowered in ("ok", "table is already up to date")):
        return None
    if "doesn't support" in lowered or "is not of type 'base table'" in lowered:
        return Message("unsupported", text)
    if "recreate + analyze instead" in lowered:  # InnoDB's way of saying that OPTIMIZE works
        return Message("note", text)
    if kind == "error" or lowered.startswith("operation failed"):
        corrupt = any(word in lowered for word in ("corrupt", "crashed", "marked as", "incorrect key file", "checksum"))
        return Message("corrupt" if corrupt else "error", text)
    if kind == "warning":
        return Message("warning", text)
    return Message("corrupt" if lowered == "corrupt" else "note", text)


def _driver(pooled: PoolProxiedConnection) -> Any:
    return pooled.driver_connection


def _plain(sql: str) -> Statement:
    return Statement(sql, {}, sql)


def map_error(error: pymysql.Error, mask: Any, *, connecting: bool = False) -> DatabaseError:
    """The driver's error as ours, without secrets."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    kind = _KINDS.get(code, "other")
    if connecting and kind in ("other", "connection_lost", "missing_object", "permission"):
        kind = "connect"
    elif isinstance(error, pymysql.err.InterfaceError) and not connecting:
        kind = "connection_lost"
    return DatabaseError(mask(text), kind=kind, code=str(code) if code else "")

"""MySQL and MariaDB through PyMySQL. Their maintenance statements report failures as result rows: every row is read."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pymysql
from pymysql.constants import SERVER_STATUS
from sqlalchemy.pool import PoolProxiedConnection

from aishell.databases.base import (
    Database,
    Holder,
    Message,
    Outcome,
    Session,
    SessionOptions,
    Statement,
    TargetLock,
    TargetLockHeldError,
    sending,
    watchdog,
)
from aishell.databases.inserts import many_rows
from aishell.databases.mysql_login import connect
from aishell.databases.mysql_messages import read_row
from aishell.databases.remedies import remedy
from aishell.databases.tls import Encryption
from aishell.errors import AishellError, DatabaseError
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
    1792: "read_only",
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
    1062: "duplicate",
    1031: "unsupported",
    1178: "unsupported",
    1845: "unsupported",
    1846: "unsupported",
    1045: "connect",
    1130: "connect",
    1698: "connect",
    2026: "connect",
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
        try:
            connection = connect(self.credentials, _ONLY_READ if options.read_only else None)
            if not options.read_only:
                _limit(connection, options)
            return connection
        except pymysql.Error as error:
            raise map_error(error, connecting=True) from error

    def session(self, options: SessionOptions) -> MySQLSession:
        return MySQLSession(self, self.pools.get(options), options)

    def _probe(self, session: Session) -> tuple[str, tuple[int, ...], frozenset[str]]:
        text = session.send(_plain("SELECT VERSION() AS version"))[0]["version"]
        numbers = tuple(int(part) for part in text.split("-")[0].split(".")[:3])
        features = set()
        for feature, sql in _FEATURES.items():
            with contextlib.suppress(DatabaseError):  # no privilege or no such table: the feature is not there
                session.send(_plain(sql))
                features.add(feature)
        return ("mariadb" if "mariadb" in text.lower() else "mysql"), numbers, frozenset(features)

    def hold(self, run_id: str) -> TargetLock:
        connection = self._connect(SessionOptions(read_only=True))
        try:
            return MySQLLock(connection, self.credentials.url.database or "", run_id)
        except pymysql.Error as error:
            connection.close()
            raise map_error(error) from error
        except TargetLockHeldError:
            connection.close()
            raise

    def running(self, marker: str) -> list[str]:
        sql = """SELECT CAST(ID AS CHAR) AS session FROM information_schema.PROCESSLIST
                 WHERE INFO LIKE CONCAT('/* ', %(marker)s, ' %%') AND ID <> CONNECTION_ID()"""
        with self.session(SessionOptions()) as session:
            return [row["session"] for row in session.send(Statement(sql, {"marker": marker}, sql))]

    def stop(self, server_session: str) -> None:
        connection = self._connect(SessionOptions())
        with connection.cursor() as cursor, contextlib.suppress(pymysql.Error):  # 1094: it has ended by itself
            cursor.execute("KILL QUERY %s", (int(server_session),))
        connection.close()


class MySQLSession(Session):
    """A connection; every statement carries the marker as its leading comment."""

    #: InnoDB locks what is read there, and the gaps beside it.
    steady: ClassVar[tuple[str, ...]] = ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN")

    def __init__(self, database: MySQL, pooled: PoolProxiedConnection, options: SessionOptions) -> None:
        self._database, self._pooled, self._options = database, pooled, options
        self.hears, self.author, self.read_only = database.hears, database.author, options.read_only
        self.traces = database.traces
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
        with self._reading():
            if statement.guard is not None:
                statement.guard(self, statement)
            return self.send(statement)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A transaction that may write nothing, unless there is one: a program of ours has begun it."""
        if self._connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            yield
            return
        self._control("START TRANSACTION READ ONLY")
        try:
            yield
        except AishellError:
            with contextlib.suppress(
                DatabaseError
            ):  # the connection is lost; what went wrong is told by the other error
                self._control("ROLLBACK")
            raise
        self._control("ROLLBACK")

    def _control(self, words: str) -> None:
        try:
            self._connection.query(self._marker + words)
        except pymysql.Error as error:
            raise map_error(error) from error

    def execute(self, statement: Statement) -> Outcome:
        self._cancelled = False
        started = time.monotonic()
        with self._reading() if self._options.read_only else contextlib.nullcontext():
            if statement.guard is not None:
                statement.guard(self, statement)
            rows, count = self._sent(statement)
            told = bool(rows) and "Msg_type" in rows[0]
            warnings = [] if told else self._warnings()
        if told:
            # A CHECK that was cut short says "status OK" (InnoDB) or "Corrupt" (Aria, on a sound table): its answer is void.
            if self._cancelled:
                raise DatabaseError("the statement was cancelled", kind="cancelled")
            limit = self._options.statement_timeout
            if limit is not None and time.monotonic() - started >= limit:
                raise DatabaseError(f"stopped after {limit:g} s", kind="statement_timeout")
        messages = [message for row in rows if (message := read_row(row)) is not None]
        messages += [Message("warning", text) for text in warnings]
        rows = [] if told else rows
        return Outcome(rows, tuple(messages), count)

    @sending
    def execute_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
        count = 0
        try:
            with self._connection.cursor() as cursor:
                for sql in many_rows(statement, rows, cursor.mogrify):
                    count += cursor.execute(self._marker + sql)
        except pymysql.Error as error:
            raise map_error(error) from error
        return count

    @contextlib.contextmanager
    def holding(self, lock: Statement) -> Iterator[None]:
        """DDL commits by itself here, but keeps what LOCK TABLES has taken."""
        self.execute(lock)
        try:
            yield
        finally:
            with contextlib.suppress(DatabaseError):  # it was lost, and its locks with it
                self.execute(_plain("UNLOCK TABLES"))

    def send(self, statement: Statement) -> list[Row]:
        return self._sent(statement)[0]

    @sending
    def _sent(self, statement: Statement) -> tuple[list[Row], int]:
        """What a statement returned, and how many rows it changed."""
        # A reading session's limit is watched from here: MySQL's own is for SELECT alone.
        timer = watchdog(self._options.statement_timeout, self.cancel) if self._options.read_only else None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._marker + statement.sql, statement.params)
                return list(cursor.fetchall()), cursor.rowcount
        except pymysql.Error as error:
            mapped = map_error(error)
            if timer is not None and timer.fired and mapped.kind == "cancelled":
                raise DatabaseError(
                    f"stopped after {self._options.statement_timeout:g} s", kind="statement_timeout"
                ) from error
            raise mapped from error
        finally:
            if timer is not None:
                timer.cancel()
                if timer.fired:
                    timer.join()  # else what it cancels may be the next statement

    def _warnings(self) -> list[str]:
        if not self._connection._result or not self._connection._result.warning_count:
            return []
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            return [row["Message"] for row in cursor.fetchall() if row["Level"] == "Warning"]

    @property
    def encryption(self) -> Encryption:
        found: Encryption = self._connection.encryption
        return found

    def cancel(self) -> None:
        self._cancelled = True
        self._database.stop(self.server_session)

    def close(self) -> None:
        if self._connection.open:
            self._pooled.close()
        elif self._pooled.is_valid:  # else it was given up already, and no other was to be had
            self._pooled.invalidate()


class MySQLLock(TargetLock):
    """GET_LOCK(…, 0) on the database's name (hashed: a lock's name has 64 characters at most)."""

    def __init__(self, connection: Any, database: str, run_id: str) -> None:
        self._connection = connection
        self._name = "aishell:" + hashlib.sha256(database.encode()).hexdigest()[:32]
        if self._value("SELECT GET_LOCK(%s, 0) AS value", self._name) != 1:
            raise TargetLockHeldError(self._holder())
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


# MariaDB commits a transaction before DDL: TRUNCATE and DROP went through START TRANSACTION READ ONLY. A session that reads by
# default refuses them, and the explicit transaction what writes rows, whatever a statement before has made of the default.
_ONLY_READ = "SET SESSION TRANSACTION READ ONLY"

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


def _driver(pooled: PoolProxiedConnection) -> Any:
    return pooled.driver_connection


def _plain(sql: str) -> Statement:
    return Statement(sql, {}, sql)


def map_error(error: pymysql.Error, *, connecting: bool = False) -> DatabaseError:
    """The driver's error as ours."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    kind = _KINDS.get(code, "other")
    if connecting and kind in ("other", "connection_lost", "missing_object", "permission"):
        kind = "connect"
    elif isinstance(error, pymysql.err.InterfaceError) and not connecting:
        kind = "connection_lost"
    answered = connecting and code >= 1000 and not 2000 <= code < 3000  # between them stand those of the client
    mapped = DatabaseError(text, kind=kind, code=str(code) if code else "", answered=answered)
    mapped.hint = remedy(mapped) if kind == "permission" else None
    return mapped

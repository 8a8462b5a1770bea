"""MySQL and MariaDB through PyMySQL. Maintenance statements report failures as result rows, so every row is read."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pymysql
from pymysql.constants import SERVER_STATUS
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
from aishell.databases.mysql_login import connect
from aishell.databases.remedies import remedy
from aishell.databases.tls import Encryption
from aishell.errors import AishellError, DatabaseError
from aishell.models import Row

#: How many digits of a run's id its locks spell, and the digits.
ID_DIGITS, HEX = 8, "0123456789abcdef"
#: Kind -> errors. https://mariadb.com/kb/en/mariadb-error-code-reference/
_CODES = {
    "lock_timeout": [1205],
    "deadlock": [1213],
    "too_many_connections": [1040, 1203, 1226],
    "statement_timeout": [1969, 3024],
    "cancelled": [1317],
    "permission": [1044, 1142, 1143, 1227],
    "read_only": [1290, 1792, 1836],
    "missing_object": [1146, 1049, 1051],
    "disk_full": [1021, 1114],
    "corruption": [1034, 1035, 29, 126, 127, 130, 145, 1177, 1194, 1712],
    "duplicate": [1062],
    "unsupported": [1031, 1178, 1845, 1846],
    "connect": [1045, 1130, 1698, 2026, 2002, 2003, 2005],
    "connection_lost": [2006, 2013, 1927, 4031],
}
_KINDS = {code: kind for kind, codes in _CODES.items() for code in codes}
#: INSERT … VALUES (…) with placeholders: the text before the row, and the row.
_INSERT = re.compile(r"(.*\bVALUES )(\(.*\))", re.DOTALL)
#: Bytes of one INSERT; servers refuse more than 16 MB by default.
_INSERT_BYTES = 1 << 20


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
        text = session.send(Statement.of("SELECT VERSION() AS version"))[0]["version"]
        numbers = tuple(int(part) for part in text.split("-")[0].split(".")[:3])
        features = set()
        for feature, sql in _FEATURES.items():
            with contextlib.suppress(DatabaseError):  # no privilege, or no such table: the feature is missing
                session.send(Statement.of(sql))
                features.add(feature)
        return ("mariadb" if "mariadb" in text.lower() else "mysql"), numbers, frozenset(features)

    def hold(self, run_id: str) -> base.TargetLock:
        connection = self._connect(SessionOptions(read_only=True))
        try:
            return MySQLLock(connection, self.credentials.url.database or "", run_id)
        except (pymysql.Error, base.TargetLockHeldError) as error:
            connection.close()
            if isinstance(error, base.TargetLockHeldError):
                raise
            raise map_error(error) from error

    def running(self, marker: str) -> list[str]:
        sql = """SELECT CAST(ID AS CHAR) AS session FROM information_schema.PROCESSLIST
                 WHERE INFO LIKE CONCAT('/* ', %(marker)s, ' %%') AND ID <> CONNECTION_ID()"""
        with self.session(SessionOptions()) as session:
            return [row["session"] for row in session.send(Statement(sql, {"marker": marker}, sql))]

    def stop(self, server_session: str) -> None:
        connection = self._connect(SessionOptions())
        with connection.cursor() as cursor, contextlib.suppress(pymysql.Error):  # 1094: the session has ended
            cursor.execute("KILL QUERY %s", (int(server_session),))
        connection.close()


class MySQLSession(Session):
    """A connection; every statement carries the marker as a leading comment."""

    #: Under SERIALIZABLE, InnoDB locks the rows that are read, and the gaps beside them.
    steady: ClassVar[tuple[str, ...]] = ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN")
    _marker = ""
    _cancelled = False

    def __init__(self, database: MySQL, pooled: PoolProxiedConnection, options: SessionOptions) -> None:
        super().__init__(database, pooled, options)
        self.server_session = str(self._connection.thread_id())

    def mark(self, marker: str) -> None:
        try:
            self._connection.ping(reconnect=False)
        except pymysql.Error:
            self._reconnect()
        self.marker, self._marker = marker, f"/* {marker} */ "
        self.server_session = str(self._connection.thread_id())

    def query(self, statement: Statement) -> list[Row]:
        with self._reading():
            self.check(statement)
            return self.send(statement)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Run the statements inside in a read-only transaction, unless our own code has begun one already."""
        if self._connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            yield
            return
        self._control("START TRANSACTION READ ONLY")
        try:
            yield
        except AishellError:
            with contextlib.suppress(DatabaseError):  # the connection is lost; the original error says what went wrong
                self._control("ROLLBACK")
            raise
        self._control("ROLLBACK")

    def _control(self, words: str) -> None:
        try:
            self._connection.query(self._marker + words)
        except pymysql.Error as error:
            raise map_error(error) from error

    def execute(self, statement: Statement) -> StatementResult:
        self._cancelled = False
        started = time.monotonic()
        with self._reading() if self._options.read_only else contextlib.nullcontext():
            self.check(statement)
            rows, count = self._sent(statement)
            maintained = bool(rows) and "Msg_type" in rows[0]
            warnings = [] if maintained else self._warnings()
        if maintained:
            # A cancelled CHECK reports "status OK" (InnoDB) or "Corrupt" (Aria, on a sound table): its result is void.
            if self._cancelled:
                raise DatabaseError("the statement was cancelled", kind="cancelled")
            limit = self._options.statement_timeout
            if limit is not None and time.monotonic() - started >= limit:
                raise DatabaseError(f"stopped after {limit:g} s", kind="statement_timeout")
        messages = [message for row in rows if (message := read_row(row)) is not None]
        messages += [ServerMessage("warning", text) for text in warnings]
        return StatementResult([] if maintained else rows, tuple(messages), count)

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
        """Hold the locks of LOCK TABLES, which DDL keeps although it commits implicitly."""
        self.execute(lock)
        try:
            yield
        finally:
            with contextlib.suppress(DatabaseError):  # the connection was lost, and its locks with it
                self.execute(Statement.of("UNLOCK TABLES"))

    def send(self, statement: Statement) -> list[Row]:
        return self._sent(statement)[0]

    @sending
    def _sent(self, statement: Statement) -> tuple[list[Row], int]:
        """Send a statement, and return its rows and the number of rows changed."""
        # A read-only session's limit is enforced here: MySQL's own applies to SELECT only.
        timer = base.watchdog(self._options.statement_timeout, self.cancel) if self._options.read_only else None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(self._marker + statement.sql, statement.params)
                return list(cursor.fetchall()), cursor.rowcount
        except pymysql.Error as error:
            mapped = map_error(error)
            if timer is not None and timer.fired and mapped.kind == "cancelled":
                limit = f"{self._options.statement_timeout:g} s"
                raise DatabaseError(f"stopped after {limit}", kind="statement_timeout") from error
            raise mapped from error
        finally:
            if timer is not None:
                timer.cancel()
                if timer.fired:
                    timer.join()  # else it might cancel the next statement

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

    @property
    def _lost(self) -> bool:
        return not self._connection.open


class MySQLLock(base.TargetLock):
    """GET_LOCK(…, 0) on the database's name (hashed, since a lock's name has at most 64 characters)."""

    def __init__(self, connection: Any, database: str, run_id: str) -> None:
        self._connection = connection
        self._name = "aishell:" + hashlib.sha256(database.encode()).hexdigest()[:32]
        if self._value("SELECT GET_LOCK(%s, 0) AS value", self._name) != 1:
            raise base.TargetLockHeldError(self._holder())
        # A user-level lock has no label, but anyone can query its holder, so further locks spell the run's id, one per digit.
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
        """Return the run id that a session's locks spell."""
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


# MariaDB commits a transaction before DDL, so START TRANSACTION READ ONLY does not stop TRUNCATE and DROP. A session that is
# read-only by default refuses them. The explicit transaction refuses to change rows, even if a statement changed the default.
_ONLY_READ = "SET SESSION TRANSACTION READ ONLY"

#: Feature -> a statement that fails without it. The privileges of the role decide which variant of a tool fits.
_FEATURES = {
    "process": "SELECT COUNT(*) FROM information_schema.INNODB_TRX",
    "innodb_stats": "SELECT 1 FROM mysql.innodb_table_stats t JOIN mysql.innodb_index_stats i USING (table_name) LIMIT 0",
}


def _limit(connection: Any, options: SessionOptions) -> None:
    """Limit a writing session. lock_wait_timeout defaults to a day, so it is always set (whole seconds, at least 1)."""
    seconds = max(1, round(options.lock_timeout)) if options.lock_timeout is not None else 31_536_000
    limit = options.statement_timeout or 0
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION lock_wait_timeout = %s, SESSION innodb_lock_wait_timeout = %s", (seconds, seconds))
        if "mariadb" in connection.get_server_info().lower():
            cursor.execute("SET SESSION max_statement_time = %s", (limit,))
        else:
            cursor.execute("SET SESSION max_execution_time = %s", (int(limit * 1000),))
        # REPEATABLE READ locks the gaps between the rows that a DELETE reads, and inserts wait. READ COMMITTED does not, but with
        # a statement-based binary log the server refuses any change in it (error 1665).
        cursor.execute("SELECT @@log_bin AND @@binlog_format = 'STATEMENT' AS by_statement")
        if not cursor.fetchone()["by_statement"]:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def many_rows(
    statement: Statement, rows: Sequence[Mapping[str, Any]], written: Callable[[str, Mapping[str, Any]], str]
) -> Iterator[str]:
    """Yield the statements for all rows: INSERTs with as many rows as they may hold, other statements row by row.

    `written` is the driver's function that puts values into SQL. PyMySQL's executemany cannot do `SET STATEMENT … FOR INSERT`.
    """
    match = _INSERT.fullmatch(statement.sql)
    if match is None:
        yield from (written(statement.sql, {**statement.params, **row}) for row in rows)
        return
    head = written(match[1], {})  # a % in a name is doubled there
    lot, size = list[str](), 0
    for row in rows:
        value = written(match[2], {**statement.params, **row})
        if lot and size + len(value) > _INSERT_BYTES:
            yield f"{head}{','.join(lot)}"
            lot, size = [], 0
        lot.append(value)
        size += len(value)
    if lot:
        yield f"{head}{','.join(lot)}"


def read_row(row: Row) -> ServerMessage | None:
    """Return a row of ANALYZE, CHECK, OPTIMIZE or REPAIR as a message; None for success. Failures are reported as such rows."""
    kind, text = str(row.get("Msg_type", "")).lower(), str(row.get("Msg_text", ""))
    lowered = text.lower()
    if not kind or (kind == "status" and lowered in ("ok", "table is already up to date")):
        return None
    if "doesn't support" in lowered or "is not of type 'base table'" in lowered:
        return ServerMessage("unsupported", text)
    if "recreate + analyze instead" in lowered:  # InnoDB's note on an OPTIMIZE that works
        return ServerMessage("note", text)
    if kind == "error" or lowered.startswith("operation failed"):
        corrupt = any(word in lowered for word in ("corrupt", "crashed", "marked as", "incorrect key file", "checksum"))
        return ServerMessage("corrupt" if corrupt else "error", text)
    if kind == "warning":
        return ServerMessage("warning", text)
    return ServerMessage("corrupt" if lowered == "corrupt" else "note", text)


def map_error(error: pymysql.Error, *, connecting: bool = False) -> DatabaseError:
    """Convert the driver's error to a DatabaseError."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    kind = _KINDS.get(code, "other")
    if connecting and kind in ("other", "connection_lost", "missing_object", "permission"):
        kind = "connect"
    elif isinstance(error, pymysql.err.InterfaceError) and not connecting:
        kind = "connection_lost"
    answered = connecting and code >= 1000 and not 2000 <= code < 3000  # 2000 to 2999 are the client's
    mapped = DatabaseError(text, kind=kind, code=str(code) if code else "", answered=answered)
    mapped.hint = remedy(mapped) if kind == "permission" else None
    return mapped

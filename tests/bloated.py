"""Databases with work to do, alike as often as a test wants one: dead rows, a bloated index, stale statistics."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import shutil
import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.fix_sqlite import SqliteDatabase
from tests.mariadb import MariadbDatabase
from tests.postgresql import PostgresqlDatabase
from tests.servers import wait_until

ROWS = 20_000
TABLES = ("orders", "customers")
_numbers = itertools.count(1)


class Bloated(ABC):
    """Makes databases in which a full run has something to do in every kind of step of its engine.

    `orders` has lost nineteen rows in twenty, `customers` is small and was never analysed.
    """

    engine: str

    def __init__(self, db: Any) -> None:
        self.db = db  # the first one; on PostgreSQL the others are cloned from it
        self.made: list[Any] = []

    @abstractmethod
    def make(self) -> Any:
        """Another database."""

    @abstractmethod
    def facts(self, db: Any) -> dict[str, Any]:
        """What maintenance is to bring about, as a plain client sees it: the same after every good run."""

    @abstractmethod
    def content(self, db: Any) -> Any:
        """The rows and the indexes: the same before and after any run."""

    def left_behind(self, db: Any) -> list[str]:
        """Locks, sessions and half-made objects of aishell's that stay; a server needs a moment to end a session."""
        found: list[str] = []

        def nothing() -> bool:
            found[:] = self._left(db)
            return not found

        with contextlib.suppress(TimeoutError):
            wait_until(nothing, "nothing left")
        return found

    @abstractmethod
    def _left(self, db: Any) -> list[str]: ...

    def clean(self) -> None:
        for db in self.made:
            db.drop()


class BloatedPostgresql(Bloated):
    engine = "postgresql"

    def __init__(self, db: PostgresqlDatabase) -> None:
        super().__init__(db)
        for statement in (
            "CREATE TABLE orders (id int PRIMARY KEY, n text, note text)",
            "CREATE INDEX orders_n ON orders (n)",
            f"INSERT INTO orders SELECT i, md5(i::text), repeat('x', 100) FROM generate_series(1, {ROWS}) AS i",
            "CREATE TABLE customers (id int PRIMARY KEY, n text)",
            "DELETE FROM orders WHERE id % 10 <> 0",
            "VACUUM ANALYZE orders",
        ):
            db.execute(statement)

    def make(self) -> PostgresqlDatabase:
        db = self.db.server.create(f"bloated_{next(_numbers)}", self.db.dbname)
        self.made.append(db)
        # A clone knows none of its template's counters.
        db.execute("DELETE FROM orders WHERE id % 20 = 0")
        db.execute("INSERT INTO customers SELECT i, md5(i::text) FROM generate_series(1, 500) AS i")
        counted = """SELECT pg_stat_get_dead_tuples('orders'::regclass) >= 1000
                     AND pg_stat_get_live_tuples('customers'::regclass) >= 500"""
        wait_until(lambda: db.execute(counted)[0][0], "the rows in the statistics")
        return db

    def facts(self, db: PostgresqlDatabase) -> dict[str, Any]:
        figures = """SELECT relname, pg_stat_get_last_vacuum_time(oid) IS NOT NULL,
                            pg_stat_get_last_analyze_time(oid) IS NOT NULL, pg_stat_get_dead_tuples(oid), reltuples::int
                     FROM pg_class WHERE relname = ANY (%s) ORDER BY relname"""
        indexes = """SELECT i.indexrelid::regclass::text, indisvalid, avg_leaf_density > 60 FROM pg_index AS i
                     CROSS JOIN LATERAL pgstatindex(i.indexrelid::regclass) WHERE indrelid = 'orders'::regclass ORDER BY 1"""
        return {"tables": db.execute(figures, [list(TABLES)]), "indexes": db.execute(indexes)}

    def content(self, db: PostgresqlDatabase) -> Any:
        names = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY 1"
        return (
            db.execute("SELECT count(*), sum(id), md5(string_agg(n, ',' ORDER BY id)) FROM orders"),
            db.execute(names),
        )

    def _left(self, db: PostgresqlDatabase) -> list[str]:
        looks = (
            "SELECT 'session ' || application_name FROM pg_stat_activity WHERE application_name ~ '^aishell' AND datname = %s",
            """SELECT 'lock of ' || pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
               WHERE locktype = 'advisory' AND datname = %s""",
            """SELECT 'index ' || relname FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
               WHERE (relname ~ '_cc(new|old)' OR NOT indisvalid) AND current_database() = %s""",
        )
        return [name for look in looks for (name,) in db.execute(look, [db.dbname])]


class BloatedMariadb(Bloated):
    engine = "mysql"

    def make(self) -> MariadbDatabase:
        db = self.db.server.create(f"bloated_{next(_numbers)}")
        self.made.append(db)
        for statement in (
            "CREATE TABLE orders (id int PRIMARY KEY, n varchar(64), note varchar(200), KEY orders_n (n)) STATS_AUTO_RECALC=0",
            f"INSERT INTO orders SELECT seq, md5(seq), repeat('x', 100) FROM seq_1_to_{ROWS}",
            "CREATE TABLE customers (id int PRIMARY KEY, n varchar(64)) STATS_AUTO_RECALC=0",
            "INSERT INTO customers SELECT seq, md5(seq) FROM seq_1_to_500",
            "DELETE FROM orders WHERE id % 20 <> 10",
            "SET GLOBAL innodb_max_purge_lag_wait = 0",  # returns when what was deleted is purged
            "ANALYZE TABLE orders",
        ):
            db.execute(statement)
        return db

    def facts(self, db: MariadbDatabase) -> dict[str, Any]:
        figures = """SELECT table_name, n_rows BETWEEN 400 AND 1100 FROM mysql.innodb_table_stats
                     WHERE database_name = %s ORDER BY table_name"""
        small = """SELECT DATA_LENGTH + INDEX_LENGTH < 1000000 FROM information_schema.TABLES
                   WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'orders'"""
        return {"statistics": db.execute(figures, [db.dbname]), "small": db.execute(small, [db.dbname])}

    def content(self, db: MariadbDatabase) -> Any:
        names = "SELECT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s ORDER BY 1, 2"
        return (
            db.execute("CHECKSUM TABLE orders, customers")[0][1:],
            db.execute("SHOW TABLES"),
            db.execute(names, [db.dbname]),
        )

    def _left(self, db: MariadbDatabase) -> list[str]:
        """Every session of aishell's names its database; a lock by GET_LOCK is gone with its session."""
        sessions = """SELECT CONCAT('session ', ID, ' ', COMMAND) FROM information_schema.PROCESSLIST
                      WHERE DB = %s AND ID <> CONNECTION_ID()"""
        return [name for (name,) in db.execute(sessions, [db.dbname])]


class BloatedSqlite(Bloated):
    engine = "sqlite"

    def make(self) -> SqliteDatabase:
        db = SqliteDatabase(self.db.path.with_name(f"bloated {next(_numbers)} #é.db"))
        pattern = self.db.path.with_name("pattern.db")
        if not pattern.exists():
            self._fill(pattern)
        shutil.copy(pattern, db.path)
        self.made.append(db)
        return db

    def _fill(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        rows = [(i, hashlib.md5(str(i).encode()).hexdigest(), "x" * 100) for i in range(1, ROWS + 1)]
        connection.execute("CREATE TABLE orders (id integer PRIMARY KEY, n text, note text)")
        connection.execute("CREATE TABLE customers (id integer PRIMARY KEY, n text)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.executemany("INSERT INTO customers VALUES (?, ?)", [row[:2] for row in rows[:500]])
        connection.execute("COMMIT")
        for table in TABLES:
            connection.execute(f"CREATE INDEX {table}_n ON {table} (n)")
        connection.execute("DELETE FROM orders WHERE id % 20 <> 10")
        connection.close()

    def facts(self, db: SqliteDatabase) -> dict[str, Any]:
        analysed = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
        return {
            "free": db.execute("PRAGMA freelist_count"),
            "pages": db.execute("PRAGMA page_count"),
            "statistics": sorted(db.execute("SELECT tbl, idx, stat FROM sqlite_stat1")) if analysed else None,
            "damage": db.execute("PRAGMA integrity_check"),
        }

    def content(self, db: SqliteDatabase) -> Any:
        rows = [db.execute(f"SELECT * FROM {table} ORDER BY id") for table in TABLES]
        return rows, sorted(db.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'"))

    def _left(self, db: SqliteDatabase) -> list[str]:
        beside = [path for path in db.path.parent.iterdir() if db.path.name in path.name and path != db.path]
        return [path.name for path in beside if held(path) or not path.name.endswith("-lock")]

    def clean(self) -> None:
        """Nothing: the files are in the test's folder, and `execute` closes what it opens."""


def held(path: Path) -> bool:
    """Whether somebody has a lock on this file; what a killed process left is not held by anybody."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


BLOATED: dict[str, type[Bloated]] = {
    "postgresql": BloatedPostgresql,
    "mariadb": BloatedMariadb,
    "sqlite": BloatedSqlite,
}

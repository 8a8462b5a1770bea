"""Tables for the tools to work on, made with the plain driver: bloated, stale, empty, without a key, partitioned, huge."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from tests.mariadb import MariadbDatabase, quoted
from tests.servers import wait_until

ROWS = 20_000
KEPT = 10  # one row in ten stays


class Samples(ABC):
    """Makes tables of the form (id primary key, n text with an index, note text) in one schema."""

    default: str
    index_rows = ROWS  # so many that the bloat of an index can be known

    def __init__(self, db: Any, schema: str | None = None) -> None:
        self.db = db
        self.schema = schema or self.default
        self.outside: list[str] = []  # schemas that stand beside the test's database

    def q(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def ref(self, name: str) -> str:
        return f"{self.q(self.schema)}.{self.q(name)}"

    def do(self, *statements: str) -> None:
        for statement in statements:
            self.db.execute(statement)

    def value(self, query: str) -> Any:
        ((value,),) = self.db.execute(query)
        return value

    def count(self, table: str) -> int:
        return int(self.value(f"SELECT count(*) FROM {self.ref(table)}"))

    @abstractmethod
    def fill(self, table: str, first: int, last: int, column: str = "n") -> None:
        """Rows with these ids; `n` is of random order, so that every index page gets some."""

    def counted(self, table: str, changes: int) -> None:  # noqa: B027  most servers count at once
        """Wait until the server knows of so many changed rows since the statistics were made, where sessions tell it late."""

    @abstractmethod
    def settle(self, table: str) -> None:
        """Let the server finish deleting, and refresh the statistics."""

    def table(self, table: str = "plain", rows: int = 100, column: str = "n", index: str | None = None) -> str:
        self.do(
            f"CREATE TABLE {self.ref(table)} (id integer PRIMARY KEY, {self.q(column)} varchar(64), note varchar(200))"
        )
        self.fill(table, 1, rows, column)
        self.index(table, column, index or f"{table}_n")
        return table

    def index(self, table: str, column: str, index: str) -> None:
        self.do(f"CREATE INDEX {self.q(index)} ON {self.ref(table)} ({self.q(column)})")

    def bloated(self, table: str = "bloated", column: str = "n", index: str | None = None, rows: int = ROWS) -> str:
        """A table and an index that nine rows in ten were deleted from; statistics are fresh."""
        self.table(table, rows, column, index)
        self.counted(table, rows)
        self.settle(table)
        self.do(f"DELETE FROM {self.ref(table)} WHERE id % {KEPT} <> 0")
        self.counted(table, rows - rows // KEPT)
        self.settle(table)
        return table

    def stale(self, table: str = "stale") -> str:
        """A table that has grown a lot since its statistics were made."""
        self.table(table, 200)
        self.counted(table, 200)
        self.settle(table)
        self.fill(table, 201, 2000)
        return table

    def empty(self, table: str = "empty") -> str:
        return self.table(table, 0)

    def without_key(self, table: str = "keyless") -> str:
        self.do(f"CREATE TABLE {self.ref(table)} (id integer, n varchar(64), note varchar(200))")
        self.fill(table, 1, 500)
        return table

    def view(self, view: str = "looking", table: str = "plain") -> str:
        self.do(f"CREATE VIEW {self.ref(view)} AS SELECT n FROM {self.ref(table)}")
        return view

    def generated(self, table: str = "computed") -> str:
        self.do(
            f"CREATE TABLE {self.ref(table)} (id integer PRIMARY KEY, n varchar(64), note varchar(200), "
            "twice integer GENERATED ALWAYS AS (id * 2) STORED)"
        )
        self.fill(table, 1, 500)
        self.index(table, "twice", f"{table}_twice")
        return table

    def huge(self, table: str = "huge") -> str:
        """Rows far larger than a page."""
        self.do(f"CREATE TABLE {self.ref(table)} (id integer PRIMARY KEY, body {self.long_text})")
        for number in range(8):
            text = "".join(hashlib.sha256(f"{number}{part}".encode()).hexdigest() for part in range(4000))
            self.do(f"INSERT INTO {self.ref(table)} VALUES ({number}, '{text}')")
        self.do(f"DELETE FROM {self.ref(table)} WHERE id < 4")
        return table

    long_text = "text"

    def partitioned(self, table: str = "parts") -> Iterable[str]:
        """A partitioned table of two partitions; the names of those that are tables of their own."""
        raise NotImplementedError

    def make_schema(self, name: str) -> Any:
        raise NotImplementedError

    def clean(self) -> None:
        """Remove what stands beside the test's database."""
        for schema in self.outside:
            self.db.execute(f"DROP DATABASE IF EXISTS {self.q(schema)}")


class PostgresqlSamples(Samples):
    default = "public"

    def fill(self, table: str, first: int, last: int, column: str = "n") -> None:
        self.do(
            f"INSERT INTO {self.ref(table)} (id, {self.q(column)}, note) SELECT i, md5(i::text), repeat('x', 100) "
            f"FROM generate_series({first}, {last}) AS i"
        )

    def counted(self, table: str, changes: int) -> None:
        """A session tells when it ends, which may be behind the ANALYZE of the next one."""
        known = "SELECT pg_stat_get_mod_since_analyze(%s::regclass) >= %s"
        wait_until(lambda: self.db.execute(known, [self.ref(table), changes])[0][0], f"{changes} changes of {table}")

    def settle(self, table: str) -> None:
        self.do(f"VACUUM ANALYZE {self.ref(table)}")

    def partitioned(self, table: str = "parts") -> Iterable[str]:
        self.do(
            f"CREATE TABLE {self.ref(table)} (id integer PRIMARY KEY, n varchar(64), note varchar(200)) PARTITION BY RANGE (id)",
            f"CREATE TABLE {self.ref(table + '_1')} PARTITION OF {self.ref(table)} FOR VALUES FROM (0) TO (500)",
            f"CREATE TABLE {self.ref(table + '_2')} PARTITION OF {self.ref(table)} FOR VALUES FROM (500) TO (5000)",
        )
        self.fill(table, 1, 1000)
        self.do(f"DELETE FROM {self.ref(table)} WHERE id % 10 <> 0")
        return f"{table}_1", f"{table}_2"

    def make_schema(self, name: str) -> None:
        self.do(f"CREATE SCHEMA {self.q(name)}")


class MariadbSamples(Samples):
    long_text = "longtext"
    index_rows = 150_000  # MariaDB samples the pages of larger indexes only

    def __init__(self, db: MariadbDatabase, schema: str | None = None) -> None:
        self.default = str(db.dbname)
        super().__init__(db, schema)

    def q(self, name: str) -> str:
        return quoted(name)

    def fill(self, table: str, first: int, last: int, column: str = "n") -> None:
        if last >= first:
            self.do(
                f"INSERT INTO {self.ref(table)} (id, {self.q(column)}, note) SELECT seq, md5(seq), repeat('x', 100) "
                f"FROM seq_{first}_to_{last}"
            )

    def settle(self, table: str) -> None:
        self.do(f"ANALYZE TABLE {self.ref(table)}")

    def bloated(self, table: str = "bloated", column: str = "n", index: str | None = None, rows: int = ROWS) -> str:
        """As everywhere, once the purge threads have removed the deleted rows and merged what they left."""
        self.table(table, rows, column, index)
        self.settle(table)
        before = self.leaves(table)
        seen: list[dict[str, int]] = []
        self.do(f"DELETE FROM {self.ref(table)} WHERE id % {KEPT} <> 0")

        def purged() -> bool:
            self.settle(table)
            seen.append(self.leaves(table))
            fewer = all(now <= max(1, before[index] * 0.6) for index, now in seen[-1].items())
            return fewer and seen[-3:] == [seen[-1]] * 3

        wait_until(purged, "InnoDB purges the deleted rows")
        return table

    def leaves(self, table: str) -> dict[str, int]:
        query = (
            "SELECT index_name, stat_value FROM mysql.innodb_index_stats "
            "WHERE stat_name = 'n_leaf_pages' AND database_name = %s AND table_name = %s"
        )
        return {index: int(pages) for index, pages in self.db.execute(query, [self.schema, table])}

    def partitioned(self, table: str = "parts") -> Iterable[str]:
        self.do(
            f"CREATE TABLE {self.ref(table)} (id integer PRIMARY KEY, n varchar(64), note varchar(200)) "
            "PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (500), PARTITION p2 VALUES LESS THAN (5000))"
        )
        self.fill(table, 1, 1000)
        self.do(f"DELETE FROM {self.ref(table)} WHERE id % 10 <> 0")
        return ()

    def make_schema(self, name: str) -> MariadbDatabase:
        self.outside.append(name)
        return self.db.server.create(name)


class SqliteSamples(Samples):
    default = "main"

    def fill(self, table: str, first: int, last: int, column: str = "n") -> None:
        rows = ((i, hashlib.md5(str(i).encode()).hexdigest(), "x" * 100) for i in range(first, last + 1))
        with self.db.connect() as connection:
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {self.ref(table)} (id, {self.q(column)}, note) VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def index(self, table: str, column: str, index: str) -> None:
        self.do(f"CREATE INDEX {self.ref(index)} ON {self.q(table)} ({self.q(column)})")

    def settle(self, table: str) -> None:
        self.do(f"ANALYZE {self.ref(table)}")

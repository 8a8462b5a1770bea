"""The old half of 2 million log rows: `aishell run log-cleanup` against the alternatives, alternating on the same data.

PostgreSQL: one DELETE, and a psycopg loop over ranges of pages (the best plain loop there is). MariaDB: pt-archiver in bulk and
row by row. SQLite: one DELETE. Meanwhile a writer repeatedly inserts a row and updates a recent one, and reports its
longest wait. Then with an archive, and the memory it takes for 1 and for 10 million rows. Rows per second are those of the
deletion: aishell's batches from the first to the last, the other's statements or process. Beside it stand aishell's delete step,
which also looks whether an old row is left (the others do not), and the whole of `aishell run`: inspection, plan, count, delete,
verification, vacuum, report.

    python bench/bench_log_cleanup.py [postgresql] [mariadb] [sqlite] [memory]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mariadb import MariadbServer, server_program
from tests.postgresql import PostgresqlServer, distribution_bin

ROWS, ROUNDS, DAYS = int(os.environ.get("ROWS", 2_000_000)), int(os.environ.get("ROUNDS", 3)), 90
SPREAD = 2 * DAYS * 86_400 / ROWS  # seconds between two rows: half of them are older than DAYS
FEW = 20_000  # rows for pt-archiver row by row, which takes 100 s for a million

POSTGRESQL = f"""
DROP TABLE IF EXISTS app_log;
CREATE TABLE app_log (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, level text, message text);
INSERT INTO app_log
SELECT i, now() - interval '{2 * DAYS} days' + i * interval '{SPREAD} seconds', 'info', repeat(md5(i::text), 6)
FROM generate_series(1, {{rows}}) AS i;
CREATE INDEX ON app_log (created_at);
VACUUM (ANALYZE) app_log;
CHECKPOINT"""
MARIADB = f"""
DROP TABLE IF EXISTS app_log;
CREATE TABLE app_log (id bigint PRIMARY KEY AUTO_INCREMENT, created_at datetime NOT NULL, level varchar(10), message text,
  KEY (created_at));
INSERT INTO app_log
SELECT seq, NOW() - INTERVAL {2 * DAYS} DAY + INTERVAL ROUND({{place}} * {SPREAD}) SECOND, 'info', REPEAT(MD5(seq), 6)
FROM seq_1_to_{{rows}};
ANALYZE TABLE app_log"""
SQLITE = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE app_log (id integer PRIMARY KEY, created_at text NOT NULL, level text, message text);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {{rows}})
INSERT INTO app_log SELECT i, datetime('now', '-{2 * DAYS} days', CAST(i * {SPREAD} AS integer) || ' seconds'), 'info',
  substr(replace(hex(zeroblob(24)), '00', printf('%08x', i)), 1, 192) FROM n;
CREATE INDEX app_log_at ON app_log (created_at);
ANALYZE;
PRAGMA wal_checkpoint(TRUNCATE)"""
OLD = {
    "postgresql": f"created_at < now() - interval '{DAYS} days'",
    "mariadb": f"created_at < NOW() - INTERVAL {DAYS} DAY",
    "sqlite": f"created_at < datetime('now', '-{DAYS} days')",
}


class Subject:
    """One engine's database: filled anew before each go."""

    def __init__(self, engine: str, url: str, connect: Callable[[], Any], fill: Callable[[int], None]) -> None:
        self.engine, self.url, self.connect, self.fill = engine, url, connect, fill

    def left(self) -> int:
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT count(*) FROM app_log WHERE {OLD[self.engine]} AND level = 'info'")
            return int(cursor.fetchone()[0])
        finally:
            connection.close()


def aishell(subject: Subject, *more: str) -> dict[str, float]:
    """Seconds of the whole process and of each tool, rows deleted, and the process's peak memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        fixed = [
            "--table",
            "app_log",
            "--retention-days",
            str(DAYS),
            "--environment",
            "test",
            "--yes",
            "--output",
            "json",
        ]
        command = [sys.executable, "-m", "aishell", "run", "log-cleanup", "--url", subject.url, *fixed, *more]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=folder)
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - started
    if status:
        sys.exit(f"aishell ended with {status}: {out.decode()[-2000:]}")
    document = json.loads(out)
    found = {action["tool"]: action["execution_time"] for action in document["actions_taken"]}
    step = next(action for action in document["actions_taken"] if action["tool"].startswith("delete_"))
    return {
        "whole": whole,
        "batches": step["output"].get("deleting_seconds", 0.0),  # not of rows that an archive has
        "step": step["execution_time"],
        "archive": found.get("archive_old_records", 0.0),
        "rows": document["output_data"]["rows_deleted"],
        "memory": usage.ru_maxrss / 1024,
    }


def one_delete(subject: Subject) -> float:
    connection = subject.connect()
    started = time.perf_counter()
    cursor = connection.cursor()
    cursor.execute(f"DELETE FROM app_log WHERE {OLD[subject.engine]}")
    connection.commit()
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def psycopg_loop(subject: Subject) -> float:
    """What a careful person writes by hand: ranges of pages of a fixed size."""
    connection = subject.connect()
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT now() - interval '{DAYS} days', pg_relation_size('app_log') / 8192")
        cutoff, pages = cursor.fetchone()
        for page in range(0, pages, 320):  # about 10,000 rows
            cursor.execute(
                "DELETE FROM app_log WHERE ctid >= %s::tid AND ctid < %s::tid AND created_at < %s",
                (f"({page},0)", f"({page + 320},0)", cutoff),
            )
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def pt_archiver(subject: Subject, *arguments: str, where: str) -> float:
    import pymysql  # noqa: F401  the driver of `connect`

    host, port = subject.url.split("@")[1].split("/")[0].split(":")
    source = f"h={host},P={port},u=root,D={subject.url.rsplit('/', 1)[1]},t=app_log"
    started = time.perf_counter()
    subprocess.run(
        ["pt-archiver", "--source", source, "--where", where, "--purge", *arguments, "--no-check-charset"],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def _write(engine: str, url: str, begin: Any, stop: Any, longest: Any) -> None:
    """Insert a row of today and change a young one, again and again; the longest wait in seconds since `begin`."""
    connection = _connect(engine, url)
    cursor = connection.cursor()
    now = {"postgresql": "now()", "mariadb": "NOW()", "sqlite": "datetime('now')"}[engine]
    number, worst = ROWS * 10, 0.0
    while not stop.is_set():
        number += 1
        young = random.randint(ROWS * 6 // 10, ROWS)
        for statement in (
            f"INSERT INTO app_log VALUES ({number}, {now}, 'written', 'x')",
            f"UPDATE app_log SET level = 'seen' WHERE id = {young}",
        ):
            started = time.perf_counter()
            cursor.execute(statement)
            if begin.is_set():
                worst = max(worst, time.perf_counter() - started)
        time.sleep(0.001)
    longest.value = worst


def _connect(engine: str, url: str) -> Any:
    if engine == "sqlite":
        return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
    if engine == "postgresql":
        import psycopg

        return psycopg.connect(url, autocommit=True)
    import pymysql

    host, port = url.split("@")[1].split("/")[0].split(":")
    return pymysql.connect(host=host, port=int(port), user="root", database=url.rsplit("/", 1)[1], autocommit=True)


@contextmanager
def writer(subject: Subject) -> Iterator[Any]:
    """A client that writes meanwhile; its longest wait is in `value` afterwards."""
    begin, stop, longest = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Value("d", 0.0)
    process = multiprocessing.Process(target=_write, args=(subject.engine, subject.url, begin, stop, longest))
    process.start()
    time.sleep(2)  # the disk has still what filling the table left to write
    begin.set()
    try:
        yield longest
    finally:
        stop.set()
        process.join()


def compare(subject: Subject, others: dict[str, tuple[Callable[[], float], int]]) -> None:
    """aishell and the others in turn, each on fresh data."""
    speeds: dict[str, list[float]] = {
        name: [] for name in ("aishell", "aishell, with looking", "aishell, whole run", *others)
    }
    for _ in range(ROUNDS):
        subject.fill(ROWS)
        taken = aishell(subject)
        assert subject.left() < 100, "old rows are left"  # one more is old every 8 s
        speeds["aishell"].append(taken["rows"] / taken["batches"])
        speeds["aishell, with looking"].append(taken["rows"] / taken["step"])
        speeds["aishell, whole run"].append(taken["rows"] / taken["whole"])
        for name, (go, rows) in others.items():
            subject.fill(ROWS)
            speeds[name].append(rows / go())
    ours = statistics.median(speeds["aishell"])
    for name, values in speeds.items():
        middle = statistics.median(values)
        against = "" if name.startswith("aishell") else f"   aishell is {ours / middle:.2f} times as fast"
        print(f"  {name:<28} {middle:>12,.0f} rows/s   ({min(values):,.0f} to {max(values):,.0f}){against}")


def waits(subject: Subject, other: Callable[[], float], *, unindexed: bool = False) -> None:
    """How long a writer waits at worst: during all that aishell does, during one DELETE, and during nothing at all."""
    goes: dict[str, Callable[[], Any]] = {
        "aishell": lambda: aishell(subject),
        "one DELETE": other,
        "nothing": lambda: time.sleep(3),
    }
    found: dict[str, list[float]] = {name: [] for name in goes}
    for _ in range(ROUNDS):
        for name, go in goes.items():
            subject.fill(ROWS)
            if (
                unindexed
            ):  # nor in the order of the dates: the DELETE keeps every row locked that it has read, young ones too
                connection = subject.connect()
                for statement in MARIADB.format(rows=ROWS, place=f"(seq * 7919 % {ROWS})").split(";"):
                    connection.cursor().execute(statement)
                connection.cursor().execute("ALTER TABLE app_log DROP KEY created_at")
                connection.close()
            with writer(subject) as longest:
                go()
            found[name].append(longest.value)
    what = "a writer's longest wait" + (", no index on the date" if unindexed else "")
    shown = "   ".join(f"{name} {statistics.median(values) * 1000:,.0f} ms" for name, values in found.items())
    print(f"  {what}: {shown}")


def archived(subject: Subject) -> None:
    """The same with an archive, as whole processes."""
    plain, kept = [], []
    for _ in range(ROUNDS):
        for times, more in ((plain, ()), (kept, ("--archive",))):
            subject.fill(ROWS)
            times.append(aishell(subject, *more)["whole"])
    alone, both = statistics.median(plain), statistics.median(kept)
    print(f"  whole run {alone:.2f} s, with an archive of 1 M rows {both:.2f} s: {both / alone:.2f} times")


def memory(subject: Subject) -> None:
    """Peak memory of the process, for 1 and 10 million rows, with and without an archive."""
    for rows in (ROWS // 2, ROWS * 5):
        for more in ((), ("--archive",)):
            subject.fill(rows)
            taken = aishell(subject, *more)
            print(f"  {rows:>12,} rows {'archived ' if more else ''}: {taken['memory']:.0f} MB, {taken['whole']:.1f} s")


@contextmanager
def postgresql() -> Iterator[Subject]:
    programs = distribution_bin()
    if programs is None:
        sys.exit("no PostgreSQL of the distribution: run `make test` once, it installs one")
    server = PostgresqlServer(
        programs, {"fsync": "on", "shared_buffers": "512MB", "max_wal_size": "8GB", "log_statement": "none"}
    )
    try:
        server.initialise()
        server.start()
        server.create("bench")
        database = server.database("bench")

        def fill(rows: int) -> None:
            with database.connect() as connection:
                for statement in POSTGRESQL.format(rows=rows).split(";"):
                    connection.execute(statement)

        yield Subject("postgresql", database.url, lambda: _connect("postgresql", database.url), fill)
    finally:
        server.stop()
        server.remove()


@contextmanager
def mariadb() -> Iterator[Subject]:
    program = server_program()
    if program is None:
        sys.exit("no MariaDB: run `make test` once, it installs one")
    settings = {"innodb-buffer-pool-size": "1G", "innodb-log-file-size": "512M", "innodb-flush-log-at-trx-commit": "1"}
    server = MariadbServer(program, {**settings, "general-log": "OFF"})
    try:
        server.initialise()
        server.start()
        database = server.create("bench")

        def fill(rows: int) -> None:
            with database.connect() as connection, connection.cursor() as cursor:
                for statement in MARIADB.format(rows=rows, place="seq").split(";"):
                    cursor.execute(statement)

        yield Subject("mariadb", database.url, lambda: _connect("mariadb", database.url), fill)
    finally:
        server.stop()
        server.remove()


@contextmanager
def sqlite() -> Iterator[Subject]:
    folder = Path(tempfile.mkdtemp())
    made: dict[int, Path] = {}
    file = folder / "bench.db"

    def fill(rows: int) -> None:
        if rows not in made:
            made[rows] = folder / f"{rows}.db"
            connection = sqlite3.connect(made[rows])
            connection.executescript(SQLITE.format(rows=rows))
            connection.close()
        for old in folder.glob("bench.db*"):
            old.unlink()
        shutil.copy(made[rows], file)
        with file.open("rb") as copied:
            os.fsync(copied.fileno())  # else the first checkpoint has all of it to write: 300 ms that count for a wait

    try:
        yield Subject("sqlite", f"sqlite:///{file}", lambda: _connect("sqlite", f"sqlite:///{file}"), fill)
    finally:
        shutil.rmtree(folder)


def main(chosen: list[str]) -> None:
    half = ROWS // 2
    if not chosen or "postgresql" in chosen:
        with postgresql() as subject:
            print(f"PostgreSQL, {ROWS:,} rows, {ROUNDS} rounds")
            compare(
                subject,
                {
                    "one DELETE": (lambda: one_delete(subject), half),
                    "psycopg loop over pages": (lambda: psycopg_loop(subject), half),
                },
            )
            waits(subject, lambda: one_delete(subject))
            archived(subject)
    if not chosen or "mariadb" in chosen:
        with mariadb() as subject:
            print(f"MariaDB, {ROWS:,} rows, {ROUNDS} rounds")
            bulk = ("--bulk-delete", "--limit", "5000", "--commit-each")
            few = f"created_at < NOW() - INTERVAL {DAYS} DAY AND id <= {FEW}"
            others: dict[str, tuple[Callable[[], float], int]] = {"one DELETE": (lambda: one_delete(subject), half)}
            if shutil.which("pt-archiver"):
                others |= {
                    "pt-archiver, bulk 5,000": (lambda: pt_archiver(subject, *bulk, where=OLD["mariadb"]), half),
                    "pt-archiver, rows, 1,000": (lambda: pt_archiver(subject, "--limit", "1000", where=few), FEW),
                }
            else:
                print("  pt-archiver is not installed (Debian: percona-toolkit)")
            compare(subject, others)
            waits(subject, lambda: one_delete(subject), unindexed=True)
            archived(subject)
    if not chosen or "sqlite" in chosen:
        with sqlite() as subject:
            print(f"SQLite, {ROWS:,} rows, {ROUNDS} rounds")
            compare(subject, {"one DELETE": (lambda: one_delete(subject), half)})
            waits(subject, lambda: one_delete(subject))
            archived(subject)
    if "memory" in chosen:
        with postgresql() as subject:
            print("Memory, PostgreSQL")
            memory(subject)


if __name__ == "__main__":
    main(sys.argv[1:])

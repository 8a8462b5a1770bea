"""Backups of 1 GB: `aishell run backup` against the bare commands that it replaces, alternating on the same data.

PostgreSQL: pg_dump -Fc with its defaults, and the very command that aishell runs. MariaDB: mariadb-dump into zstd -3, and
mydumper. SQLite: bare Connection.backup. aishell's figures are those of its step (dump, digests, manifest, durable) without
fingerprints; validation (a full read) is listed separately. Then restores, against pg_restore -j2 and mariadb on the same dump
(aishell first reads the backup in full), and increments after a change of every hundredth row, against the full backup.

    python bench/bench_backups.py [postgresql] [mariadb] [sqlite]
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mariadb import MariadbServer, server_program
from tests.postgresql import PostgresqlServer, distribution_bin

SIZE, ROUNDS = int(os.environ.get("SIZE", 1_000_000_000)), int(os.environ.get("ROUNDS", 3))
ROW = 260  # bytes of a row, about
ROWS = SIZE // ROW
#: As increments of MariaDB need it.
LOGGING = {"log-bin": "binlog", "binlog-format": "ROW", "server-id": "7"}
#: One row in a hundred, as an application that appends changes them, and the worst case.
CHANGED = {"together": "id <= {}", "scattered": "id % 100 = 0"}
#: Values that compress like real ones: about 1 : 8.
TEXT = {
    "postgresql": "repeat(md5((i % 5000)::text), 6)",
    "mariadb": "REPEAT(MD5(seq MOD 5000), 6)",
}


def aishell(url: str, folder: Path, *words: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of each step of a command, and its output_data with `memory`: bytes, of the process that took most."""
    env = {**os.environ, "XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    fixed = ["--url", url, "--environment", "test", "--yes", "--output", "json"]
    out = folder / "out.json"
    with out.open("wb") as stdout:
        running = subprocess.Popen(
            [sys.executable, "-m", "aishell", *words, *fixed],
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            env=env,
            cwd=folder,
        )
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit(f"aishell ended with {running.returncode}: {out.read_text()[-2000:]}")
    document = json.loads(out.read_text())
    taken = {one["step_id"]: one["execution_time"] for one in document["actions_taken"]}
    return taken, {**document["output_data"], "memory": used.ru_maxrss * 1024}


def timed(command: list[str], output: Path | None = None, **env: str) -> float:
    started = time.perf_counter()
    if output is None:
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **env})
    else:
        with output.open("wb") as file:
            subprocess.run(command, check=True, stdout=file, env={**os.environ, **env})
    return time.perf_counter() - started


def size_of(place: Path) -> int:
    return sum(path.stat().st_size for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file())


def compare(url: str, others: dict[str, Callable[[Path], float]]) -> None:
    """aishell and the others, alternating, each in an empty folder."""
    times: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            taken, made = aishell(url, Path(folder), "run", "backup", "--no-compare")
        for step in ("backup", "validate"):
            times.setdefault(f"aishell, {step}", []).append(taken[step])
        sizes["aishell, backup"] = int(made["backup_bytes"])
        for name, go in others.items():
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "backup"
                times.setdefault(name, []).append(go(place))
                sizes[name] = size_of(place)
    print(f"  aishell takes {made['memory'] / 1e6:.0f} MB of memory (SIZE= makes more or less data)")
    ours = statistics.median(times["aishell, backup"])
    for name, values in times.items():
        middle = statistics.median(values)
        ratio = "" if name.startswith("aishell") else f"   aishell takes {ours / middle:.2f} times as long"
        large = f"{sizes[name] / 1e6:>8,.0f} MB" if name in sizes else " " * 11
        print(f"  {name:<34} {middle:>7.2f} s  {large}  ({min(values):.2f} to {max(values):.2f}){ratio}")


def restore(url: str, name: str, bare: Callable[[Path, str], float], drop: Callable[[str], Any]) -> None:
    """aishell and the bare program, alternating, from the same backup. `bare` gets the backup's folder and the new name."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        _, made = aishell(url, Path(folder), "run", "backup", "--no-compare")
        for number in range(ROUNDS):
            taken, _ = aishell(
                url, Path(folder), "backups", "restore", made["backup_id"], "--to", f"ours_{number}", "--no-compare"
            )
            ours.append(taken["restore"])
            drop(f"ours_{number}")
            theirs.append(bare(Path(made["backup_path"]), f"theirs_{number}"))
            drop(f"theirs_{number}")
    report(ours, theirs, "restore", name)


def report(ours: list[float], theirs: list[float], what: str, name: str) -> None:
    middle, bare = statistics.median(ours), statistics.median(theirs)
    print(f"  aishell, {what:<25} {middle:>7.2f} s               ({min(ours):.2f} to {max(ours):.2f})")
    print(f"  {name:<34} {bare:>7.2f} s               ({min(theirs):.2f} to {max(theirs):.2f})   {middle / bare:.2f}")


def increments(url: str, rows: int, change: Callable[[str], Any], *full: str) -> None:
    """An increment after a change of one row in a hundred, against the full backup on which it is based."""
    for how, which in CHANGED.items():
        increment(url, how, partial(change, which.format(rows // 100)), *full)


def increment(url: str, how: str, change: Callable[[], Any], *full: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, whole = aishell(url, Path(folder), "run", "backup", *full)
        change()
        second, part = aishell(url, Path(folder), "run", "backup", "--type", "incremental", *full)
    time_, size = second["backup"] / first["backup"], part["backup_bytes"] / whole["backup_bytes"]
    name = "full, physical" if "--physical" in full else "full"
    print(f"  aishell, {name:<25} {first['backup']:>7.2f} s  {whole['backup_bytes'] / 1e6:>8,.0f} MB")
    print(
        f"  aishell, {f'1 % of rows, {how}':<25} {second['backup']:>7.2f} s  {part['backup_bytes'] / 1e6:>8,.0f} MB",
        end="",
    )
    print(f"   {time_:.2f} of the time, {size:.2f} of the bytes")


def postgresql() -> None:
    programs = distribution_bin()
    if programs is None:
        sys.exit("no PostgreSQL of the distribution: run `make test` once, it installs one")
    server = PostgresqlServer(programs, {"shared_buffers": "512MB", "max_wal_size": "8GB", "log_statement": "none"})
    try:
        server.initialise()
        server.start()
        server.create("bench")
        database = server.database("bench")
        with database.connect() as connection:
            for number in range(4):
                connection.execute(
                    f"CREATE TABLE t{number} AS SELECT i AS id, now() AS at, {TEXT['postgresql']} AS note "
                    f"FROM generate_series(1, {ROWS // 4}) AS i"
                )
                connection.execute(f"ALTER TABLE t{number} ADD PRIMARY KEY (id)")
            connection.execute("VACUUM (ANALYZE)")
        dump = [str(programs / "pg_dump"), "--dbname", database.url]
        print(f"PostgreSQL, {SIZE / 1e9:.1f} GB, {ROUNDS} rounds")
        compare(
            database.url,
            {
                "pg_dump -Fc": lambda place: timed([*dump, "-Fc", "-f", str(place)]),
                "pg_dump -Fd -j2 -Z4": lambda place: timed([*dump, "-Fd", "-j2", "-Z4", "-f", str(place)]),
            },
        )

        def bare(folder: Path, name: str) -> float:
            server.create(name)
            url = server.database(name).url
            return timed([str(programs / "pg_restore"), "-j2", "--dbname", url, str(folder / "dump")])

        restore(database.url, "pg_restore -j2", bare, lambda name: database.execute(f'DROP DATABASE "{name}" (FORCE)'))
        changed = "UPDATE t{} SET note = note || 'x' WHERE {}"
        increments(
            database.url,
            ROWS // 4,
            lambda which: [database.execute(changed.format(number, which)) for number in range(4)],
            "--physical",
        )
        database.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    finally:
        server.stop()
        server.remove()


def mariadb() -> None:
    program = server_program()
    if program is None:
        sys.exit("no MariaDB: run `make test` once, it installs one")
    server = MariadbServer(program, {**LOGGING, "innodb-buffer-pool-size": "1500M", "general-log": "OFF"})
    try:
        server.initialise()
        server.start()
        database = server.create("bench")
        with database.connect() as connection, connection.cursor() as cursor:
            for number in range(4):
                cursor.execute(f"CREATE TABLE t{number} (id bigint PRIMARY KEY, at datetime NOT NULL, note text)")
                cursor.execute(f"INSERT INTO t{number} SELECT seq, NOW(), {TEXT['mariadb']} FROM seq_1_to_{ROWS // 4}")
        host, port = database.url.split("@")[1].split("/")[0].split(":")
        reach = ["--host", host, "--port", port, "--user", "root", "--protocol", "tcp"]

        def piped(place: Path) -> float:
            started = time.perf_counter()
            dump = [
                "mariadb-dump",
                *reach,
                "--single-transaction",
                "--quick",
                "--routines",
                "--triggers",
                "--events",
                "bench",
            ]
            with place.open("wb") as file:
                first = subprocess.Popen(dump, stdout=subprocess.PIPE)
                subprocess.run(["zstd", "-3", "-c", "-q"], stdin=first.stdout, stdout=file, check=True)
                assert first.wait() == 0
            return time.perf_counter() - started

        others: dict[str, Callable[[Path], float]] = {"mariadb-dump | zstd -3": piped}
        if shutil.which("mydumper"):
            mydumper = ["mydumper", "--host", host, "--port", port, "--user", "root", "-B", "bench", "-t", "2", "-c"]
            others["mydumper -t2 -c"] = lambda place: timed([*mydumper, "-o", str(place)])
        else:
            print("  mydumper is not installed")
        print(f"MariaDB, {SIZE / 1e9:.1f} GB, {ROUNDS} rounds")
        compare(database.url, others)

        def bare(folder: Path, name: str) -> float:
            server.create(name)
            started = time.perf_counter()
            text = subprocess.Popen(["zstd", "-dcq", str(folder / "dump.sql.zst")], stdout=subprocess.PIPE)
            load = ["mariadb", *reach, "--init-command=SET sql_log_bin = 0", name]
            subprocess.run(load, stdin=text.stdout, check=True)
            assert text.wait() == 0
            return time.perf_counter() - started

        restore(database.url, "zstd -d | mariadb", bare, lambda name: database.execute(f"DROP DATABASE `{name}`"))
        database.execute("FLUSH BINARY LOGS")  # an increment begins with the file that its parent ends in
        changed = "UPDATE t{} SET note = CONCAT(note, 'x') WHERE {}"
        increments(
            database.url,
            ROWS // 4,
            lambda which: [database.execute(changed.format(n, which)) for n in range(4)],
            "--no-compare",
        )
    finally:
        server.stop()
        server.remove()


def sqlite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript(
                "PRAGMA journal_mode = WAL; CREATE TABLE t (id integer PRIMARY KEY, at text, note text);"
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) INSERT INTO t SELECT i,"
                " datetime('now'), substr(replace(hex(zeroblob(24)), '00', printf('%08x', i % 5000)), 1, 192) FROM n;"
                "PRAGMA wal_checkpoint(TRUNCATE)"
            )

        def bare(place: Path) -> float:
            started = time.perf_counter()
            with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(place)) as copy:
                source.backup(copy)
            return time.perf_counter() - started

        print(f"SQLite, {file.stat().st_size / 1e9:.1f} GB, {ROUNDS} rounds")
        compare(f"sqlite:///{file}", {"Connection.backup": bare})

        def change(which: str) -> None:
            with closing(sqlite3.connect(file)) as connection:
                connection.executescript(f"UPDATE t SET note = note || 'x' WHERE {which}")

        increments(f"sqlite:///{file}", ROWS, change, "--no-compare")


def main(chosen: list[str]) -> None:
    engines: dict[str, Callable[[], Any]] = {"postgresql": postgresql, "mariadb": mariadb, "sqlite": sqlite}
    for name, go in engines.items():
        if not chosen or name in chosen:
            go()


if __name__ == "__main__":
    main(sys.argv[1:])

"""Statistics of 2,000 PostgreSQL tables: `aishell run maintenance --type quick --all-tables` against `vacuumdb -Z -j2`.

Both as whole processes, alternating, on the same server and data. aishell inspects, previews, checkpoints and verifies every
table by its ANALYZE counter on one connection; vacuumdb sends 2,000 ANALYZE over two.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.postgresql import PostgresqlServer, distribution_bin

TABLES, ROUNDS = 2000, 5


def seconds(command: list[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=env)
    return time.perf_counter() - started


def main() -> None:
    programs = distribution_bin()
    if programs is None:
        sys.exit("no PostgreSQL of the distribution: run `make test` once, it installs one")
    server = PostgresqlServer(programs)
    try:
        server.initialise()
        server.start()
        server.create("bench")
        database = server.database("bench")
        with database.connect() as connection:
            for start in range(0, TABLES, 100):
                made = (
                    f"CREATE TABLE t{n} AS SELECT g, g::text AS v FROM generate_series(1, 50) g"
                    for n in range(start, start + 100)
                )
                connection.execute(";".join(made))
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
            where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "bench"]
            quick = ["run", "maintenance", "--type", "quick", "--all-tables", "--url", database.url, "--output", "json"]
            commands = {
                "vacuumdb -j2": [str(server.bin / "vacuumdb"), "--analyze-only", "-j2", *where],
                "vacuumdb": [str(server.bin / "vacuumdb"), "--analyze-only", *where],
                "aishell quick": [sys.executable, "-m", "aishell", *quick],
            }
            times: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(ROUNDS):
                for name, command in commands.items():
                    times[name].append(seconds(command, env))
    finally:
        server.stop()
        server.remove()
    print(f"{TABLES} tables, {ROUNDS} rounds, whole processes")
    for name, values in times.items():
        print(f"{name:<16} median {statistics.median(values):.2f} s   min {min(values):.2f}   max {max(values):.2f}")
    ratio = statistics.median(times["aishell quick"]) / statistics.median(times["vacuumdb -j2"])
    print(f"aishell / vacuumdb: {ratio:.2f}")


if __name__ == "__main__":
    main()

"""kill -9 at every commit of a backup, on each engine: whole in the end, never half there, and the last good one never gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.backups.conftest import LOGGING
from tests.faults.backed import Backed
from tests.faults.killing import SWEEPS, Sweep
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlDatabase

#: Older ones go at the end of each run: what stays is the newest.
THINNED = ("--cleanup-old", "--set", "retention={count: 1}")


@contextmanager
def backed(aishell: Aishell, db: Any) -> Iterator[Backed]:
    yield Backed.made(aishell, db, "killed")


def assert_newest_alone(one: Backed, rung: str) -> None:
    (entry,) = one.listed()
    assert (entry["rung"], entry["problem"]) == (rung, None)
    assert [path.name for path in one.root.glob("*/*")] == [entry["backup_id"]]


@SWEEPS
def test_a_dump_of_postgresql(pg_distribution: PostgresqlDatabase, aishell: Aishell, sweep: Sweep) -> None:
    with backed(aishell, pg_distribution) as one:
        one.back_up()
        command = one.on_it("run", "backup", "--restore-test", *THINNED)
        one.killed_at_every_commit(
            lambda _: command, sweep, lambda at: assert_newest_alone(one, "restored-and-compared"), known=12
        )


@SWEEPS
def test_a_dump_of_mariadb(mariadb: Any, aishell: Aishell, sweep: Sweep) -> None:
    with backed(aishell, mariadb) as one:
        one.back_up()
        command = one.on_it("run", "backup", "--restore-test", *THINNED)
        one.killed_at_every_commit(
            lambda _: command, sweep, lambda at: assert_newest_alone(one, "restored-and-compared"), known=12
        )


@SWEEPS
def test_binary_logs_of_mariadb(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell, sweep: Sweep
) -> None:
    with backed(aishell, mariadb_server_factory(LOGGING).create("shop")) as one:
        first = one.back_up()
        command = one.on_it("run", "backup", "--type", "incremental", "--parent", first, "--restore-test")

        def look(number: int) -> None:
            entries = one.listed()
            assert [entry["parent"] for entry in entries] == [None, *[first] * number]
            assert {entry["rung"] for entry in entries[1:]} == {"restored-and-compared"}

        one.killed_at_every_commit(lambda _: command, sweep, look, known=8)


@SWEEPS
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_the_files_and_the_log_of_postgresql(
    pg_distribution: PostgresqlDatabase, aishell: Aishell, sweep: Sweep, kind: str
) -> None:
    """Physical, with increments of WAL: one slot that keeps it, and no other."""
    with backed(aishell, pg_distribution) as one:
        try:
            first = one.back_up("--physical")
            more = ("--physical", *THINNED) if kind == "full" else ("--type", "incremental", "--parent", first)
            command = one.on_it("run", "backup", *more)

            def look(number: int) -> None:
                if kind == "full":
                    assert_newest_alone(one, "readable")
                else:
                    assert [entry["parent"] for entry in one.listed()] == [None, *[first] * number]
                assert slots(one) == [one.manifest(one.listed()[0]["backup_id"])["details"]["slot"]]

            one.killed_at_every_commit(lambda _: command, sweep, look, known=8)
            one.site("backups", "verify").expect(0)
        finally:
            pg_distribution.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def slots(one: Backed) -> list[str]:
    return [name for (name,) in one.db.execute("SELECT slot_name FROM pg_replication_slots")]

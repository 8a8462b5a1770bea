"""kill -9 at every commit of a backup, on each engine: whole in the end, never half there, and the last good one never gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.backups.conftest import LOGGING
from tests.faults.backed import Backed
from tests.faults.killing import WHENS, killers
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlDatabase

#: Older ones go at the end of each run: what stays is the newest.
THINNED = ("--cleanup-old", "--set", "retention={count: 1}")


@contextmanager
def backed(aishell: Aishell, db: Any) -> Iterator[Backed]:
    with killers(aishell, 1) as (killer,):
        yield Backed.made(aishell, killer, db, "killed")


def assert_newest_alone(one: Backed, rung: str) -> None:
    (entry,) = one.listed()
    assert (entry["rung"], entry["problem"]) == (rung, None)
    assert [path.name for path in one.root.glob("*/*")] == [entry["backup_id"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", WHENS)
def test_a_dump_of_postgresql(pg_distribution: PostgresqlDatabase, aishell: Aishell, when: str) -> None:
    with backed(aishell, pg_distribution) as one:
        one.back_up()
        command = one.on_it("run", "backup", "--restore-test", *THINNED)
        at = one.killed_at_every_commit(
            lambda at: command, when, lambda at: assert_newest_alone(one, "restored-and-compared")
        )
        assert at > 12, "a run of five steps has more commits than that"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", WHENS)
def test_a_dump_of_mariadb(mariadb: Any, aishell: Aishell, when: str) -> None:
    with backed(aishell, mariadb) as one:
        one.back_up()
        command = one.on_it("run", "backup", "--restore-test", *THINNED)
        at = one.killed_at_every_commit(
            lambda at: command, when, lambda at: assert_newest_alone(one, "restored-and-compared")
        )
        assert at > 12


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", WHENS)
def test_binary_logs_of_mariadb(
    mariadb_server_factory: Callable[..., MariadbServer], aishell: Aishell, when: str
) -> None:
    with backed(aishell, mariadb_server_factory(LOGGING).create("shop")) as one:
        first = one.back_up()
        command = one.on_it("run", "backup", "--type", "incremental", "--parent", first, "--restore-test")

        def look(at: int) -> None:
            entries = one.listed()
            assert [entry["parent"] for entry in entries] == [None, *[first] * at]
            assert {entry["rung"] for entry in entries[1:]} == {"restored-and-compared"}

        assert one.killed_at_every_commit(lambda at: command, when, look) > 8


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_the_files_and_the_log_of_postgresql(
    pg_distribution: PostgresqlDatabase, aishell: Aishell, when: str, kind: str
) -> None:
    """Physical, with increments of WAL: one slot that keeps it, and no other."""
    with backed(aishell, pg_distribution) as one:
        try:
            first = one.back_up("--physical")
            more = ("--physical", *THINNED) if kind == "full" else ("--type", "incremental", "--parent", first)
            command = one.on_it("run", "backup", *more)

            def look(at: int) -> None:
                if kind == "full":
                    assert_newest_alone(one, "readable")
                else:
                    assert [entry["parent"] for entry in one.listed()] == [None, *[first] * at]
                assert slots(one) == [one.manifest(one.listed()[0]["backup_id"])["details"]["slot"]]

            assert one.killed_at_every_commit(lambda at: command, when, look) > 8
            one.killer.run(one.site, "backups", "verify").expect(0)
        finally:
            pg_distribution.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def slots(one: Backed) -> list[str]:
    return [name for (name,) in one.db.execute("SELECT slot_name FROM pg_replication_slots")]

"""A dump that may only take so much of the line takes its time, and is as whole as any other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aishell.clients.clients import Throttle
from tests.backups import logical, mariadb_samples
from tests.mariadb import MariadbDatabase
from tests.postgresql import PostgresqlDatabase

#: Bytes that do not compress, and kB a second: more than two seconds.
BYTES, RATE = 1_200_000, 400


@pytest.fixture
def postgresql(pg_current: PostgresqlDatabase, tmp_path: Path) -> Iterator[logical.Tried]:
    tried = logical.Tried(pg_current, tmp_path)
    yield tried
    tried.close()


def test_pg_dump_is_slowed_down_and_restored_by_several_jobs(postgresql: logical.Tried) -> None:
    postgresql.db.execute("CREATE TABLE noise AS SELECT i, gen_random_uuid() AS u FROM generate_series(1, 40000) AS i")
    postgresql.db.execute("CREATE TABLE beside AS SELECT i FROM generate_series(1, 100) AS i")
    postgresql.db.execute("CREATE SEQUENCE numbers START 17")
    began = time.monotonic()
    entry = postgresql.backed_up(max_rate=RATE)
    assert time.monotonic() - began > entry.bytes / 1024 / RATE > 1.5
    assert (entry.folder / "dump").is_file()
    assert postgresql.call("restore_test", backup_id=entry.backup_id, jobs=3)["rung"] == "restored-and-compared"
    with postgresql.restored(entry, "slow_rows", only=["public.beside"]) as place:
        assert place.execute("SELECT count(*) FROM beside") == [(100,)]
        assert place.execute("SELECT count(*) FROM noise") == [(0,)]


def test_mariadb_dump_is_slowed_down(mariadb: MariadbDatabase, tmp_path: Path) -> None:
    tried = mariadb_samples.Tried(mariadb, tmp_path)
    mariadb.execute("CREATE TABLE noise (id int PRIMARY KEY, t varchar(100))")
    mariadb.execute(f"INSERT INTO noise SELECT seq, REPEAT('x', 90) FROM seq_1_to_{BYTES // 100}")
    began = time.monotonic()
    entry = tried.backed_up(max_rate=RATE)
    assert time.monotonic() - began > BYTES / 1024 / RATE
    assert tried.call("restore_test", backup_id=entry.backup_id)["rung"] == "restored-and-compared"


def test_what_pauses_by_itself_has_no_credit() -> None:
    throttle = Throttle(1000)
    throttle.passed(1)
    time.sleep(0.2)
    began = time.monotonic()
    throttle.passed(102_400)  # a tenth of a second's worth
    assert time.monotonic() - began > 0.09


def test_little_is_read_at_a_time_where_little_may_pass() -> None:
    assert Throttle(None).most(1 << 18) == 1 << 18
    assert Throttle(32).most(1 << 18) == 3276
    assert Throttle(1 << 20).most(1 << 18) == 1 << 18

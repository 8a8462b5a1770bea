"""Physical backups of PostgreSQL: a chain comes back as the cluster was at each point, and at the moments between them."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pyrage
import pytest

from aishell.clients.clients import Clients
from aishell.errors import BackupError
from tests.backups.fix_physical import every_kind, of_wal
from tests.backups.physical import Physical, change, hashes
from tests.servers import HOST


@every_kind
def test_a_chain_comes_back_as_it_was_at_each_point(physical: Physical) -> None:
    points = []
    backup = physical.full(increments=physical.kind)
    points.append((backup, physical.hashes()))
    for number in range(2):
        change(physical, number)
        backup = physical.increment()
        points.append((backup, physical.hashes()))
    change(physical, 5)
    assert [one.parent for one, _ in points] == [None, points[0][0].backup_id, points[1][0].backup_id]
    for manifest, expected in points:
        with physical.restored(manifest) as database:
            assert database.execute("SELECT pg_is_in_recovery()") == [(False,)]
            assert database.execute("SHOW archive_mode") == [("off",)]
            assert hashes(database) == expected


def test_a_restore_test_starts_a_server_and_takes_it_away(physical: Physical, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, run_one = [], Clients.run

    def run_and_tell(self: Clients, name: str, *arguments: Any, **more: Any) -> str:
        programs.append(name)
        return run_one(self, name, *arguments, **more)

    monkeypatch.setattr(Clients, "run", run_and_tell)
    physical.full(increments=physical.kind)
    change(physical, 0)
    last = physical.increment()
    run = uuid.uuid4().hex
    assert physical.call("restore_test", run=run, backup_id=last.backup_id)["rung"] == "restored-and-compared"
    assert programs[-2:] == ["postgres", "amcheck"]
    assert not list(Path(tempfile.gettempdir()).glob(f"aishell_scratch_{run[:8]}*"))
    assert {path.name for path in (physical.home / "backups").iterdir()} == {"test", "RESTORE.md"}


@of_wal
def test_to_a_moment_between_two_increments(physical: Physical) -> None:
    physical.full(increments="wal")
    moments = []
    for number in range(3):
        change(physical, number)
        ((moment,),) = physical.database.execute("SELECT clock_timestamp()::text")
        moments.append((moment, physical.hashes()))
        if number == 1:
            physical.increment()
    change(physical, 4)
    last = physical.increment()
    for moment, expected in moments:
        with physical.restored(last, until=moment) as database:
            assert hashes(database) == expected
    ((later,),) = physical.database.execute("SELECT (clock_timestamp() + '1 minute')::text")
    with pytest.raises(BackupError, match="cannot be restored from"), physical.restored(last, until=later):
        pytest.fail("restored to a moment that no WAL is of")


def test_a_place_that_is_there_is_never_written_into(physical: Physical) -> None:
    first = physical.full(increments=physical.kind)
    for place in ("there", "there.tablespaces"):
        (physical.home / place).mkdir()
        (physical.home / place / "precious").touch()
        with pytest.raises(BackupError, match="already exists"):
            physical.call("restore_backup", backup_id=first.backup_id, place=str(physical.home / "there"))
        assert [path.name for path in (physical.home / place).iterdir()] == ["precious"]
        shutil.rmtree(physical.home / place)


HOSTILE_PASSWORD = ":\\#'\" %"


def test_a_role_with_a_hostile_password(physical: Physical) -> None:
    """It only needs to replicate, and to be told what the server is like."""
    from urllib.parse import quote

    database = physical.database
    url = database.make_role("backup", HOSTILE_PASSWORD, "REPLICATION").replace(
        HOSTILE_PASSWORD, quote(HOSTILE_PASSWORD)
    )
    database.execute("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO backup")
    hba = database.server.data / "pg_hba.conf"
    before = hba.read_text()
    try:
        hba.write_text(f"host replication backup {HOST}/32 scram-sha-256\n{before}")
        database.execute("SELECT pg_reload_conf()")
        as_backup = Physical(database, physical.home / "other", url=url)
        full = as_backup.full(increments=physical.kind)
        change(physical, 0)
        last = as_backup.increment()
        expected = physical.hashes()
        for manifest in (full, last):
            assert HOSTILE_PASSWORD not in " ".join(manifest.commands)
        with as_backup.restored(last) as restored:
            assert hashes(restored) == expected
        as_backup.close()
    finally:
        hba.write_text(before)
        database.execute("SELECT pg_reload_conf()")
        database.execute("REVOKE ALL ON FUNCTION pg_switch_wal() FROM backup")


def test_a_role_that_may_not_replicate_is_told_before_anything_is_written(physical: Physical) -> None:
    url = physical.database.make_role("nobody_at_all", "secret")
    other = Physical(physical.database, physical.home / "other", url=url)
    with pytest.raises(BackupError, match="may not replicate"):
        other.full()
    assert not (physical.home / "other" / "backups" / "test").exists()
    assert other.slots() == physical.slots()
    other.opened.close()
    other.store.close()


def test_tablespaces_come_back_beside_the_data(physical: Physical) -> None:
    database, place = physical.database, physical.database.server.folder / "fast=disk"
    place.mkdir()
    if database.server.as_user:
        database.server.own(place)
    database.execute(f"CREATE TABLESPACE fast LOCATION '{place}'")
    try:
        database.execute("CREATE TABLE spaced TABLESPACE fast AS SELECT n FROM generate_series(1, 5000) n")
        physical.full(increments=physical.kind)
        database.execute("INSERT INTO spaced SELECT n FROM generate_series(1, 5000) n")
        last = physical.increment()
        expected = physical.hashes()
        database.execute("UPDATE spaced SET n = 0")
        database.execute("CHECKPOINT")
        with physical.restored(last) as restored:
            assert hashes(restored) == expected
            ((where,),) = restored.execute(
                "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"
            )
            assert Path(where).parent == restored.server.data.with_name("data.tablespaces")
        run = uuid.uuid4().hex
        assert physical.call("restore_test", run=run, backup_id=last.backup_id)["rung"] == "restored-and-compared"
    finally:
        database.execute("DROP TABLE spaced")
        database.execute("DROP TABLESPACE fast")
        shutil.rmtree(place)


@of_wal
def test_a_new_tablespace_needs_a_new_full_backup(physical: Physical) -> None:
    """Recovery would make it where it was: over the source's own files."""
    database, place = physical.database, physical.database.server.folder / "later"
    physical.full(increments="wal")
    place.mkdir()
    if database.server.as_user:
        database.server.own(place)
    database.execute(f"CREATE TABLESPACE later LOCATION '{place}'")
    try:
        with pytest.raises(BackupError, match="a tablespace was created"):
            physical.increment()
    finally:
        database.execute("DROP TABLESPACE later")
        shutil.rmtree(place)
    with pytest.raises(BackupError, match="a tablespace was created"):  # gone again, but recovery would make it
        physical.increment()


def test_an_encrypted_cluster(physical: Physical) -> None:
    key = pyrage.x25519.Identity.generate()
    path = physical.home / "key"
    path.touch(0o600)
    path.write_text(str(key))
    encrypted = Physical(physical.database, physical.home / "other", recipients=(str(key.to_public()),), identity=path)
    encrypted.full(increments=physical.kind)
    change(physical, 0)
    last, expected = encrypted.increment(), physical.hashes()
    with encrypted.restored(last) as database:
        assert hashes(database) == expected
    encrypted.opened.close()
    encrypted.store.close()

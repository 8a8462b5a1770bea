"""Backups by pgbackrest: a chain comes back as the cluster was at each point, and at the moments between them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from aishell.backups.pgbackrest.method import segments_of
from aishell.backups.store.catalog import Catalog
from aishell.backups.store.repository import Repository
from aishell.errors import BackupError
from tests.backups.fix_pgbackrest import ArchivingServer, Rested
from tests.backups.killed import killed
from tests.backups.physical import change, flip, hashes
from tests.fix_aishell import Aishell
from tests.postgresql import PostgresqlServer
from tests.seed import SAMPLED, dice
from tests.servers import processes

TOOL = "backup_pgbackrest"


@SAMPLED
def test_a_chain_comes_back_as_it_was_at_each_point_and_between(rested: Rested, whole: bool) -> None:
    points, moments = [(rested.full(), rested.hashes())], []
    for number in range(2):
        change(rested, number)
        ((moment,),) = rested.database.execute("SELECT clock_timestamp()::text")
        moments.append((moment, rested.hashes()))
        change(rested, number + 2)
        points.append((rested.increment(), rested.hashes()))
    change(rested, 5)
    full, first, last = (one for one, _ in points)
    assert [one.parent for one in (full, first, last)] == [None, full.backup_id, first.backup_id]
    assert full.bytes > first.bytes > 100_000, "what pgbackrest has in its repository"
    for manifest, until, expected in [
        *((one, None, expected) for one, expected in (points if whole else points[1:2])),
        (last, *moments[1]),
    ]:
        with rested.restored(manifest, until=until) as database:
            assert database.execute("SELECT pg_is_in_recovery()") == [(False,)]
            assert database.execute("SHOW archive_mode") == [("off",)]
            assert hashes(database) == expected
    ((later,),) = rested.database.execute("SELECT clock_timestamp()::text")
    for moment in (later, full.started_at):
        with pytest.raises(BackupError, match="cannot be restored from"), rested.restored(last, until=moment):
            pytest.fail("restored to a moment that no backup is of")


def test_nothing_of_the_source_is_written_whatever_the_site_has_configured(rested: Rested) -> None:
    """Tablespaces and what links lead to come back beside it, and into the new data directory."""
    server, database, place = rested.archiving, rested.database, rested.archiving.folder / "fast disk"
    place.mkdir()
    linked, text = server.folder / "linked.conf", server.conf.read_text()
    linked.write_text("# of the source\n")
    (server.data / "linked.conf").symlink_to(linked)
    server.conf.write_text(f"{text}\n[global:restore]\ndelta=y\nlink-all=y\ntablespace-map=fast={place}\n")
    if server.as_user:
        server.own(place)
        os.chown(linked, server.as_user["user"], server.as_user["group"])
    database.execute(f"CREATE TABLESPACE fast LOCATION '{place}'")
    try:
        database.execute("CREATE TABLE spaced TABLESPACE fast AS SELECT n FROM generate_series(1, 5000) n")
        full, expected = rested.full(), rested.hashes()
        database.execute("UPDATE spaced SET n = 0")
        database.execute("CHECKPOINT")
        linked.write_text("# changed since\n")
        with rested.restored(full) as restored:
            assert hashes(restored) == expected
            assert not (restored.server.data / "linked.conf").is_symlink()
            assert (restored.server.data / "linked.conf").read_text() == "# of the source\n"
            ((where,),) = restored.execute(
                "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'"
            )
            assert Path(where).parent == restored.server.data.with_name("data.tablespaces")
        run = uuid.uuid4().hex
        assert rested.call("restore_test", run=run, backup_id=full.backup_id)["rung"] == "restored-and-compared"
        assert not list(Path(tempfile.gettempdir()).glob(f"aishell_scratch_{run[:8]}*"))
        assert {path.name for path in (rested.home / "backups").iterdir()} == {"test", "RESTORE.md"}
    finally:
        database.execute("DROP TABLE spaced")
        database.execute("DROP TABLESPACE fast")
        (server.data / "linked.conf").unlink()
        server.conf.write_text(text)
        shutil.rmtree(place)


def test_a_stanza_of_another_server_is_refused(rested: Rested, servers: Callable[[str], PostgresqlServer]) -> None:
    other = Rested(servers("distribution").database("postgres"), rested.home / "other", reach=rested.reach)
    before = rested.archiving.pgbackrest("info", "--output=json")
    with pytest.raises(BackupError, match="belongs to the system"):
        other.full()
    assert rested.archiving.pgbackrest("info", "--output=json") == before
    assert not list((rested.home / "other").rglob("manifest.json"))
    other.close()


def test_a_repository_that_is_not_encrypted_where_backups_are_to_be(rested: Rested) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    other = Rested(rested.database, rested.home / "other", recipients=(key,), reach=rested.reach)
    with pytest.raises(BackupError, match="backups must be encrypted"):
        other.full()
    assert labels(rested.archiving) == []
    other.close()


def test_what_somebody_else_made_is_no_parent(rested: Rested) -> None:
    with pytest.raises(BackupError, match="there is no backup in"):
        rested.increment()
    rested.archiving.pgbackrest("--type=full", "--start-fast", "backup")
    with pytest.raises(BackupError, match="was not made by aishell"):
        rested.increment()
    assert rested.backup_store.catalog.all() == []


def test_a_stanza_or_a_configuration_that_is_not_there(rested: Rested) -> None:
    wrong = [
        ({"stanza": "mian"}, "the stanza mian in repository 1: missing stanza path"),
        ({"repo": 2}, "in repository 2 cannot be read"),
        ({"config": "/nowhere"}, "cannot be read"),
    ]
    for chosen, said in wrong:
        with pytest.raises(BackupError, match=said):
            rested.full(**chosen)
    assert rested.backup_store.catalog.all() == []


@SAMPLED
def test_damage_of_every_kind_is_found_and_not_restored(rested: Rested, whole: bool) -> None:
    full = rested.full()
    change(rested, 0)
    last = rested.increment()
    server, place = rested.archiving, str(rested.home / "there")
    (*_, segment) = segments_of(last)
    bundle = max(rested.of(full).rglob("bundle/*"), key=lambda path: path.stat().st_size)
    wal = next((server.repository / "archive").rglob(f"{segment}-*"))
    harms: list[tuple[Path, Callable[[Path], None], str]] = [
        (bundle, flip, "invalid checksum"),
        (bundle, Path.unlink, "missing|not valid"),
        (wal, Path.unlink, f"the segment {segment} is not in the archive"),
        (rested.of(last), away, "none of its files"),
    ]
    for path, harm, said in harms if whole else dice().sample(harms, 1):
        keep = (
            shutil.copytree(path, server.folder / "keep")
            if path.is_dir()
            else shutil.copy(path, server.folder / "keep")
        )
        harm(path)
        for call in (
            lambda: rested.call("validate_backup", backup_id=last.backup_id),
            lambda: rested.call("restore_backup", backup_id=last.backup_id, place=place),
        ):
            with pytest.raises(BackupError, match=said):
                call()
            assert not rested.backup_store.catalog.find(last.backup_id).verified
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        shutil.move(keep, path)
        if server.as_user:
            server.own(path) if path.is_dir() else os.chown(path, server.as_user["user"], server.as_user["group"])
        rested.call("validate_backup", backup_id=last.backup_id)
        assert rested.backup_store.catalog.find(last.backup_id).verified
    assert not Path(place).exists()
    (rested.home / "there").mkdir()
    (rested.home / "there" / "precious").touch()
    with pytest.raises(BackupError, match="already exists"):
        rested.call("restore_backup", backup_id=last.backup_id, place=place)
    assert [path.name for path in Path(place).iterdir()] == ["precious"]


def test_what_pgbackrest_has_expired_counts_for_nothing(rested: Rested) -> None:
    first, second = rested.full(), rested.full()
    rested.archiving.pgbackrest(f"--set={first.position['label']}", "--repo=1", "expire")
    with pytest.raises(BackupError, match="is no longer in the stanza main in repository 1"):
        rested.call("validate_backup", backup_id=first.backup_id)
    assert [entry.verified for entry in rested.backup_store.catalog.all()] == [False, True]
    removed = rested.call("cleanup_old_backups", retention={"count": 1})["removed"]
    assert removed == [first.backup_id]
    assert labels(rested.archiving) == [second.position["label"]]


def test_a_set_that_others_rest_on_stays(rested: Rested) -> None:
    """Those of the site's own, which we know nothing of, would go with it."""
    first = rested.full()
    rested.archiving.pgbackrest("--type=incr", "--start-fast", "backup")
    rested.full()
    before = labels(rested.archiving)
    with pytest.raises(BackupError, match="cannot be removed"):
        rested.call("cleanup_old_backups", retention={"count": 1})
    assert labels(rested.archiving) == before
    assert rested.backup_store.catalog.find(first.backup_id).verified


@pytest.mark.sampled(1)
@pytest.mark.parametrize("moment", ["forget", "delete"])
def test_a_removal_that_is_cut_off_is_finished(rested: Rested, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    first, second = rested.full(), rested.full()
    kind = Catalog if moment == "forget" else Repository
    monkeypatch.setattr(kind, moment, killed_now)
    with pytest.raises(KeyboardInterrupt):
        rested.call("cleanup_old_backups", retention={"count": 1})
    monkeypatch.undo()
    assert [entry.backup_id for entry in rested.backup_store.entries()] == [second.backup_id]
    assert rested.call("cleanup_old_backups", retention={"count": 1})["removed"] == [first.backup_id]
    assert labels(rested.archiving) == [second.position["label"]]


def in_a_fork(rested: Rested, run: str) -> Callable[[], object]:
    """An increment for a process of its own: with connections of its own."""
    return lambda: Rested(rested.database, rested.home).call(TOOL, run=run, type="incr", **rested.reach)


def test_a_backup_that_is_killed_is_whole_or_not_there(rested: Rested) -> None:
    rested.full()
    for number, seconds in enumerate((0, 0.2)):
        change(rested, number)
        run = uuid.uuid4().hex
        assert killed("backup", seconds, in_a_fork(rested, run)), "it was to be killed in the middle"
        made = rested.backup_store.repository.manifest(
            Path(rested.call(TOOL, run=run, type="incr", **rested.reach)["backup_path"])
        )
        assert rested.call("validate_backup", backup_id=made.backup_id)["rung"] == "readable"
        assert sorted(path.name for path in (rested.home / "backups" / "test").iterdir()) == sorted(
            entry.backup_id for entry in rested.backup_store.catalog.all()
        )
        assert not running(rested)
    assert len(labels(rested.archiving)) == 3


def test_what_was_made_before_a_kill_is_not_made_twice(rested: Rested, monkeypatch: pytest.MonkeyPatch) -> None:
    run = uuid.uuid4().hex
    monkeypatch.setattr(Repository, "publish", killed_now)
    with pytest.raises(KeyboardInterrupt):
        rested.call(TOOL, run=run, **rested.reach)
    monkeypatch.undo()
    (label,) = labels(rested.archiving)
    assert rested.backup_store.catalog.all() == []
    made = rested.call(TOOL, run=run, **rested.reach)
    assert rested.backup_store.repository.manifest(Path(made["backup_path"])).position["label"] == label
    assert labels(rested.archiving) == [label]


def test_a_note_of_where_the_rows_are_is_no_copy_of_them(rested: Rested) -> None:
    full = rested.full()
    rested.backup_store = replace(rested.backup_store, copies=(str(rested.home),))
    with pytest.raises(BackupError, match="cannot be copied"):
        rested.call("copy_backup", backup_id=full.backup_id)
    assert rested.backup_store.catalog.find(full.backup_id).copies == ()


def test_archiving_that_does_not_work_is_told_before(rested: Rested) -> None:
    database = rested.database
    text = rested.archiving.conf.read_text()
    database.execute("ALTER SYSTEM SET archive_command = '/bin/false'")
    database.execute("SELECT pg_reload_conf()")
    try:
        rested.archiving.conf.write_text(text.replace("archive-timeout=20", "archive-timeout=1"))
        with pytest.raises(BackupError, match=r"archive_command|WAL segment"):
            rested.full()
        assert rested.backup_store.catalog.all() == []
    finally:
        rested.archiving.conf.write_text(text)
        database.execute("ALTER SYSTEM RESET archive_command")
        database.execute("SELECT pg_reload_conf()")


def test_from_the_command_line(rested: Rested, aishell: Aishell) -> None:
    """What the target is configured for is used without being asked for, and said."""
    target = {"url": rested.database.url, "environment": "test", "pgbackrest": rested.reach}
    aishell.configure("targets.yaml", json.dumps({"targets": {"shop": target}}))
    aishell.configure("aishell.yaml", json.dumps({"default_target": "shop", "programs": str(rested.archiving.bin)}))
    said = aishell("run", "backup", "--physical", "--dry-run")
    assert "by pgbackrest" in said.expect(0).out
    ids = []
    for kind in ("full", "incremental", "full"):
        made = aishell("run", "backup", "--type", kind, "--yes", "--output", "json").expect(0).json["output_data"]
        assert made["rung"] == "readable"
        ids.append(made["backup_id"])
    listed = aishell("backups", "list", "--output", "json").expect(0).json
    assert [(one["method"], one["parent"]) for one in listed] == [
        ("pgbackrest", None),
        ("pgbackrest", ids[0]),
        ("pgbackrest", None),
    ]
    place = rested.archiving.folder / "by-hand"
    restored = aishell("backups", "restore", ids[1], "--to", str(place), "--yes", "--output", "json").expect(0).json
    assert restored["output_data"]["place"] == str(place)
    assert (place / "PG_VERSION").exists()
    shutil.rmtree(place)
    pruned = aishell("backups", "prune", "--set", "count=1", "--yes", "--output", "json").expect(0).json
    assert pruned["removed"] == [ids[1], ids[0]]
    assert labels(rested.archiving) == [label(aishell, ids[2])]
    aishell("backups", "verify").expect(0)


def label(aishell: Aishell, backup_id: str) -> str:
    shown = aishell("backups", "show", backup_id, "--output", "json").expect(0).json
    return str(shown["manifest"]["position"]["label"])


def labels(server: ArchivingServer) -> list[str]:
    """The sets in the repository."""
    (stanza,) = json.loads(server.pgbackrest("info", "--output=json"))
    return [one["label"] for one in stanza["backup"]]


def away(folder: Path) -> None:
    shutil.rmtree(folder)


def killed_now(*_: object) -> None:
    raise KeyboardInterrupt


def running(rested: Rested) -> list[str]:
    """The backups that are being made into its repository."""
    return [line for line in processes(f"--config={rested.archiving.conf}") if " backup " in line]

"""Physical backups of PostgreSQL: damaged, cut off from their parents, failed and killed."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.create.making import Work
from aishell.backups.postgresql.basebackup import PgBasebackup
from aishell.backups.postgresql.wal import number_of
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.store.repository import Repository
from aishell.errors import BackupError
from tests.backups.fix_physical import both_kinds, of_wal
from tests.backups.killed import killed
from tests.backups.physical import Physical, change, cut, flip, hashes
from tests.fix_aishell import Aishell
from tests.seed import SAMPLED
from tests.servers import processes, wait_until


def relation(physical: Physical, folder: Path) -> Path:
    ((path,),) = physical.database.execute("SELECT pg_relation_filepath('plain')")
    return folder / "base" / path


def last_segment(physical: Physical, folder: Path) -> Path:
    return max((folder / "wal").iterdir())


def server_manifest(physical: Physical, folder: Path) -> Path:
    return folder / "base" / "backup_manifest"


Find = Callable[[Physical, Path], Path]


#: (which of the chain, file, what is done to it)
DAMAGE: dict[str, tuple[int, Find, Callable[[Path], None]]] = {
    "a flipped bit in a relation": (0, relation, flip),
    "a relation cut off": (0, relation, cut),
    "a relation missing": (0, relation, Path.unlink),
    "the server's manifest missing": (0, server_manifest, Path.unlink),
    "a segment cut off": (1, last_segment, cut),
    "a flipped bit in a segment": (1, last_segment, flip),
    "a segment missing": (1, last_segment, Path.unlink),
}


@pytest.fixture
def chain(physical: Physical) -> tuple[Physical, list[Path], BackupManifest]:
    """A full backup and an increment: the tools, their folders, and the last one's manifest."""
    first = physical.full(increments=physical.kind)
    change(physical, 0)
    last = physical.increment()
    return physical, [physical.folder(one) for one in (first, last)], last


@both_kinds
def test_damage_is_refused_and_named(chain: tuple[Physical, list[Path], BackupManifest], tmp_path: Path) -> None:
    physical, folders, last = chain
    for name, (which, find, damage) in DAMAGE.items():
        if find is last_segment and physical.kind != "wal":
            continue
        path = find(physical, folders[which])
        kept = path.with_name(f"{path.name}.kept")
        shutil.copy2(path, tmp_path / kept.name)
        damage(path)
        with pytest.raises(BackupError, match=path.name):
            physical.call("validate_backup", backup_id=last.backup_id)
        with pytest.raises(BackupError), physical.restored(last):
            pytest.fail(f"restored in spite of {name}")
        assert not physical.backup_store.catalog.find(last.backup_id).verified
        shutil.copy2(tmp_path / kept.name, path)
        assert physical.call("validate_backup", backup_id=last.backup_id)["valid"]


def test_what_the_digests_are_right_of_is_read_all_the_same(chain: tuple[Physical, list[Path], BackupManifest]) -> None:
    """As when a disk damaged it while it was written: our own digests are those of the damage."""
    physical, folders, last = chain
    tool = physical.tool("validate_backup")
    work = Work(tool, {}, physical.context(tool), physical.home)
    first = physical.backup_store.repository.manifest(folders[0])
    flip(relation(physical, folders[0]))
    with pytest.raises(BackupError, match="checksum mismatch"):
        PgBasebackup().read(work, folders[0], first)
    damaged = last_segment(physical, folders[1]) if physical.kind == "wal" else relation(physical, folders[1])
    if physical.kind == "wal":
        with damaged.open("r+b") as file:
            file.seek(2000)
            file.write(b"\xff" * 64)
        with pytest.raises(BackupError, match="pg_waldump ended with 1"):
            PgBasebackup().read(work, folders[1], last)


def test_a_chain_with_a_link_of_another_is_refused(physical: Physical) -> None:
    physical.full(increments=physical.kind)
    change(physical, 0)
    first = physical.increment()
    change(physical, 1)
    last = physical.increment()
    links = physical.backup_store.chain(physical.backup_store.catalog.find(last.backup_id))
    tool = physical.tool("restore_backup")
    work = Work(tool, {}, physical.context(tool), physical.home)
    place = physical.home / "restored"
    with pytest.raises(BackupError, match=r"WAL is missing before|expects? to start|but expected|starts at"):
        PgBasebackup().restore(work, [links[0], links[2]], str(place), until=None, tables=())
    assert not place.exists()
    assert not list(physical.home.glob(".restored*"))
    shutil.rmtree(physical.folder(first))
    with pytest.raises(BackupError, match=first.backup_id):
        physical.call("validate_backup", backup_id=last.backup_id)


@of_wal
def test_an_increment_that_fails_takes_no_wal_from_the_server(
    physical: Physical, monkeypatch: pytest.MonkeyPatch
) -> None:
    physical.full(increments="wal")
    before = physical.slots()
    change(physical, 0)
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "publish", lambda *_: (_ for _ in ()).throw(BackupError("no room")))
        with pytest.raises(BackupError, match="no room"):
            physical.increment()
    assert physical.slots() == before
    assert not list(physical.home.rglob(".partial-*"))
    last, expected = physical.increment(), physical.hashes()
    with physical.restored(last) as database:
        assert hashes(database) == expected
    change(physical, 1)
    physical.increment()
    ((_, then),), ((_, now),) = before, physical.slots()
    assert number_of(now) == number_of(last.position["lsn"]) > number_of(then)


@both_kinds
def test_a_full_backup_that_fails_leaves_no_slot(physical: Physical, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Repository, "publish", lambda *_: (_ for _ in ()).throw(BackupError("no room")))
    with pytest.raises(BackupError, match="no room"):
        physical.full(increments=physical.kind)
    assert physical.slots() == []
    assert not list(physical.home.rglob(".partial-*"))


@both_kinds
def test_a_slot_that_is_gone_or_lost_its_wal_is_told(physical: Physical) -> None:
    with pytest.raises(BackupError, match="no verified pg_basebackup backup") as raised:
        physical.increment()
    assert "full physical backup first" in str(raised.value.hint)
    if physical.kind != "wal":
        return
    physical.full(increments="wal")
    execute = physical.database.execute
    execute("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'")
    execute("SELECT pg_reload_conf()")
    try:
        for _ in range(6):
            execute("SELECT pg_logical_emit_message(true, 'filler', repeat('x', 1000000)) FROM generate_series(1, 16)")
            execute("SELECT pg_switch_wal()")
        execute("CHECKPOINT")
        with pytest.raises(BackupError, match="removed WAL written since"):
            physical.increment()
    finally:
        execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        execute("SELECT pg_reload_conf()")
    physical.full(increments="wal")  # makes it anew
    change(physical, 0)
    physical.increment()
    execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    with pytest.raises(BackupError, match="no replication slot keeps"):
        physical.increment()


def again(physical: Physical) -> Physical:
    """As a process that is started later has it: connections of its own."""
    return Physical(physical.database, physical.home, physical.url)


def of_ours(folder: Path) -> list[str]:
    """Processes that have to do with these backups."""
    return processes(str(folder))


def temporary(physical: Physical) -> list[Any]:
    return physical.database.execute("SELECT slot_name FROM pg_replication_slots WHERE temporary")


@both_kinds
@SAMPLED
@pytest.mark.parametrize("tool", ["backup_cluster", "backup_database_incremental"])
def test_a_backup_that_is_killed_is_whole_or_not_there(physical: Physical, tool: str, whole: bool) -> None:
    params: dict[str, Any] = {"increments": physical.kind} if tool == "backup_cluster" else {}
    if tool != "backup_cluster":
        physical.full(increments=physical.kind)
    program = "pg_basebackup" if tool == "backup_cluster" or physical.kind == "pages" else "pg_receivewal"
    running = 0
    for number, seconds in enumerate((0, 0.05, 0.3, 1) if whole else (0, 0.05)):
        change(physical, number)
        run = uuid.uuid4().hex
        running += killed(program, seconds, lambda run=run: again(physical).call(tool, run=run, **params))
        made = physical.call(tool, run=run, **params)
        last = physical._verified(made)
        folders = sorted(path.name for path in (physical.home / "backups" / "test").iterdir())
        assert folders == sorted(entry.backup_id for entry in physical.backup_store.catalog.all())
        assert [folder for folder in folders if run[:8] in folder] == [last.backup_id]
        assert of_ours(physical.home) == []
        wait_until(lambda: not temporary(physical), "the slot of who was killed goes")
        assert len(physical.slots()) == (1 if physical.kind == "wal" else 0)
    assert running  # else none was killed in the middle
    expected = physical.hashes()
    last = physical._verified(physical.call(tool, **params))
    with physical.restored(last) as database:
        assert hashes(database) == expected


def test_from_the_command_line(physical: Physical, aishell: Aishell) -> None:
    """Killed while the program runs, and resumed."""
    aishell.configure("aishell.yaml", json.dumps({"programs": str(physical.database.server.bin)}))
    arguments = ("run", "backup", "--type", "incremental", "--restore-test", "--url", physical.database.url)
    arguments += ("--environment", "test", "--yes", "--output", "json")
    told = aishell(*arguments).expect(1)
    assert "make a full physical backup first" in told.out + told.err
    (target,) = {row[0] for row in aishell.rows("SELECT target FROM runs")}
    site = Physical(
        physical.database, physical.home / "site", target=target, state=aishell.state, root=aishell.site / "backups"
    )
    site.full(increments=physical.kind)
    change(physical, 0)
    running = aishell.start(*arguments)
    program = "pg_basebackup" if physical.kind == "pages" else "pg_receivewal"
    wait_until(lambda: any(program in line for line in of_ours(aishell.site)) or running.ended, f"{program} runs")
    assert not running.ended, running.wait().out
    running.kill()
    (run,) = (row[0] for row in aishell.rows("SELECT id FROM runs WHERE state <> 'failed'"))
    found = aishell.resume(run).expect(0).json["output_data"]
    assert found["rung"] == "restored-and-compared"
    assert of_ours(aishell.site) == []
    assert not list(aishell.site.rglob(".partial-*"))
    with site.restored(site.backup_store.repository.manifest(Path(found["backup_path"]))) as database:
        assert hashes(database) == physical.hashes()
    site.opened.close()
    site.store.close()


@of_wal
def test_a_slot_that_no_increment_will_need_is_dropped(physical: Physical) -> None:
    physical.full(increments="wal")
    physical.full(increments="none")
    assert len(physical.slots()) == 1  # the newer one was not verified when it was made
    physical.full(increments="none")
    assert physical.slots() == []
    with pytest.raises(BackupError, match="without support for increments"):
        physical.increment()

"""Physical backups of MariaDB: refused where they cannot be right, damaged, cut off from their parents, waiting and killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace

import pymysql
import pytest

from aishell.backups.create.making import Work
from aishell.backups.mariadb.files import STREAM, require_own
from aishell.backups.mariadb.physical import MariadbBackup
from aishell.backups.methods import Chain
from aishell.backups.store.repository import Repository
from aishell.errors import BackupError, NotAtHandError
from tests.backups.killed import killed
from tests.backups.mariadb_physical import Physical, whole
from tests.backups.mariadb_samples import Tried
from tests.backups.physical import cut, flip
from tests.backups.test_postgresql_physical_faults import of_ours
from tests.mariadb import MariadbDatabase, MariadbServer

FILL = "INSERT INTO plain SELECT seq, MD5(seq) FROM seq_{}_to_{}"


@pytest.fixture
def plain(source: MariadbDatabase) -> MariadbDatabase:
    source.execute("CREATE TABLE plain (id int PRIMARY KEY, note varchar(40), KEY (note))")
    fill(source, 0)
    return source


def fill(source: MariadbDatabase, number: int) -> None:
    source.execute(FILL.format(number * 5000 + 1, number * 5000 + 5000))


def nothing_made(tried: Tried) -> bool:
    return not list((tried.home / "backups").rglob("*full*")) and not list(tried.home.rglob(".partial-*"))


# Refused before anything is written.


def test_only_the_files_of_the_server_that_was_reached_are_copied(
    cluster: Physical, source_server: MariadbServer, mariadb_server_factory: Callable[..., MariadbServer]
) -> None:
    other = mariadb_server_factory()
    ask = "SELECT TID FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()"
    with source_server.database(None).connect() as connection, connection.cursor() as cursor:
        cursor.execute(ask)
        ((thread,),) = cursor.fetchall()
        require_own(source_server.data, source_server.data / "ibdata1", thread)
        with pytest.raises(BackupError, match="does not use"):
            require_own(other.data, other.data / "ibdata1", thread)
        other.stop()  # nobody has them locked
        with pytest.raises(BackupError, match="does not use"):
            require_own(other.data, other.data / "ibdata1", thread)
    away = source_server.data.rename(source_server.folder / "away")
    try:
        with pytest.raises(BackupError, match="is not on this host"):
            cluster.full()
    finally:
        away.rename(source_server.data)
    assert nothing_made(cluster)


def test_programs_that_are_missing_or_of_another_line(cluster: Physical, plain: MariadbDatabase) -> None:
    programs = cluster.home / "bin"
    programs.mkdir()
    other = Physical(plain, cluster.home / "other", settings=f"programs: {programs}\n")
    with pytest.raises(BackupError, match="mariadb-backup is not installed"):
        other.full()
    script = programs / "mariadb-backup"
    script.write_text("#!/bin/sh\necho mariadb-backup based on MariaDB server 99.1.2-MariaDB >&2\n")
    script.chmod(0o755)
    with pytest.raises(NotAtHandError, match=r"mariadb-backup \d+\.\d+ was not found: .* is version 99.1.2"):
        other.full()
    assert nothing_made(other)
    entry = cluster.full()
    elsewhere = Physical(plain, cluster.home / "elsewhere", settings=f"programs: {programs}\nbackups: ../backups\n")
    elsewhere.site.backup_store.catalog.add(cluster.manifest(entry), entry.folder)
    with pytest.raises(NotAtHandError):
        elsewhere.step("validate_backup", backup_id=entry.backup_id)
    assert elsewhere.site.backup_store.catalog.find(entry.backup_id).problem is None  # nothing was learnt
    for tried in (other, elsewhere):
        tried.close()


def test_backups_inside_the_data_directory(cluster: Physical, plain: MariadbDatabase) -> None:
    root = plain.server.data / "backups"
    other = Physical(plain, cluster.home / "other", settings=f"backups: {root}\n")
    with pytest.raises(BackupError, match="is inside the server's data directory"):
        other.full()
    assert not root.exists()
    other.close()


def test_a_table_that_lies_elsewhere(cluster: Physical, plain: MariadbDatabase) -> None:
    place = plain.server.folder / "elsewhere"
    place.mkdir()
    if plain.server.as_user:
        plain.server.own(place)
    plain.execute(f"CREATE TABLE far (id int PRIMARY KEY) DATA DIRECTORY = '{place}'")
    with pytest.raises(BackupError, match=r"far in .* is outside"):
        cluster.full()
    assert nothing_made(cluster)


@pytest.mark.skipif(os.geteuid() == 0, reason="this user may read everywhere")
def test_a_file_that_may_not_be_read(cluster: Physical, plain: MariadbDatabase) -> None:
    path = plain.server.data / str(plain.dbname) / "plain.ibd"
    path.chmod(0)
    try:
        with pytest.raises(BackupError, match=r"plain.ibd cannot be read"):
            cluster.full()
    finally:
        path.chmod(0o660)
    assert nothing_made(cluster)


def test_a_full_disk_says_nothing_of_a_backup(
    cluster: Physical, plain: MariadbDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, programs = cluster.full(), cluster.home / "bin"
    programs.mkdir()
    for name in ("mariadb-backup", "mbstream"):
        (programs / name).symlink_to(str(shutil.which(name)))
    other = Physical(plain, cluster.home / "other", settings=f"programs: {programs}\nbackups: ../backups\n")
    other.site.backup_store.catalog.add(cluster.manifest(entry), entry.folder)
    (programs / "mbstream").unlink()
    (programs / "mbstream").write_text(
        "#!/bin/sh\necho 'mbstream: Errcode: 28 \"No space left on device\"' >&2; exit 1\n"
    )
    (programs / "mbstream").chmod(0o755)
    with pytest.raises(NotAtHandError, match="No space left"):
        other.step("validate_backup", backup_id=entry.backup_id)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(NotAtHandError, match="bytes are needed"):
        other.step("validate_backup", backup_id=entry.backup_id)
    assert other.site.backup_store.catalog.find(entry.backup_id).problem is None
    other.close()


def test_an_increment_on_files_that_were_put_in_place_of_others(cluster: Physical, plain: MariadbDatabase) -> None:
    """As by a restore: the server has the same name and number, and its log another history."""
    cluster.full()
    plain.server.close_connections()
    cluster.database.close()
    plain.server.stop()
    system = plain.server.data / "ibdata1"
    shutil.copy2(system, system.with_name("copy"))
    shutil.chown(system.with_name("copy"), system.stat().st_uid, system.stat().st_gid)
    system.with_name("copy").rename(system)
    plain.server.start()
    with pytest.raises(BackupError, match="no longer the one"):
        cluster.increment()
    cluster.full()
    cluster.increment()


# Damage.

#: (which of the chain, file, what is done to it)
DAMAGE: dict[str, tuple[int, str, Callable[[Path], None]]] = {
    "the stream cut off": (0, STREAM, cut),
    "a flipped bit in the stream": (0, STREAM, flip),
    "the stream missing": (0, STREAM, Path.unlink),
    "an increment cut off": (1, STREAM, cut),
    "how far it reaches missing": (1, "told/xtrabackup_checkpoints", Path.unlink),
}


def test_damage_is_refused_and_named(cluster: Physical, plain: MariadbDatabase) -> None:
    folders = [cluster.full().folder]
    fill(plain, 1)
    last = cluster.increment()
    folders.append(last.folder)
    for name, (which, file, damage) in DAMAGE.items():
        path, kept = folders[which] / file, cluster.home / "kept"
        shutil.copy2(path, kept)
        damage(path)
        with pytest.raises(BackupError, match=path.name):
            cluster.step("validate_backup", backup_id=last.backup_id)
        place = cluster.home / "restored"
        with pytest.raises(BackupError, match=path.name):
            cluster.step("restore_backup", backup_id=last.backup_id, place=str(place))
        assert not place.exists(), name
        assert not cluster.site.backup_store.catalog.find(last.backup_id).verified
        shutil.copy2(kept, path)
        assert cluster.step("validate_backup", backup_id=last.backup_id)["valid"]


def flip_row(row: bytes, file: str) -> Callable[[Path], None]:
    """A bit of a row, in the file of its table."""

    def damage(files: Path) -> None:
        (path,) = files.glob(f"shop_*/{file}")
        data = bytearray(path.read_bytes())
        data[data.index(row)] ^= 1
        path.write_bytes(data)

    return damage


def read_all(work: Work, links: Chain) -> None:
    for folder, manifest in links:
        MariadbBackup().read(work, folder, manifest)


def test_what_the_digests_are_right_of_is_read_all_the_same(cluster: Physical, plain: MariadbDatabase) -> None:
    """As when a disk damaged it while it was written. Preparing does not notice a flipped bit."""
    on_disk = "SET GLOBAL innodb_log_checkpoint_now = ON"  # else the log would write these pages anew
    plain.execute("CREATE TABLE flat AS SELECT id, MD5(id) AS note FROM plain")
    plain.execute(on_disk)
    full = cluster.full()
    plain.execute("UPDATE flat SET note = 'changed' WHERE id % 10 = 0")
    plain.execute(on_disk)
    last = cluster.increment()
    links = [(entry.folder, cluster.manifest(entry)) for entry in (full, last)]
    kept = [(folder / STREAM).read_bytes() for folder, _ in links]
    rows = ((md5(b"1").hexdigest().encode(), "flat.ibd"), (b"changed", "flat.ibd.delta"))
    for which, (row, file) in enumerate(rows):
        damaged = cluster.repacked((full, last)[which], flip_row(row, file))
        work = cluster.on("validate_backup")
        read = [(folder, damaged if number == which else one) for number, (folder, one) in enumerate(links)]
        with pytest.raises(BackupError, match=r"flat.ibd in .* is damaged"):
            read_all(work, read)
        (links[which][0] / STREAM).write_bytes(kept[which])
    cut(full.folder / STREAM)
    with pytest.raises(BackupError, match=STREAM):
        read_all(cluster.on("validate_backup"), links)


def test_a_chain_with_a_link_missing_is_refused(cluster: Physical, plain: MariadbDatabase) -> None:
    """The program itself takes an increment that was made on another one."""
    entries = [cluster.full()]
    for number in (1, 2):
        fill(plain, number)
        entries.append(cluster.increment())
    links = [(entry.folder, cluster.manifest(entry)) for entry in entries]
    place = cluster.home / "restored"
    for wrong in ([links[0], links[2]], [links[0], links[2], links[1]]):
        work = cluster.on("restore_backup")
        with pytest.raises(BackupError, match="does not continue"):
            MariadbBackup().restore(work, wrong, str(place), until=None, tables=())
        shutil.rmtree(work.folder / ".prepared")
    assert not list(cluster.home.glob("*restored*"))
    shutil.rmtree(entries[1].folder)
    with pytest.raises(BackupError, match=entries[1].backup_id):
        cluster.step("validate_backup", backup_id=entries[2].backup_id)


def test_no_part_and_no_moment_of_it_is_restored(cluster: Physical) -> None:
    entry = cluster.full()
    for params in ({"only": ["plain"]}, {"until": "2026-11-21T03:15:00+00:00"}):
        with pytest.raises(BackupError, match="only be restored as a whole"):
            cluster.step("restore_backup", backup_id=entry.backup_id, place=str(cluster.home / "x"), **params)


# Others, and the end.


def test_it_does_not_wait_long_for_others(cluster: Physical, plain: MariadbDatabase) -> None:
    """The program would wait for a year, and at the end all who commit behind it."""
    cluster.lock_timeout = 1.0
    plain.execute("CREATE TABLE slow (id int) ENGINE = MyISAM")
    plain.execute("INSERT INTO slow VALUES (1)")
    with plain.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BACKUP STAGE START")
        with pytest.raises(BackupError, match="waited 1 s for locks of others: BACKUP STAGE START"):
            cluster.full()
        cursor.execute("BACKUP STAGE END")
    insert = threading.Thread(target=_ended, args=(plain, "INSERT INTO slow SELECT SLEEP(8)"))
    insert.start()
    time.sleep(0.3)
    with pytest.raises(BackupError, match="waited 1 s for locks of others: BACKUP STAGE BLOCK_DDL"):
        cluster.full()
    fill(plain, 1)  # nobody has to wait any more
    assert not plain.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'BACKUP STAGE%'")
    (busy,) = plain.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO slow%'")
    plain.execute(f"KILL {busy[0]}")
    insert.join()
    assert nothing_made(cluster)


def _ended(source: MariadbDatabase, statement: str) -> None:
    with pytest.raises(pymysql.Error):
        source.execute(statement)


def test_one_that_fails_leaves_nothing(cluster: Physical, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Repository, "publish", lambda *_: (_ for _ in ()).throw(BackupError("no room")))
    with pytest.raises(BackupError, match="no room"):
        cluster.full()
    assert nothing_made(cluster)


def in_a_fork(cluster: Physical, run: str, tool: str, **params: object) -> Callable[[], object]:
    """A step of a run for a process of its own: with connections of its own."""
    return lambda: Physical(cluster.db, cluster.home).step(tool, run, **params)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("tool", ["backup_cluster", "backup_database_incremental"])
def test_a_backup_that_is_killed_is_whole_or_not_there(cluster: Physical, plain: MariadbDatabase, tool: str) -> None:
    if tool != "backup_cluster":
        cluster.full()
    running = 0
    for number, seconds in enumerate((0, 0.1, 0.4)):
        fill(plain, number + 1)
        run = uuid.uuid4().hex
        running += killed("mariadb-backup", seconds, in_a_fork(cluster, run, tool))
        last = cluster.verified(cluster.step(tool, run))
        folders = sorted(path.name for path in (cluster.home / "backups" / "test").iterdir())
        assert folders == sorted(entry.backup_id for entry in cluster.site.backup_store.catalog.all())
        assert [folder for folder in folders if run[:8] in folder] == [last.backup_id]
        assert of_ours(cluster.home) == []
    assert running  # else none was killed in the middle
    with cluster.restored_server(last) as restored:
        assert whole(restored) == whole(plain)


def test_a_restore_that_is_killed_begins_anew(cluster: Physical, plain: MariadbDatabase) -> None:
    entry, place = cluster.full(), cluster.home / "restored"
    expected = whole(plain)
    for program, seconds in (("mbstream", 0), ("mariadb-backup", 0.01), ("innochecksum", 0)):
        run = uuid.uuid4().hex
        step = in_a_fork(cluster, run, "restore_backup", backup_id=entry.backup_id, place=str(place))
        assert killed(program, seconds, step)
        cluster.step("restore_backup", run, backup_id=entry.backup_id, place=str(place))
        assert not list(cluster.home.glob("backups/.*"))
        assert of_ours(cluster.home) == []
        shutil.rmtree(place)
    with cluster.restored_server(entry) as restored:
        assert whole(restored) == expected


def test_the_scratch_server_of_one_that_was_killed_is_ended(cluster: Physical, plain: MariadbDatabase) -> None:
    entry, run = cluster.full(), uuid.uuid4().hex
    assert killed("mariadbd", 0.05, in_a_fork(cluster, run, "restore_test", backup_id=entry.backup_id))
    assert cluster.step("restore_test", run, backup_id=entry.backup_id)["rung"] == "restored-and-compared"
    scratch = Path(tempfile.gettempdir()) / f"aishell_scratch_{run[:8]}"
    assert (of_ours(scratch), scratch.exists()) == ([], False)
    assert not list(cluster.home.glob("backups/.*"))

"""Physical backups of MariaDB: a chain comes back as the server was at each point, while the application writes."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pyrage
import pytest

from aishell.backups.mariadb.files import STREAM
from aishell.clients.clients import Clients
from aishell.errors import BackupError
from tests.backups.mariadb_physical import Physical, lay, whole, write
from tests.backups.mariadb_samples import (
    Tried,
    assert_consistent,
    change,
    fill,
    still,
    writer,
)
from tests.backups.test_mariadb_faults import Watcher
from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase

PASSWORD = ":\\#'\" %"
#: All that it takes.
PRIVILEGES = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR"


def test_a_chain_comes_back_as_it_was_at_each_point(cluster: Physical, source: MariadbDatabase) -> None:
    fill(source)
    lay(source)
    points = [(cluster.full(), whole(source))]
    for number in (1, 2):
        change(source, number)
        still(source)
        write(source, number)
        points.append((cluster.increment(), whole(source)))
    write(source, 3)
    assert [entry.parent for entry, _ in points] == [None, points[0][0].backup_id, points[1][0].backup_id]
    assert [entry.method for entry, _ in points] == ["mariadb-backup"] * 3
    for entry, expected in points:
        with cluster.restored_server(entry) as restored:
            assert whole(restored) == expected


def test_what_is_written_meanwhile_is_of_one_moment(cluster: Physical, source: MariadbDatabase) -> None:
    fill(source)
    counts = []
    with writer(source, 0.002) as made:
        entries = []
        for make in (cluster.full, cluster.increment, cluster.increment):
            before = made[0]
            entries.append(make())
            counts.append((before, made[0]))
    for entry, (least, most) in zip(entries[1:], counts[1:], strict=True):
        with cluster.restored_server(entry) as restored:
            assert least <= assert_consistent(restored) <= most


def test_a_restore_test_starts_a_server_and_takes_it_away(
    cluster: Physical, source: MariadbDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(source)
    programs, run_one = [], Clients.run

    def run_and_tell(self: Clients, name: str, *arguments: Any, **more: Any) -> str:
        programs.append(name)
        return run_one(self, name, *arguments, **more)

    monkeypatch.setattr(Clients, "run", run_and_tell)
    cluster.full()
    write(source, 1)
    last, run = cluster.increment(), uuid.uuid4().hex
    del programs[:]
    assert cluster.step("restore_test", run, backup_id=last.backup_id)["rung"] == "restored-and-compared"
    assert [name for name in programs if name != "pages"] == ["unpack", "prepare", "unpack", "prepare", "server"]
    assert not list(Path(tempfile.gettempdir()).glob(f"aishell_scratch_{run[:8]}*"))
    assert {path.name for path in (cluster.home / "backups").iterdir()} == {"test", "RESTORE.md"}


def test_an_idle_server(cluster: Physical, source: MariadbDatabase) -> None:
    """Its log does not move on, but its other tables may."""
    lay(source)
    cluster.full()
    source.execute("INSERT INTO old VALUES (100000, 'not in any log')")
    last, expected = cluster.increment(), whole(source)
    again = cluster.increment()
    for entry in (last, again):
        with cluster.restored_server(entry) as restored:
            assert whole(restored) == expected


def test_a_place_that_is_there_is_never_written_into(cluster: Physical) -> None:
    first, place = cluster.full(), cluster.home / "there"
    place.mkdir()
    (place / "precious").touch()
    with pytest.raises(BackupError, match="already exists"):
        cluster.step("restore_backup", backup_id=first.backup_id, place=str(place))
    with pytest.raises(BackupError, match="not an absolute path"):
        cluster.step("restore_backup", backup_id=first.backup_id, place="some/where")
    assert [path.name for path in place.iterdir()] == ["precious"]
    (place / "precious").unlink()
    told = cluster.step("restore_backup", backup_id=first.backup_id, place=str(place))
    assert f"mariadbd --datadir={place}" in told["notes"][0]
    assert (place / "ibdata1").is_file()
    assert not list(cluster.home.glob(".there*"))


def test_a_step_that_made_its_place_and_was_killed_has_made_it(cluster: Physical) -> None:
    first, place, run = cluster.full(), cluster.home / "place", uuid.uuid4().hex
    cluster.step("restore_backup", run, backup_id=first.backup_id, place=str(place))
    seen = (place / "ibdata1").stat()
    cluster.step("restore_backup", run, backup_id=first.backup_id, place=str(place))
    assert (place / "ibdata1").stat() == seen
    with pytest.raises(BackupError, match="already exists"):
        cluster.step("restore_backup", backup_id=first.backup_id, place=str(place))


def test_an_increment_goes_on_by_the_method_of_its_parent(cluster: Physical, source: MariadbDatabase) -> None:
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    cluster.full()
    dump = Tried.backed_up(cluster)
    for number, (params, expected) in enumerate(
        (
            ({}, "mariadb-dump"),
            ({"physical": True}, "mariadb-backup"),
            ({}, "mariadb-backup"),  # the newest by now
            ({"parent": dump.backup_id}, "mariadb-dump"),
            ({"physical": False}, "mariadb-dump"),
        )
    ):
        source.execute(f"INSERT INTO t VALUES ({number})")
        assert cluster.increment(**params).method == expected


def test_encrypted(cluster: Physical, source: MariadbDatabase) -> None:
    lay(source)
    key = pyrage.x25519.Identity.generate()
    path = cluster.home / "key"
    path.touch(0o600)
    path.write_text(str(key))
    settings = f"backup_recipients: ['{key.to_public()}']\nbackup_identity: {path}\n"
    encrypted = Physical(source, cluster.home / "other", settings=settings)
    first = encrypted.full()
    write(source, 1)
    last, expected = encrypted.increment(), whole(source)
    for entry in (first, last):
        kept = {f"{name}.age" for name in (STREAM, "told/xtrabackup_checkpoints", "told/xtrabackup_info")}
        assert {file.path for file in encrypted.manifest(entry).files} == kept
        left = {path.name for path in entry.folder.iterdir() if path.suffix != ".log"}
        assert left == {"told", f"{STREAM}.age", "manifest.json", "standing.json"}
    with encrypted.restored_server(last) as restored:
        assert whole(restored) == expected
    encrypted.close()


def test_an_account_with_no_more_than_it_takes(cluster: Physical, source: MariadbDatabase) -> None:
    url = source.make_user("keeper", "secret", "SELECT")
    for privileges in ("RELOAD, PROCESS", PRIVILEGES):
        source.execute(f"GRANT {privileges} ON *.* TO keeper@'127.0.0.1'")
        other = Physical(source, cluster.home / "other", url=url)
        if privileges == PRIVILEGES:
            other.full()
            other.increment()
        else:
            with pytest.raises(BackupError, match="lacks LOCK TABLES, BINLOG MONITOR"):
                other.full()
            assert not (other.home / "backups" / "test").exists()
        other.close()
        shutil.rmtree(other.home)


def test_from_the_command_line(aishell: Aishell, source: MariadbDatabase, tmp_path: Path) -> None:
    """With a password that nobody sees; and back again when the server is gone."""
    fill(source)
    source.make_user("app", PASSWORD)
    source.execute("GRANT ALL PRIVILEGES ON *.* TO app@'127.0.0.1'")
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    aishell.configure(
        "targets.yaml",
        f"targets:\n  shop: {{url: '{source.url_as('app')}', environment: test, password_file: {secret}}}\n",
    )
    fixed = ("--target", "shop", "--yes", "-v", "--output", "json")
    with Watcher(PASSWORD) as watcher:
        first = aishell("run", "backup", "--physical", "--restore-test", *fixed).expect(0)
        change(source, 1)
        still(source)
        last = aishell("run", "backup", "--type", "incremental", "--restore-test", *fixed).expect(0)
    assert (watcher.seen, watcher.programs >= {"mariadb-backup", "mbstream", "mariadbd"}) == ([], True)
    assert {ended.json["output_data"]["rung"] for ended in (first, last)} == {"restored-and-compared"}
    listed = aishell("backups", "list", "--output", "json").expect(0).json
    assert [one["method"] for one in listed] == ["mariadb-backup"] * 2
    escaped = {PASSWORD, PASSWORD.replace("\\", "\\\\"), PASSWORD.replace("\\", "\\\\").replace('"', '\\"')}
    assert not any(text in ended.out + ended.err for text in escaped for ended in (first, last))
    files = [path.read_bytes() for path in aishell.home.rglob("*") if path.is_file()]
    assert not any(text.encode() in data for text in escaped for data in files)
    backup_id = last.json["output_data"]["backup_id"]
    expected = whole(source)
    place = source.server.folder / "again"
    ended = aishell("backups", "restore", backup_id, "--to", str(place), *fixed[:3], "--output", "json").expect(0)
    assert f"mariadbd --datadir={place}" in ended.out
    source.server.close_connections()
    source.server.stop()
    kept = source.server.data.rename(source.server.folder / "kept")
    try:
        assert aishell("backups", "verify").expect(0)
        by_hand = aishell("backups", "restore", backup_id, "--to", str(source.server.data), "--yes").expect(0)
        assert "without a run" in by_hand.err
        assert f"mariadbd --datadir={source.server.data}" in by_hand.out
        for restored in (source.server.data, place):
            if restored is place:
                shutil.rmtree(source.server.data)
                place.rename(source.server.data)
            if source.server.as_user:
                source.server.own(source.server.data)
            source.server.start()
            assert whole(source) == expected
            source.server.close_connections()
            source.server.stop()
    finally:
        source.server.stop()
        shutil.rmtree(source.server.data, ignore_errors=True)
        kept.rename(source.server.data)

"""Second places for backups: what arrives is compared, and counts only when all of it is there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.catalog import VERIFIED
from aishell.backups.store.copies import Folder, ObjectStore, copy, place_of, verify
from aishell.backups.store.manifest import FULL, BackupManifest
from aishell.backups.store.repository import Repository, carried, files_of
from aishell.databases.base import SessionOptions
from aishell.errors import BackupError, NotAtHandError
from aishell.running.context import Context
from aishell.state.store import Store
from tests.backups.test_sqlite import back_up, change, fill, listed, made
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase
from tests.unit.making import unconnected


def never() -> bool:
    return False


@pytest.fixture
def backup(tmp_path: Path) -> tuple[Path, BackupManifest]:
    """A published backup of two files."""
    repository = Repository(tmp_path / "here")
    partial = repository.begin(repository.folder("shop"), "20261121T000000Z-full-1a2b3c4d-backup")
    (partial / "dump").mkdir()
    (partial / "dump" / "toc.dat").write_bytes(b"x" * 3_000_000)
    (partial / "globals.sql").write_text("-- roles")
    manifest = BackupManifest(
        backup_id=partial.name.removeprefix(".partial-"),
        kind=FULL,
        method="sqlite",
        engine="sqlite",
        product="sqlite",
        server_version="3.40",
        identity="1:2",
        target="shop",
        database="shop",
        started_at="2026-11-21T00:00:00+00:00",
        finished_at="2026-11-21T00:00:01+00:00",
        run_id="1a2b3c4d",
        files=files_of(partial, never),
    )
    return repository.publish(partial, manifest), manifest


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """(as it is configured, where it is)"""
    there = tmp_path / "there"
    there.mkdir()
    return (str(there) if request.param == "folder" else f"file://{there}"), there


def test_a_copy_is_the_same(backup, place):
    folder, manifest = backup
    name, there = place
    place_of(name).put(folder, manifest, never)
    arrived = there / "shop" / manifest.backup_id
    assert {str(p.relative_to(arrived)) for p in arrived.rglob("*") if p.is_file()} == {
        "dump/toc.dat", "globals.sql", "manifest.json",
    }  # fmt: skip
    assert BackupManifest.of((arrived / "manifest.json").read_text(), "there") == manifest
    assert (arrived / "dump" / "toc.dat").read_bytes() == (folder / "dump" / "toc.dat").read_bytes()
    place_of(name).put(folder, manifest, never)  # again: it is there already


def test_what_does_not_arrive_as_it_was_gets_no_name(backup, place):
    folder, manifest = backup
    (folder / "globals.sql").write_text("-- rolez")
    with pytest.raises(BackupError, match=r"globals\.sql"):
        place_of(place[0]).put(folder, manifest, never)
    assert not list(place[1].rglob("manifest.json"))


def test_a_copy_that_is_damaged_there_is_not_taken_for_one(backup, tmp_path):
    folder, manifest = backup
    Folder(tmp_path).put(folder, manifest, never)
    (tmp_path / "shop" / manifest.backup_id / "globals.sql").write_text("")
    with pytest.raises(BackupError, match=r"globals\.sql has 0 bytes"):
        Folder(tmp_path).put(folder, manifest, never)


def test_a_disk_that_is_not_mounted_is_no_place(backup, tmp_path):
    with pytest.raises(BackupError, match="is its disk mounted"):
        Folder(tmp_path / "nowhere").put(*backup, never)
    with pytest.raises(BackupError, match="neither an absolute path nor a URL"):
        place_of("relative/path")


def test_object_stores_go_through_fsspec(backup):
    folder, manifest = backup
    store = ObjectStore("memory://bucket/backups")
    store.put(folder, manifest, never)
    found = sorted(path.rpartition("/")[2] for path in store.store.find("/bucket/backups"))
    assert found == sorted(["globals.sql", "manifest.json", "toc.dat", *dict(carried(manifest))])


def test_backups_are_copied_with_what_they_rest_on(aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fill(sqlite, 500)
    first = made(back_up(aishell, sqlite))["backup_id"]
    assert listed(aishell)[0]["copies"] == []
    aishell.configure("aishell.yaml", json.dumps({"backup_copies": [str(elsewhere)]}))
    change(sqlite, 0)
    ended = back_up(aishell, sqlite, "--type", "incremental").expect(0)
    last = ended.json["output_data"]["backup_id"]
    assert ended.statuses()["copy"] == "done"
    assert {path.name for path in elsewhere.glob("*/*")} == {first, last}
    assert all(backup["copies"] == [str(elsewhere)] for backup in listed(aishell))
    for path in elsewhere.glob("*/*"):
        assert path.stat().st_mode & 0o777 == 0o700


# Read again


@pytest.fixture
def copied(backup, place, tmp_path: Path) -> Iterator[tuple[BackupStore, str, Path]]:
    """A backup store whose backup was copied, the name of the place, and where the copy is."""
    folder, manifest = backup
    name, there = place
    store = Store.open(tmp_path / "state.db")
    backup_store = BackupStore(Repository(tmp_path / "here"), lambda: store, copies=(name,))
    backup_store.catalog.add(manifest, folder)
    backup_store.catalog.proven(manifest.backup_id, VERIFIED)
    copy({"backup_id": manifest.backup_id}, context(backup_store))
    yield backup_store, name, there / "shop" / manifest.backup_id
    store.close()


def context(backup_store: BackupStore) -> Context:
    return Context(unconnected("postgresql"), "", SessionOptions(), target="shop", backups=backup_store)


def read(backup_store: BackupStore, **more: Any) -> dict[str, Any]:
    return verify({"backup_id": None, "days": 0, "again": False, **more}, context(backup_store))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit": (lambda copy: flip(copy / "dump" / "toc.dat"), "toc.dat was changed or is damaged"),
    "a missing file": (lambda copy: (copy / "globals.sql").unlink(), "globals.sql is missing"),
    "a manifest that is cut off": (lambda copy: (copy / "manifest.json").write_text("{"), "changed or cut off"),
    "another manifest": (lambda copy: reseal(copy), "its manifest differs from the one in the catalog"),
    "no manifest": (lambda copy: (copy / "manifest.json").unlink(), "manifest.json"),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def reseal(folder: Path) -> None:
    made = BackupManifest.of((folder / "manifest.json").read_text(), "there")
    (folder / "manifest.json").write_text(replace(made, database="another").text())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_copy_that_has_decayed_is_found_and_made_anew(copied, damage):
    backup_store, name, there = copied
    assert [one["problem"] for one in read(backup_store)["read"]] == [None]
    how, told = DAMAGES[damage]
    how(there)
    with pytest.raises(BackupError, match=re.escape(told)) as caught:
        read(backup_store)
    assert not isinstance(caught.value, NotAtHandError)
    (entry,) = backup_store.entries()
    assert told in str(entry.copies_read[name].problem)
    assert entry.sound_copies == ()
    assert entry.verified, "the backup itself is as good as it was"
    mended = read(backup_store, again=True)
    assert [one["place"] for one in mended["copied"]] == [name]
    assert backup_store.entries()[0].sound_copies == (name,)
    assert [one["problem"] for one in read(backup_store)["read"]] == [None]


def test_one_that_is_known_to_be_damaged_is_copied_with_the_next_backup(copied):
    backup_store, name, there = copied
    flip(there / "dump" / "toc.dat")
    with pytest.raises(BackupError):
        read(backup_store)
    (entry,) = backup_store.entries()
    assert copy({"backup_id": entry.backup_id}, context(backup_store))["copied"] == [
        {"backup_id": entry.backup_id, "place": name}
    ]
    assert copy({"backup_id": entry.backup_id}, context(backup_store))["copied"] == []


def test_a_copy_is_read_when_it_was_not_for_so_many_days(copied):
    backup_store, name, _ = copied
    assert read(backup_store, days=30)["read"] == [], "it was read when it was made"
    (entry,) = backup_store.entries()
    old = json.dumps({name: {"at": "2020-01-01T00:00:00.000000+00:00", "problem": None}})
    for noted in (old, "{}"):  # a catalog of before that was noted has nothing
        with backup_store.store().write() as connection:
            connection.update("backups", "backup_id = :id", {"id": entry.backup_id}, {"copies_read": noted})
        assert len(read(backup_store, days=30)["read"]) == 1
        assert read(backup_store, days=30)["read"] == []


def test_a_place_that_is_not_there_says_nothing_of_its_copies(copied, tmp_path):
    backup_store, name, _ = copied
    if "://" in name:
        pytest.skip("an object store is there or answers with an error")
    there = Path(name)
    there.rename(tmp_path / "away")
    for become in (lambda: None, there.mkdir):  # not mounted, and an empty mount point
        become()
        with pytest.raises(NotAtHandError, match="is its disk mounted"):
            read(backup_store, again=True)
        assert backup_store.entries()[0].sound_copies == (name,)


def test_copies_are_read_without_the_backup_itself(copied):
    backup_store, _, there = copied
    (entry,) = backup_store.entries()
    shutil.rmtree(entry.folder)
    assert [one["problem"] for one in read(backup_store)["read"]] == [None]
    (there / "globals.sql").unlink()
    with pytest.raises(BackupError, match=r"globals\.sql is missing"):
        read(backup_store, again=True)


def test_on_the_command_line(aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    aishell.configure("aishell.yaml", json.dumps({"backup_copies": [str(elsewhere)]}))
    fill(sqlite, 500)
    ended = back_up(aishell, sqlite).expect(0)
    assert ended.statuses()["copies"] == "done"
    (found,) = aishell("backups", "verify", "--copies", "--output", "json").expect(0).json
    assert (found["sound"], found["places"]) == (True, [str(elsewhere)])
    (arrived,) = elsewhere.glob("*/*/database.sqlite")
    flip(arrived)
    aishell("backups", "verify").expect(0)
    ended = aishell("backups", "verify", "--copies").expect(1)
    assert "database.sqlite was changed or is damaged" in ended.out
    assert "DAMAGED" in aishell("backups", "show", found["backup_id"]).expect(0).out
    assert listed(aishell)[0]["verified"]
    ended = back_up(aishell, sqlite).expect(0)
    assert "was damaged, and was made anew" in ended.json["reasoning"]
    aishell("backups", "verify", "--copies").expect(0)
    assert "no backup has a copy" not in aishell("backups", "verify", "--copies").out

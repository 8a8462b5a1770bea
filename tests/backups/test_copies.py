"""Second places for backups: what arrives is compared, and counts only when all of it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aishell.backups.copies import Folder, ObjectStore, place_of
from aishell.backups.digests import files_of
from aishell.backups.manifest import FULL, Manifest
from aishell.backups.repository import Repository
from aishell.errors import BackupError
from tests.backups.test_sqlite import back_up, change, fill, listed, made
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase


def never() -> bool:
    return False


@pytest.fixture
def backup(tmp_path: Path) -> tuple[Path, Manifest]:
    """A published backup of two files."""
    repository = Repository(tmp_path / "here")
    partial = repository.begin(repository.folder("shop"), "20261121T000000Z-full-1a2b3c4d-backup")
    (partial / "dump").mkdir()
    (partial / "dump" / "toc.dat").write_bytes(b"x" * 3_000_000)
    (partial / "globals.sql").write_text("-- roles")
    manifest = Manifest(
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
    assert Manifest.of((arrived / "manifest.json").read_text(), "there") == manifest
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
    found = store.store.find("/bucket/backups")
    assert sorted(path.rpartition("/")[2] for path in found) == ["globals.sql", "manifest.json", "toc.dat"]


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

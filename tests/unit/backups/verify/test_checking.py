"""What a look at a backup teaches the catalog: which link is damaged, and that a missing program says nothing of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aishell.backups.create.making import Work
from aishell.backups.store import repository
from aishell.backups.store.catalog import VERIFIED
from aishell.backups.verify import checking
from aishell.clients.clients import writing
from aishell.databases.base import SessionOptions
from aishell.errors import BackupError, NotAtHandError
from aishell.running.context import Context
from tests.unit.backups.made import backup_store, put
from tests.unit.making import query_tool, unconnected


@pytest.fixture
def here(tmp_path):
    made = backup_store(tmp_path)
    yield made
    made.store().close()


class Reader:
    """A method whose reading fails for what it is told to."""

    def __init__(self, fails: dict[str, Exception]) -> None:
        self.fails = fails

    def read(self, work: Work, folder: Path, manifest: Any) -> None:
        if manifest.backup_id in self.fails:
            raise self.fails[manifest.backup_id]


def check(here, entry, monkeypatch, **fails: Exception) -> None:
    monkeypatch.setattr(checking, "method_of", lambda name: Reader({k.replace("_", "-"): e for k, e in fails.items()}))
    context = Context(unconnected("postgresql"), "", SessionOptions(), backups=here)
    checking.check(Work(query_tool(), {}, context, here.repository.root), entry)


def problems(here) -> list[str | None]:
    return [entry.problem for entry in here.catalog.all()]


def test_the_damaged_link_is_the_one_that_is_marked(here, monkeypatch):
    full = put(here, 1)
    child = put(here, 2, parent=full)
    with pytest.raises(BackupError, match="torn"):
        check(here, child, monkeypatch, **{full.backup_id: BackupError("torn")})
    assert problems(here) == ["torn", f"it depends on {full.backup_id}, which is damaged"]
    assert here.newest("shop", "it") is None
    here.catalog.proven(full.backup_id, VERIFIED)
    assert problems(here) == [None, None], "what rests on it is as good again as it is"


@pytest.mark.parametrize("number", [0, 1])
def test_a_changed_file_is_found_wherever_in_the_chain_it_is(here, monkeypatch, number):
    full = put(here, 1)
    child = put(here, 2, parent=full)
    damaged = (full, child)[number]
    (damaged.folder / "database.sqlite").write_bytes(b"other")
    with pytest.raises(BackupError, match="has 5 bytes instead of"):
        check(here, child, monkeypatch)
    assert "has 5 bytes" in str(here.catalog.find(damaged.backup_id).problem)
    assert not here.catalog.find(child.backup_id).verified
    assert here.catalog.find(full.backup_id).verified is (damaged is child)


def test_a_manifest_that_is_gone_marks_its_own_backup(here, monkeypatch):
    full = put(here, 1)
    child = put(here, 2, parent=full)
    (full.folder / "manifest.json").unlink()
    with pytest.raises(BackupError, match="cannot be read"):
        check(here, child, monkeypatch)
    assert not here.catalog.find(full.backup_id).verified


def test_a_missing_program_is_held_against_no_backup(here, monkeypatch):
    """Else a host without them would mark every backup, and the next good one would push them all out."""
    entry = put(here, 1)
    with pytest.raises(NotAtHandError):
        check(here, entry, monkeypatch, **{entry.backup_id: NotAtHandError("pg_restore is not installed here")})
    assert here.catalog.find(entry.backup_id) == entry


@pytest.mark.parametrize(("error", "marked"), [(PermissionError(13, "denied"), False), (OSError(5, "I/O error"), True)])
def test_a_failing_disk_is_damage_and_a_permission_is_not(here, monkeypatch, error, marked):
    entry = put(here, 1)

    def fails(path, cancelled):
        raise error

    monkeypatch.setattr(repository, "sha256", fails)
    with pytest.raises(BackupError) as caught:
        check(here, entry, monkeypatch)
    assert isinstance(caught.value, NotAtHandError) is not marked
    assert here.catalog.find(entry.backup_id).verified is not marked


def test_a_disk_that_takes_nothing_more_is_held_against_no_backup(here, monkeypatch):
    """What is read has to be opened somewhere, and what came of it noted: neither says that it is damaged."""
    entry = put(here, 1)
    with pytest.raises(NotAtHandError, match="No space left"), writing(entry.folder):
        raise OSError(28, "No space left on device")

    def full(*_: object) -> None:
        raise NotAtHandError("no room")

    monkeypatch.setattr(here.repository, "write_note", full)
    check(here, entry, monkeypatch)
    assert here.catalog.find(entry.backup_id).verified
    with pytest.raises(BackupError, match="torn"):
        check(here, entry, monkeypatch, **{entry.backup_id: BackupError("torn")})
    assert here.catalog.find(entry.backup_id).problem == "torn"
    with pytest.raises(NotAtHandError):
        here.catalog.pin(entry.backup_id, True)  # nobody may believe that it is


def test_what_was_put_in_and_links_are_no_part_of_it(here, monkeypatch):
    entry = put(here, 1)
    image, aside = entry.folder / "database.sqlite", here.repository.root.parent / "aside"
    (entry.folder / "extra").mkdir()
    (entry.folder / "extra" / "pg_dump.log").touch()
    with pytest.raises(BackupError, match=r"extra/pg_dump\.log is not in the manifest"):
        check(here, entry, monkeypatch)
    (entry.folder / "extra" / "pg_dump.log").rename(entry.folder / "pg_dump.log")  # a log of ours
    image.rename(aside)
    image.symlink_to(aside)
    with pytest.raises(BackupError, match=r"database\.sqlite is a symbolic link"):
        check(here, entry, monkeypatch)
    image.unlink()
    aside.rename(image)
    check(here, entry, monkeypatch)
    assert here.catalog.find(entry.backup_id).verified


def test_a_manifest_that_may_not_be_read_is_not_held_against_it(here, monkeypatch):
    entry = put(here, 1)
    if os.geteuid():
        (entry.folder / "manifest.json").chmod(0)
    else:  # who may read everything is told otherwise

        def denied(path, **_):
            raise PermissionError(13, "denied")

        monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(NotAtHandError):
        check(here, entry, monkeypatch)
    assert here.catalog.find(entry.backup_id).verified

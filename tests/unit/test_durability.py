"""What gets its name is on the disk before, and the name is afterwards: seen at the calls that ask the system for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aishell.archives.writer import DATA, INDEX, Writer
from aishell.backups.store.repository import Repository
from tests.unit.archives.test_writer import chunk, lines
from tests.unit.archives.test_writer import manifest as archive_manifest
from tests.unit.backups.made import CONTENT, manifest


class Disk:
    """What was synced, with its size then, and renamed, in order."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Path, Any]] = []
        fsync, rename = os.fsync, os.rename

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            self.events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink(), os.fstat(descriptor).st_size))

        def renamed(old: Any, new: Any) -> None:
            rename(old, new)
            self.events.append(("rename", Path(old), Path(new)))

        patch.setattr(os, "fsync", synced)
        patch.setattr(os, "rename", renamed)

    def assert_durable(self, old: Path, new: Path) -> None:
        """All that is in `new` was synced as `old`, as large as it is; then renamed; then the folder that has the name."""
        at = self.events.index(("rename", old, new))
        before, after = self.events[:at], self.events[at + 1 :]
        last = {path: size for kind, path, size in before if kind == "sync"}
        for path in new.rglob("*"):
            was = old / path.relative_to(new)
            assert was in last, f"{path.name} was not synced before the rename"
            assert path.is_dir() or last[was] == path.stat().st_size, f"{path.name} was written to after it was synced"
        assert ("sync", new.parent) in [event[:2] for event in after], "the name was not synced"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_backup(disk: Disk, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "backups")
    partial = repository.begin(repository.folder("shop"), manifest().backup_id)
    (partial / "deep").mkdir()
    (partial / "deep" / "rows").write_bytes(CONTENT)
    disk.assert_durable(partial, repository.publish(partial, manifest()))


def test_an_archive(disk: Disk, tmp_path: Path) -> None:
    """Each chunk before the line of the index that names it: rows are deleted when it is there."""
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    writer = Writer(folder, archive_manifest(archive_id="x-1"))
    for number in range(3):
        writer.add(chunk(number, number + 1, lines(number)), lines(number))
        writer.settle()
        asked = [(path.name, size) for kind, path, size in disk.events if kind == "sync"][-2:]
        assert asked == [(name, (writer.partial / name).stat().st_size) for name in (DATA, INDEX)]
    writer.finish(whole=True)
    disk.assert_durable(writer.partial, folder)

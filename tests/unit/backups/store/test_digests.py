"""The files of a backup against its manifest: what is missing, too many, of another kind, size or content; and Ctrl-C."""

from __future__ import annotations

import hashlib

import pytest

from aishell.backups.store.repository import BLOCK, damages, files_of, misfits, problems, sha256
from aishell.errors import DatabaseError
from tests.unit.backups.made import manifest as manifest_of


def never() -> bool:
    return False


@pytest.fixture
def backup(tmp_path):
    """(folder, manifest) of three files."""
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "1.dat").write_bytes(b"x" * 2 * BLOCK)
    (tmp_path / "dump" / "2.dat").write_bytes(b"")
    (tmp_path / "globals.sql").write_text("-- roles")
    return tmp_path, manifest_of(files=files_of(tmp_path, never))


def test_each_file_is_told_with_its_digest_and_nothing_of_ours(backup):
    folder, manifest = backup
    for name in ("manifest.json", "standing.json", "dump.log", ".process"):
        (folder / name).write_text("ours")
    (folder / "dump" / "server.log").write_text("the backup's")
    files = {file.path: file for file in files_of(folder, never)}
    assert set(files) == {"dump/1.dat", "dump/2.dat", "globals.sql", "dump/server.log"}
    assert files["globals.sql"].sha256 == hashlib.sha256(b"-- roles").hexdigest()
    assert problems(folder, manifest, never) == ["dump/server.log is not in the manifest"]


def test_what_is_not_the_same_is_named(backup):
    folder, manifest = backup
    (folder / "dump" / "1.dat").write_bytes(b"x" * (2 * BLOCK - 1) + b"y")
    assert list(misfits(folder, manifest)) == []
    assert list(damages(folder, manifest, never)) == ["dump/1.dat was changed or is damaged"]
    (folder / "dump" / "1.dat").write_bytes(b"x")
    (folder / "globals.sql").unlink()
    (folder / "globals.sql").symlink_to(folder / "dump" / "2.dat")
    (folder / "dump" / "2.dat").unlink()
    (folder / "dump" / "2.dat").mkdir()
    assert problems(folder, manifest, never) == [
        "dump/1.dat has 1 bytes instead of 2,097,152",
        "dump/2.dat is missing",
        "globals.sql is missing",
    ]
    assert list(damages(folder, manifest, never)) == [], "what does not fit is not read"


def test_a_reading_is_stopped_between_two_blocks(backup):
    folder, manifest = backup
    with pytest.raises(DatabaseError, match="stopped") as told:
        sha256(folder / "dump" / "1.dat", lambda: True)
    assert told.value.kind == "cancelled"
    with pytest.raises(DatabaseError, match="stopped"):
        list(damages(folder, manifest, lambda: True))

"""The way back without aishell: what travels with a folder of backups restores them, with nothing installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aishell.backups.store.repository import SCRIPT
from tests.backups.test_sqlite import back_up, change, fill, listed, made
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """With a Python that sees neither aishell nor any other package."""
    words = [sys.executable, "-I", "-S", str(script), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def chain(aishell: Aishell, sqlite: SqliteDatabase) -> list[Path]:
    """The folders of a full backup and two increments."""
    fill(sqlite, 500)
    made(back_up(aishell, sqlite))
    for number in range(2):
        change(sqlite, number)
        made(back_up(aishell, sqlite, "--type", "incremental"))
    return [Path(entry["path"]) for entry in listed(aishell)]


def test_each_backup_comes_back_as_aishell_restores_it(aishell: Aishell, chain: list[Path], tmp_path: Path) -> None:
    moved = tmp_path / "somewhere else"
    shutil.copytree(aishell.site / "backups", moved)
    for number, folder in enumerate(chain):
        ours, theirs = tmp_path / f"ours{number}", tmp_path / f"theirs{number}"
        aishell("backups", "restore", folder.name, "--to", str(ours), "--yes", "--output", "json")
        assert run(moved / SCRIPT, moved / folder.relative_to(aishell.site / "backups"), theirs).returncode == 0
        assert theirs.read_bytes() == ours.read_bytes()
        assert theirs.stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_where_it_cannot_be_done(aishell: Aishell, chain: list[Path], tmp_path: Path) -> None:
    script, last, target = aishell.site / "backups" / SCRIPT, chain[-1], tmp_path / "new"
    target.write_text("mine")
    assert "not restored" in run(script, last, target).stderr
    assert target.read_text() == "mine"
    target.unlink()
    pages = last / "pages.bin"
    whole = pages.read_bytes()
    for damage, told in (
        (lambda: pages.write_bytes(whole[:-1] + b"x"), "is missing or damaged"),
        (lambda: (last / "manifest.json").write_text("{}\nx\n"), "was changed or cut off"),
        (lambda: shutil.rmtree(last), "is not a backup"),
    ):
        damage()
        ended = run(script, last, target)
        assert (ended.returncode, told in ended.stderr) == (1, True), ended.stderr
        assert not target.exists()
    shutil.rmtree(chain[0])
    assert "which is missing" in run(script, chain[1], target).stderr
    assert run(script).returncode == 2

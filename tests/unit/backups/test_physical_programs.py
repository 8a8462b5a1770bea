"""A physical backup is not said to be read where the server's own programs are not here to read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from aishell.backups.postgresql import basebackup as pg_basebackup
from aishell.backups.postgresql import wal
from aishell.backups.postgresql.basebackup import PgBasebackup
from aishell.backups.store.manifest import BackupManifest
from aishell.errors import NotAtHandError


@dataclass
class Made:
    server_version: str = "15.4"


@pytest.mark.parametrize(("folder", "program"), [("base", "verifybackup"), ("wal", "waldump")])
def test_without_the_programs_nothing_is_said_to_be_read(
    tmp_path: Path, monkeypatch: Any, folder: str, program: str
) -> None:
    (tmp_path / folder).mkdir()
    asked: list[tuple[str, int, bool]] = []

    def use(work: Any, name: str, major: int, *, exactly: bool = False) -> None:
        asked.append((name, major, exactly))
        raise NotAtHandError("not here")

    monkeypatch.setattr(pg_basebackup, "use_programs", use)
    monkeypatch.setattr(wal, "segments_of", lambda manifest: [])
    monkeypatch.setattr(wal, "require_complete", lambda place, segments: None)
    with pytest.raises(NotAtHandError):
        PgBasebackup().read(cast("Any", None), tmp_path, cast("BackupManifest", Made()))
    assert asked == [(program, 15, True)]

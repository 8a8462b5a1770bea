"""What lies beside backups, for whoever has no aishell any more: how to restore them, and the script that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aishell import locations
from aishell.backups.store.manifest import BackupManifest

#: How every kind of backup is restored without aishell, and the script that puts those of SQLite together.
PAGE, SCRIPT = "RESTORE.md", "restore-sqlite.py"
#: Method -> the file of that script, where its backups need one.
_SCRIPTS = {"sqlite": "sqlite/without_aishell.py"}


def carried(manifest: BackupManifest) -> Iterator[tuple[str, str]]:
    """The names and texts, as of this release, of what a folder of backups needs for such a backup."""
    page = locations.built_in("docs") / "restore-without-aishell.md"
    yield PAGE, page.read_text(encoding="utf-8")
    if manifest.method in _SCRIPTS:
        yield SCRIPT, (Path(__file__).parent / _SCRIPTS[manifest.method]).read_text(encoding="utf-8")

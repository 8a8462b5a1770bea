"""Makes the catalog again from what lies in the folder of backups: a `state.db` that was lost takes no backup with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.catalog import WRITTEN, Verification
from aishell.commands import command
from aishell.errors import BackupError


@dataclass
class Rebuilt:
    """What was found. `damaged`: folder and what is wrong with it; `gone`: in the catalog, and not in the folder.

    `unnoted`: the note beside it cannot be read, so that nothing is proven of it, and whether it was pinned is not known: it is.
    """

    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unnoted: list[str] = field(default_factory=list)


def rebuild(backup_store: BackupStore, *, all_gone: bool = False) -> Rebuilt:
    """Enter every backup of the folder as its manifest and the note beside it say. Nothing is forgotten: see `gone`.

    A manifest that differs from the one that the catalog knows is believed by nobody: the backup stays in the catalog as damaged.
    Raises BackupError where there is no such folder, or nothing in it of all that is known, as when its disk is not mounted;
    `all_gone`: a person says that it is.
    """
    root = backup_store.repository.root
    if not root.is_dir():
        raise BackupError(f"{root} is not there", hint="is its disk mounted? see `backups:` in config/aishell.yaml")
    before = {entry.backup_id: entry for entry in backup_store.catalog.all()}
    found = list(backup_store.repository.all())
    if before and not all_gone and not before.keys() & {folder.name for folder, _ in found}:
        forget = command("backups", "rebuild-catalog", "--all-gone", "--yes")
        raise BackupError(
            f"none of the {len(before)} backup(s) that are known is in {root}: nothing was changed",
            hint=f"is its disk mounted? if they are gone for good: {forget}",
        )
    told, seen = Rebuilt(), dict[str, Path]()
    for folder, manifest in found:
        if isinstance(manifest, BackupError):
            told.damaged.append((folder, manifest.message))
            continue
        name, known = manifest.backup_id, before.get(manifest.backup_id)
        if folder.name != name:
            told.damaged.append((folder, f"its manifest is that of {name}"))
            continue
        other = seen.get(name) or (known.folder if known is not None and known.folder.is_dir() else folder)
        if other.resolve() != folder.resolve():
            told.damaged.append((folder, f"it is there twice: {other} is the same backup"))
            continue
        seen[name] = folder
        if known is not None and known.digest != manifest.digest:
            why = "its manifest is another one than when it was made"
            backup_store.catalog.failed(name, why)
            told.damaged.append((folder, why))
            continue
        standing = backup_store.standing(folder, manifest)
        backup_store.catalog.add(manifest, folder, standing=standing or Verification(WRITTEN, pinned=True))
        if standing is None and known is None:
            told.unnoted.append(name)
        (told.added if known is None else told.known).append(name)
    told.gone = [entry.backup_id for entry in backup_store.entries() if not entry.folder.is_dir()]
    return told

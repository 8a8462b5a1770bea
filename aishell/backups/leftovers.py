"""Files left by killed runs: finding them, deciding whether they may be removed, and removing them.

Every listed file has a name that only aishell gives, with the beginning of a run's id in it, in a folder where only aishell
works. Files of a run that is still running are not listed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.backups.create.making import total
from aishell.backups.store.backup_store import BackupStore, store_of
from aishell.backups.store.pruning import finish_removal, without_programs
from aishell.backups.store.repository import PARTIAL, TRASH, WORK, Repository, begun_by
from aishell.claims import run_of_scratch
from aishell.clients.clients import end_leftover
from aishell.errors import BackupError
from aishell.files import folder_name
from aishell.models import Residue
from aishell.running.context import Context
from aishell.state.run_fates import KnownRun, RunFate, RunFates

TOOL = "remove_leftovers"
BACKUP, DELETED, WORKED, ARCHIVE = "unfinished backup", "half-removed backup", "work folder", "unfinished archive"
COPY, SERVER, RESTORE = "unfinished copy", "scratch server", "unfinished restore"
_HIDDEN = {PARTIAL: BACKUP, TRASH: DELETED, WORK: WORKED}
#: Seconds since the last write after which a copy counts as abandoned: `backups verify-copies` makes copies without a run.
QUIET = 3600.0
#: The step name of a call without a run (see `execution.keeping`).
BY_HAND = "by-hand"


def fates_of(backup_store: BackupStore) -> RunFates:
    """The fates of a site's runs; empty before the first run."""
    return RunFates(backup_store.store()) if backup_store.recorded() else RunFates()


def leftovers(backup_store: BackupStore, archives: Path, target: str | None = None) -> list[Residue]:
    """The files that killed runs left, for one target or all. Files of a live run are left out."""
    fates = fates_of(backup_store)
    found = [
        *_in_repository(backup_store, fates),
        *_copies(backup_store, fates),
        *_servers(backup_store, fates),
        *_archives(archives, fates),
    ]
    listed = [one for run, folder, one in found if target is None or _belongs(target, run, folder)]
    if target is not None:
        listed += _restores(fates, target)
    return sorted(listed, key=lambda one: (one.kind, one.name))


def remove(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`remove_leftovers`. Raises BackupError, and removes nothing, if one of the paths may not be removed."""
    backup_store = store_of(context)
    known = {one.name: one for one in leftovers(backup_store, context.archive_root, context.target)}
    chosen = []
    for name in params["paths"]:
        one = known.get(name)
        if one is not None and one.goes:
            chosen.append(one)
        elif os.path.lexists(name):
            why = one.kept if one is not None else "it was not left by a finished run of this target"
            raise BackupError(f"{name} was not removed: {why}")
    for number, one in enumerate(chosen):
        context.progress(number, len(chosen), one.name)
        _remove(backup_store, one)
    return {"removed": list(params["paths"]), "bytes": sum(one.bytes or 0 for one in chosen)}


def abandoned(folder: Path) -> bool:
    """Whether a folder belongs to a call without a run whose process no longer exists."""
    process, _, step = folder.name.removeprefix(WORK).partition("-")
    if step != BY_HAND:
        return False
    try:
        os.kill(int(process, 16), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


def _remove(backup_store: BackupStore, one: Residue) -> None:
    """Raises BackupError if it still exists afterwards."""
    path = Path(one.name)
    end_leftover(path)
    try:
        if one.kind == DELETED:
            finish_removal(backup_store, path, without_programs)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(f"{path} cannot be removed: {error.strerror or error}") from error
    if os.path.lexists(path):
        raise BackupError(f"{path} still exists: another process is writing to it")


_Found = Iterator[tuple[KnownRun, Path, Residue]]


def _in_repository(backup_store: BackupStore, fates: RunFates) -> _Found:
    """Hidden folders in the backup store: unfinished backups, half-removed ones and work folders."""
    for path in [*backup_store.repository.unfinished(), *backup_store.repository.trash()]:
        run = fates.of(begun_by(path))
        kind = next(kind for begins, kind in _HIDDEN.items() if path.name.startswith(begins))
        if kind == DELETED or abandoned(path):  # its removal was decided, or nothing can resume it
            yield run, path, replace(_residue(kind, path, run), kept=None, certain=True)
        elif run.fate is not RunFate.ALIVE and not path.name.endswith(f"-{BY_HAND}"):
            yield run, path, _residue(kind, path, run)


def _copies(backup_store: BackupStore, fates: RunFates) -> _Found:
    """Incomplete copies in second places that are folders."""
    for name in backup_store.copies:
        root = Path(name)
        for path in Repository(root).unfinished() if "://" not in name and root.is_dir() else ():
            run = fates.of(begun_by(path))
            if run.fate is not RunFate.ALIVE and time.time() - _changed(path) > QUIET:
                yield run, path, _residue(COPY, path, run)


def _servers(backup_store: BackupStore, fates: RunFates) -> _Found:
    """Folders of scratch servers for restore tests: beside the backups and among temporary files."""
    for folder in (backup_store.repository.root.resolve(), Path(tempfile.gettempdir()).resolve()):
        for path in folder.iterdir() if folder.is_dir() else ():
            begun = run_of_scratch(path.name.removeprefix("."))
            run = fates.of(begun) if begun and path.is_dir() and not path.is_symlink() else None
            # Temporary files may be of other sites: unknown runs are left alone.
            if run is not None and run.fate not in (RunFate.ALIVE, RunFate.UNKNOWN):
                yield run, path, _residue(SERVER, path, run)


def _archives(archives: Path, fates: RunFates) -> _Found:
    for path in shelf.unfinished(archives):
        begun = shelf.begun_by(path)
        run = fates.of(begun)
        if run.fate is not RunFate.ALIVE:
            one = _residue(ARCHIVE, path, run)
            yield run, path, one if begun else replace(one, kept="its name is not the name of an archive")


def _restores(fates: RunFates, target: str) -> Iterator[Residue]:
    """Files that a restore leaves beside its place on this host."""
    for run in fates.on(target, "backup_restore"):
        places = _places(run.run.plan) if run.run and run.fate is not RunFate.ALIVE else ()
        beside = [place.with_name(f".{place.name}.{end}") for place in places for end in ("restoring", "tablespaces")]
        yield from (_residue(RESTORE, path, run) for path in beside if os.path.lexists(path))


def _places(plan: str) -> list[Path]:
    """The paths that a plan restores to, or keeps replaced files in."""
    named = {step["params"].get(name) for step in json.loads(plan)["steps"] for name in ("place", "kept")}
    return [Path(one) for one in named if isinstance(one, str) and Path(one).is_absolute()]


def _residue(kind: str, path: Path, run: KnownRun) -> Residue:
    return Residue(
        kind=kind,
        name=str(path),
        run_id=run.run_id,
        since=datetime.fromtimestamp(_changed(path), UTC).isoformat(timespec="seconds"),
        bytes=total(one for one in (path, *path.rglob("*")) if one.is_file()),
        kept=run.kept,
        certain=run.fate is not RunFate.UNKNOWN,
        tool=TOOL,
        params={"paths": [str(path)]},
    )


def _belongs(target: str, run: KnownRun, folder: Path) -> bool:
    """Whether it belongs to this target: by its run, or because it is in the folder of the target's backups."""
    if run.run is not None:
        return bool(run.run.target == target)
    return folder_name(target) in (one.name for one in folder.parents)


def _changed(path: Path) -> float:
    """The time of the last write to anything in it, in seconds since the epoch; now if it was removed meanwhile."""
    try:
        return max(float(one.lstat().st_mtime) for one in (path, *(path.rglob("*") if path.is_dir() else ())))
    except FileNotFoundError:
        return time.time()

"""The folder of backups: `<root>/<target>/<backup id>/`. Under its name, a backup is always complete."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from aishell import locations
from aishell.backups.store.manifest import BackupManifest, File
from aishell.clients.clients import writing
from aishell.errors import BackupError, DatabaseError, NotAtHandError, ParameterError
from aishell.files import folder_name, sync

#: The page on restoring without aishell, and the script that restores SQLite backups.
PAGE, SCRIPT = "RESTORE.md", "restore-sqlite.py"
#: Method -> the source of that script.
_SCRIPTS = {"sqlite": "sqlite/without_aishell.py"}
MANIFEST, NOTE = "manifest.json", "standing.json"
PARTIAL, TRASH, WORK = ".partial-", ".trash-", ".work-"
#: The form of a backup's name: time, kind, the beginning of the run's id, step.
_NAME = re.compile(r"\d{8}T\d{6}Z-(full|incremental)-([^-]*)-.*")
#: The default place of restored files, which is not searched for backups.
_RESTORED = re.compile(r"restored-\d{8}T\d{6}(\.\d{3})?Z")
BLOCK = 1 << 20
#: Files hashed in parallel, and files synced to disk meanwhile; the others are synced when the backup is published.
READERS, WRITERS = 2, 2

Cancelled = Callable[[], bool]


def carried(manifest: BackupManifest) -> Iterator[tuple[str, str]]:
    """The names and texts of the files that a folder with such a backup needs for a restore without aishell."""
    page = locations.built_in("docs") / "restore-without-aishell.md"
    yield PAGE, page.read_text(encoding="utf-8")
    if manifest.method in _SCRIPTS:
        yield SCRIPT, (Path(__file__).parents[1] / _SCRIPTS[manifest.method]).read_text(encoding="utf-8")


def inside(root: Path, given: str | Path) -> Path:
    """`given`, absolute or relative to the root, as a path below the root.

    Raises ParameterError for any other, and for one with an unexpanded variable, which would be taken for a name.
    """
    path = (root / given).resolve()
    if not str(given).strip() or path == root.resolve() or not path.is_relative_to(root.resolve()) or "$" in str(given):
        how = "set `backups:` in config/aishell.yaml to the folder for backups"
        raise ParameterError(f"{str(given)!r} is not inside {root}", hint=how)
    return path


class Repository:
    """The backups of all targets below one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, target: str, destination: str = "") -> Path:
        """The folder of a target's backups; `destination` is a folder below the root. Raises ParameterError for any other.

        Hidden folders are reserved for unfinished backups and trash.
        """
        home = inside(self.root, Path(destination) / folder_name(target))
        if any(part.startswith(".") for part in home.relative_to(self.root.resolve()).parts):
            raise ParameterError(f"{destination!r} is a hidden folder", hint="name one that does not begin with a dot")
        return home

    def place(self, at: datetime, suffix: str = "", word: str = "restored") -> Path:
        """A new path on this host for restored files, or for those they replace."""
        return self.root.absolute() / f"{word}-{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z{suffix}"

    def begin(self, folder: Path, backup_id: str) -> Path:
        """The folder to make a backup in, emptied of what an earlier attempt left."""
        final = inside(self.root, folder / backup_id)
        partial = final.with_name(PARTIAL + final.name)
        with writing(partial):
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir(parents=True, mode=0o700)
        return partial

    def publish(self, partial: Path, manifest: BackupManifest) -> Path:
        """Give a finished backup its name: everything in it is durable before, and the name itself afterwards."""
        final = partial.with_name(partial.name.removeprefix(PARTIAL))
        with writing(partial):
            _write(partial / MANIFEST, manifest.text())
            for path in sorted(partial.rglob("*"), reverse=True):
                path.chmod(0o700 if path.is_dir() else 0o600)
                sync(path)
            sync(partial)
            self._carry(manifest)
            partial.rename(final)
            sync(final.parent)
        return final

    def _carry(self, manifest: BackupManifest) -> None:
        """Write the files for a restore without aishell beside the backups."""
        for name, text in carried(manifest):
            place = self.root / name
            unfinished = self.root / f"{PARTIAL}{manifest.backup_id}-{name}"  # others may write the same file
            if place.is_file() and place.read_text(encoding="utf-8") == text:
                continue
            _write(unfinished, text)
            unfinished.chmod(0o600)
            sync(unfinished)
            unfinished.rename(place)
            sync(self.root)

    def discard(self, partial: Path) -> None:
        """Remove an unfinished backup."""
        if partial.name.startswith(PARTIAL):
            shutil.rmtree(partial, ignore_errors=True)

    def manifest(self, folder: Path) -> BackupManifest:
        """The manifest in a folder. Raises BackupError if it is missing or damaged, NotAtHandError without permission."""
        path = folder / MANIFEST
        try:
            return BackupManifest.of(path.read_text(encoding="utf-8"), str(path))
        except PermissionError as error:
            raise NotAtHandError(f"{path} cannot be read: permission denied") from error
        except (OSError, UnicodeDecodeError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error

    def all(self) -> Iterator[tuple[Path, BackupManifest | BackupError]]:
        """Every finished backup below the root, the oldest first, with its manifest or the error of reading it."""
        for folder in sorted(self._folders(), key=lambda path: path.name):
            if folder.name.startswith("."):
                continue
            try:
                yield folder, self.manifest(folder)
            except BackupError as error:
                yield folder, error

    def unfinished(self) -> list[Path]:
        """Unfinished backups and work folders, as interrupted runs leave them."""
        return sorted(path for path in self._folders() if path.name.startswith((PARTIAL, WORK)))

    def trash(self) -> list[Path]:
        """Backups whose removal was begun."""
        return sorted(path for path in self._folders() if path.name.startswith(TRASH))

    def _folders(self) -> Iterator[Path]:
        """The folders of backups in any state, without those inside them."""
        for path, names, files in os.walk(self.root):
            at = Path(path)
            if at == self.root:
                names[:] = [name for name in names if not _RESTORED.match(name)]
            elif MANIFEST in files or at.name.startswith((PARTIAL, TRASH, WORK)) or _NAME.fullmatch(at.name):
                names.clear()
                yield at

    def remove(self, folder: Path) -> None:
        """Rename to trash, then delete, so that a kill in between leaves no half-deleted backup under its name."""
        self.delete(self.move_to_trash(folder))

    def move_to_trash(self, folder: Path) -> Path:
        """Rename a backup to trash, after which it no longer counts as one. Returns the new path."""
        folder = inside(self.root, folder)
        if not _NAME.fullmatch(folder.name):
            raise BackupError(f"{folder} does not have the name of a backup and was not removed")
        trash = folder.with_name(TRASH + folder.name)
        with writing(folder):
            if trash.exists():  # of an earlier attempt
                self.delete(trash)
            folder.rename(trash)
            sync(folder.parent)
        return trash

    def delete(self, leftover: Path) -> None:
        """Delete trash or a leftover of an interrupted run. Raises BackupError for anything else."""
        leftover = inside(self.root, leftover)
        if not leftover.name.startswith((TRASH, PARTIAL, WORK)):
            raise BackupError(f"{leftover} is not a leftover and was not removed")
        with writing(leftover):
            shutil.rmtree(leftover)

    def write_note(self, folder: Path, note: dict[str, object]) -> None:
        """Write the verification and pin of a backup into its folder, so that the catalog can be rebuilt."""
        with writing(folder):
            unfinished = folder / f".{NOTE}"
            _write(unfinished, json.dumps(note))
            sync(unfinished)
            unfinished.rename(folder / NOTE)

    def read_note(self, folder: Path) -> dict[str, object] | None:
        """The note of a backup; empty if it has none, None if it cannot be read."""
        try:
            found = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def begun_by(folder: Path) -> str | None:
    """The beginning of the id of the run that an unfinished folder belongs to; None for any other name."""
    if folder.name.startswith(WORK):
        return folder.name.removeprefix(WORK).partition("-")[0] or None
    name = _NAME.fullmatch(folder.name.removeprefix(PARTIAL).removeprefix(TRASH))
    return name[2] or None if name else None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)


def sha256(path: Path, cancelled: Cancelled) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises DatabaseError (cancelled) when the run was interrupted."""
    with path.open("rb", buffering=0) as file:
        return sha256_of(file, cancelled)


def sha256_of(stream: BinaryIO | io.RawIOBase, cancelled: Cancelled) -> str:
    """The SHA-256 of the rest of a stream."""
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
        if cancelled():
            raise DatabaseError("reading a file was stopped", kind="cancelled")
    return digest.hexdigest()


def parts(folder: Path) -> list[Path]:
    """The files of a backup."""
    return sorted(path for path in folder.rglob("*") if is_part(folder, path))


def is_part(folder: Path, path: Path) -> bool:
    """Whether a file in a backup's folder is part of the backup: its manifest, note and programs' logs are not.

    In sub-folders everything is: a cluster has logs of its own.
    """
    ours = path.name.startswith(".") or path.name in (MANIFEST, NOTE) or path.suffix == ".log"
    return path.is_file() and not (path.parent == folder and ours)


def files_of(folder: Path, cancelled: Cancelled) -> tuple[File, ...]:
    """Every file of a backup with its digest, read back from disk; the largest are synced meanwhile."""
    paths = parts(folder)
    largest = sorted(paths, key=lambda path: path.stat().st_size)[-WRITERS:]
    with writing(folder), ThreadPoolExecutor(READERS + WRITERS, thread_name_prefix="digest") as pool:
        durable = [pool.submit(sync, path) for path in largest]
        digests = pool.map(lambda path: sha256(path, cancelled), paths)
        files = tuple(
            File(str(path.relative_to(folder)), path.stat().st_size, digest)
            for path, digest in zip(paths, digests, strict=True)
        )
        for one in durable:
            one.result()
    return files


def problems(folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> list[str]:
    """All differences between the files of a backup and its manifest, as texts."""
    return sorted([*misfits(folder, manifest), *damages(folder, manifest, cancelled)])


def misfits(folder: Path, manifest: BackupManifest) -> Iterator[str]:
    """Files that are missing or unexpected, or of another kind or size; none is read."""
    expected = {file.path: file for file in manifest.files}
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if is_part(folder, path)}
    for name in expected.keys() - present.keys():
        yield f"{name} is missing"
    for name in present.keys() - expected.keys():
        yield f"{name} is not in the manifest"
    for name, file in expected.items():
        if name not in present:
            continue
        if present[name].is_symlink():  # its content is outside the backup
            yield f"{name} is a symbolic link instead of a file"
        elif (size := present[name].stat().st_size) != file.bytes:
            yield f"{name} has {size:,} bytes instead of {file.bytes:,}"


def damages(folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> Iterator[str]:
    """Files of the right kind and size whose content differs."""
    files = ((folder / file.path, file) for file in manifest.files)
    fits = [file for at, file in files if at.is_file() and not at.is_symlink() and at.stat().st_size == file.bytes]
    with ThreadPoolExecutor(READERS, thread_name_prefix="check") as pool:
        yield from filter(None, pool.map(lambda file: _damage(folder, file, cancelled), fits))


def _damage(folder: Path, file: File, cancelled: Cancelled) -> str | None:
    path = folder / file.path
    try:
        return None if sha256(path, cancelled) == file.sha256 else f"{file.path} was changed or is damaged"
    except PermissionError as error:
        raise NotAtHandError(f"{path} cannot be read: permission denied") from error
    except OSError as error:  # a failing disk
        return f"{file.path} cannot be read: {error.strerror or error}"

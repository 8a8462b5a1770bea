"""The folder of backups: `<root>/<target>/<backup id>/`. A backup is there whole, under its name, or not at all."""

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

#: How every kind of backup is restored without aishell, and the script that puts those of SQLite together.
PAGE, SCRIPT = "RESTORE.md", "restore-sqlite.py"
#: Method -> the file of that script, where its backups need one.
_SCRIPTS = {"sqlite": "sqlite/without_aishell.py"}
MANIFEST, STANDING = "manifest.json", "standing.json"
PARTIAL, TRASH, WORK = ".partial-", ".trash-", ".work-"
#: What a backup's name looks like: when, what, the beginning of the run's id, the step.
_NAME = re.compile(r"\d{8}T\d{6}Z-(full|incremental)-([^-]*)-.*")
#: What was restored, where nobody said where to: no backup is looked for in it.
_RESTORED = re.compile(r"restored-\d{8}T\d{6}(\.\d{3})?Z")
BLOCK = 1 << 20
#: Files read at a time, and how many the disk writes out while the processor counts; the rest follows when a backup is published.
READERS, WRITERS = 2, 2

Cancelled = Callable[[], bool]


def carried(manifest: BackupManifest) -> Iterator[tuple[str, str]]:
    """The names and texts, as of this release, of what a folder of backups needs for such a backup."""
    page = locations.built_in("docs") / "restore-without-aishell.md"
    yield PAGE, page.read_text(encoding="utf-8")
    if manifest.method in _SCRIPTS:
        yield SCRIPT, (Path(__file__).parents[1] / _SCRIPTS[manifest.method]).read_text(encoding="utf-8")


def inside(root: Path, given: str | Path) -> Path:
    """`given`, relative to the root or absolute, as a path within the root and not the root itself.

    Raises ParameterError, also for a variable that nobody has filled in: it would be taken for a name.
    """
    path = (root / given).resolve()
    if not str(given).strip() or path == root.resolve() or not path.is_relative_to(root.resolve()) or "$" in str(given):
        how = "set `backups:` in config/aishell.yaml to where backups may be"
        raise ParameterError(f"{str(given)!r} is not inside {root}", hint=how)
    return path


class Repository:
    """The backups of all targets below one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, target: str, destination: str = "") -> Path:
        """Where a target's backups are; `destination` is a folder inside the root. Raises ParameterError for one outside.

        Hidden folders are ours: what is unfinished, and trash.
        """
        home = inside(self.root, Path(destination) / folder_name(target))
        if any(part.startswith(".") for part in home.relative_to(self.root.resolve()).parts):
            raise ParameterError(f"{destination!r} is a hidden folder", hint="name one that does not begin with a dot")
        return home

    def place(self, at: datetime, suffix: str = "", word: str = "restored") -> Path:
        """A new place on this host for what is restored, or for what that has replaced."""
        return self.root.absolute() / f"{word}-{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z{suffix}"

    def begin(self, folder: Path, backup_id: str) -> Path:
        """The folder that a backup is made in, empty: what an earlier attempt of the same one left there goes."""
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
        """Write what a restore without aishell takes beside the backups."""
        for name, text in carried(manifest):
            place = self.root / name
            unfinished = self.root / f"{PARTIAL}{manifest.backup_id}-{name}"  # others may write it too
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
        """Raises BackupError for a folder without a readable one."""
        path = folder / MANIFEST
        try:
            return BackupManifest.of(path.read_text(encoding="utf-8"), str(path))
        except PermissionError as error:
            raise NotAtHandError(f"{path} may not be read by this user") from error
        except (OSError, UnicodeDecodeError) as error:
            raise BackupError(f"{path} cannot be read: {error}") from error

    def all(self) -> Iterator[tuple[Path, BackupManifest | BackupError]]:
        """Every finished backup below the root, the oldest first; one whose manifest is damaged or gone comes with the error."""
        for folder in sorted(self._folders(), key=lambda path: path.name):
            if folder.name.startswith("."):
                continue
            try:
                yield folder, self.manifest(folder)
            except BackupError as error:
                yield folder, error

    def unfinished(self) -> list[Path]:
        """What interrupted runs have left: backups that they began, and folders that they worked in."""
        return sorted(path for path in self._folders() if path.name.startswith((PARTIAL, WORK)))

    def trash(self) -> list[Path]:
        """Backups that were about to be deleted."""
        return sorted(path for path in self._folders() if path.name.startswith(TRASH))

    def _folders(self) -> Iterator[Path]:
        """The folders of backups, whatever state they are in; what is in them is not looked at."""
        for path, names, files in os.walk(self.root):
            at = Path(path)
            if at == self.root:
                names[:] = [name for name in names if not _RESTORED.match(name)]
            elif MANIFEST in files or at.name.startswith((PARTIAL, TRASH, WORK)) or _NAME.fullmatch(at.name):
                names.clear()
                yield at

    def remove(self, folder: Path) -> None:
        """Rename to trash, then delete: a kill in between leaves no half-deleted backup under its name."""
        self.delete(self.discredit(folder))

    def discredit(self, folder: Path) -> Path:
        """Rename a backup to trash: from now on it is none."""
        folder = inside(self.root, folder)
        if not _NAME.fullmatch(folder.name):
            raise BackupError(f"{folder} has not the name of a backup: it was not removed")
        trash = folder.with_name(TRASH + folder.name)
        with writing(folder):
            if trash.exists():  # of an earlier attempt; a folder is not renamed onto one
                self.delete(trash)
            folder.rename(trash)
            sync(folder.parent)
        return trash

    def delete(self, leftover: Path) -> None:
        """Delete trash, or what an interrupted run left. Raises BackupError for anything else."""
        leftover = inside(self.root, leftover)
        if not leftover.name.startswith((TRASH, PARTIAL, WORK)):
            raise BackupError(f"{leftover} is not a leftover and was not removed")
        with writing(leftover):
            shutil.rmtree(leftover)

    def stand(self, folder: Path, standing: dict[str, object]) -> None:
        """Note beside a backup what was proven of it and whether it is pinned, so that the catalog can be made again."""
        with writing(folder):
            unfinished = folder / f".{STANDING}"
            _write(unfinished, json.dumps(standing))
            sync(unfinished)
            unfinished.rename(folder / STANDING)

    def standing(self, folder: Path) -> dict[str, object] | None:
        """What was noted of a backup, empty where nothing was; None for a note that cannot be read."""
        try:
            found = json.loads((folder / STANDING).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def begun_by(folder: Path) -> str | None:
    """The beginning of the id of the run that an unfinished folder belongs to; None for a name that is not ours."""
    if folder.name.startswith(WORK):
        return folder.name.removeprefix(WORK).partition("-")[0] or None
    name = _NAME.fullmatch(folder.name.removeprefix(PARTIAL).removeprefix(TRASH))
    return name[2] or None if name else None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)


def sha256(path: Path, cancelled: Cancelled) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises DatabaseError (cancelled) when the run was interrupted meanwhile."""
    with path.open("rb", buffering=0) as file:
        return sha256_of(file, cancelled)


def sha256_of(stream: BinaryIO | io.RawIOBase, cancelled: Cancelled) -> str:
    """The SHA-256 of the rest of a stream."""
    digest = hashlib.sha256()
    while block := stream.read(BLOCK):
        digest.update(block)
        if cancelled():
            raise DatabaseError("the reading of a file was stopped", kind="cancelled")
    return digest.hexdigest()


def parts(folder: Path) -> list[Path]:
    """The files that a backup is made of."""
    return sorted(path for path in folder.rglob("*") if is_part(folder, path))


def is_part(folder: Path, path: Path) -> bool:
    """Whether a file in a backup's folder is of the backup: its manifest, what was noted since and logs of programs are not.

    Further down all is the backup's: a cluster has logs of its own.
    """
    ours = path.name.startswith(".") or path.name in (MANIFEST, STANDING) or path.suffix == ".log"
    return path.is_file() and not (path.parent == folder and ours)


def files_of(folder: Path, cancelled: Cancelled) -> tuple[File, ...]:
    """Every file of a backup with its digest, read back from where it was written; the largest are made durable meanwhile."""
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
    """All that differs between the files of a backup and its manifest, in words."""
    return sorted([*misfits(folder, manifest), *damages(folder, manifest, cancelled)])


def misfits(folder: Path, manifest: BackupManifest) -> Iterator[str]:
    """Files that are missing, too many, of another kind or of another size, without reading any."""
    expected = {file.path: file for file in manifest.files}
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if is_part(folder, path)}
    for name in expected.keys() - present.keys():
        yield f"{name} is missing"
    for name in present.keys() - expected.keys():
        yield f"{name} was not in it when it was made"
    for name, file in expected.items():
        if name not in present:
            continue
        if present[name].is_symlink():  # removing the backup would leave what it leads to, and removing that the backup
            yield f"{name} is a link in the place of the file"
        elif (size := present[name].stat().st_size) != file.bytes:
            yield f"{name} has {size:,} bytes instead of {file.bytes:,}"


def damages(folder: Path, manifest: BackupManifest, cancelled: Cancelled) -> Iterator[str]:
    """Files of the right size and kind whose content differs."""
    files = ((folder / file.path, file) for file in manifest.files)
    fits = [file for at, file in files if at.is_file() and not at.is_symlink() and at.stat().st_size == file.bytes]
    with ThreadPoolExecutor(READERS, thread_name_prefix="check") as pool:
        yield from filter(None, pool.map(lambda file: _damage(folder, file, cancelled), fits))


def _damage(folder: Path, file: File, cancelled: Cancelled) -> str | None:
    path = folder / file.path
    try:
        return None if sha256(path, cancelled) == file.sha256 else f"{file.path} was changed or is damaged"
    except PermissionError as error:
        raise NotAtHandError(f"{path} may not be read by this user") from error
    except OSError as error:  # a disk that is failing
        return f"{file.path} cannot be read: {error.strerror or error}"

"""The files of a backup, and whether they are what they were when it was made."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from aishell.backups.store.manifest import BackupManifest, File
from aishell.backups.store.repository import MANIFEST, STANDING
from aishell.clients.disk import writing
from aishell.errors import DatabaseError, NotAtHandError
from aishell.folders import sync

BLOCK = 1 << 20
#: Files read at a time, and how many the disk writes out while the processor counts; the rest follows when a backup is published.
READERS, WRITERS = 2, 2

Cancelled = Callable[[], bool]


def sha256(path: Path, cancelled: Cancelled) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises DatabaseError (cancelled) when the run was interrupted meanwhile."""
    with path.open("rb", buffering=0) as file:
        return sha256_of(file, cancelled)


def sha256_of(stream: BinaryIO | io.RawIOBase, cancelled: Cancelled) -> str:
    """The same of what is left of a stream."""
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
    """Files of the right size and kind whose content is another one."""
    there = [file for file in manifest.files if _fits(folder / file.path, file)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="check") as pool:
        for told in pool.map(lambda file: _damage(folder, file, cancelled), there):
            if told is not None:
                yield told


def _fits(path: Path, file: File) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == file.bytes


def _damage(folder: Path, file: File, cancelled: Cancelled) -> str | None:
    path = folder / file.path
    try:
        return None if sha256(path, cancelled) == file.sha256 else f"{file.path} was changed or is damaged"
    except PermissionError as error:
        raise NotAtHandError(f"{path} may not be read by this user") from error
    except OSError as error:  # a disk that is failing
        return f"{file.path} cannot be read: {error.strerror or error}"

"""Files and folders of stored data: named after anything, written atomically, durable."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from aishell.models import new_id

#: The most bytes of a folder's name, and the length that a longer one is cut to; file systems allow 255.
_LONGEST, _CUT = 200, 160


def folder_name(text: str) -> str:
    """Return a folder name for any text: one component of a path, not hidden and not too long."""
    name = quote(text, safe=" ()+,=@~")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_CUT]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def sync_all(folder: Path) -> None:
    """Make a folder and everything below it durable; does nothing if it does not exist."""
    for at, _, names in os.walk(folder, topdown=False):
        for name in names:
            if not Path(at, name).is_symlink():
                sync(Path(at, name))
        sync(Path(at))


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable with fsync."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str, *, durable: bool = False, mode: int = 0o600) -> None:
    """Write a text to a file with this mode, replacing any file there atomically. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{new_id()[:12]}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
        if durable:
            sync(path.parent)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


#: The identity and state of a file: another file, or other content, has another stamp.
Stamp = tuple[int, int, int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file, None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

"""`flock` on one host: the kernel releases it however the process ends.

The `filelock` package would truncate the file that names the holder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from aishell.errors import StateError
from aishell.models import now


class FileLockHeldError(Exception):
    """Another process holds the lock; `holder` is what it wrote: run_id, host, pid, since."""

    def __init__(self, path: Path, holder: dict[str, str]) -> None:
        self.path, self.holder = path, holder
        super().__init__(f"{path} is held by {holder}")


class FileLock:
    """An exclusive lock on its own file, which is removed when the lock is released."""

    def __init__(self, path: Path, run_id: str) -> None:
        """Take the lock without waiting. Raises FileLockHeldError, and StateError if the file cannot be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = _taken(path)
            try:
                text = {"run_id": run_id, "host": socket.gethostname(), "pid": str(os.getpid()), "since": now()}
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, json.dumps(text).encode(), 0)
            except OSError:
                self.release()
                raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StateError(
                f"the lock file {path} cannot be written: {error.strerror or error}",
                hint="free some disk space there"
                if full
                else "give this user write permission on the folder; the lock prevents concurrent runs",
            ) from error

    def release(self) -> None:
        if self._handle < 0:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = -1


def soon(path: Path, holder: str) -> FileLock | None:
    """Return the lock, retrying for two seconds, since checks hold it briefly; None if another process holds it."""
    for _ in range(40):
        with suppress(FileLockHeldError):
            return FileLock(path, holder)
        time.sleep(0.05)
    return None


def folder_of(state: Path) -> Path:
    """Return the folder of lock files, beside the state store."""
    return state.parent / ".aishell-locks"


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now. Takes a shared lock for a moment and writes nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _taken(path: Path) -> int:
    """Return a handle of the locked file. Raises FileLockHeldError and OSError."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(handle, path):
                return handle  # else the previous holder removed the file between our open and our lock
        except BlockingIOError:
            holder = _read(handle)
            os.close(handle)
            raise FileLockHeldError(path, holder) from None
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _read(handle: int) -> dict[str, str]:
    try:
        return dict(json.loads(os.pread(handle, 4096, 0)))
    except ValueError:
        return {}  # the holder has the lock but has not written its name yet


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

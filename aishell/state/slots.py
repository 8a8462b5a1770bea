"""Slots: a limit on concurrent processes, counted over all that share a folder of locks.

A slot is a lock on a file, inherited by the working process: the kernel releases it however that process ends. A table
row would need to be cleaned up after a kill.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from aishell.errors import StateError


class Slots:
    """The slots of a site. `folder`: its lock files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, wanted: Mapping[str, int | None]) -> list[int] | str:
        """Take a slot of each kind; return their file descriptors, or the first kind at its limit (None: no limit).

        The caller passes them to the process that it starts, and closes its own (`give_back`). Raises StateError.
        """
        taken: list[int] = []
        for kind, limit in wanted.items():
            try:
                slot = self._take(kind, limit)
            except OSError as error:
                give_back(taken)
                message = f"no lock file can be written in {self._folder}: {error.strerror}"
                raise StateError(message, hint="give this user write permission on the folder") from error
            if slot is None:
                give_back(taken)
                return kind
            taken.append(slot)
        return taken

    def _take(self, kind: str, limit: int | None) -> int | None:
        name = f"slot-{hashlib.sha256(kind.encode()).hexdigest()[:16]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        turn = self._open(f"{name}.turn")  # one process counts at a time, briefly
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            there = [int(path.suffix[1:]) for path in self._folder.glob(f"{name}.*") if path.suffix[1:].isdigit()]
            free = [handle for number in sorted(there) if (handle := self._locked(f"{name}.{number}")) is not None]
            mine = None
            if limit is None or len(there) - len(free) < limit:
                mine = free.pop(0) if free else self._locked(f"{name}.{len(there)}")
            give_back(free)
            return mine
        finally:
            os.close(turn)

    def _locked(self, name: str) -> int | None:
        """Return a descriptor whose lock we hold, None if another process holds it."""
        handle = self._open(name)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def give_back(slots: Collection[int]) -> None:
    """Close slots. They are free unless a process that inherited them still runs."""
    for handle in slots:
        os.close(handle)

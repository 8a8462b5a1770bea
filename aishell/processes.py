"""Child processes that outlive this one, and waiting for them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from aishell.errors import StateError

#: A log of this size in bytes is rotated before a process appends to it; one rotated log is kept.
LOG_BYTES = 1_000_000


class Child(Protocol):
    """A child process to wait for: the used part of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...


def start(
    words: Collection[str], log: Path, keeps: Collection[int] = (), **environment: str
) -> subprocess.Popen[bytes]:
    """Start `aishell` with these words in a new session. Its output goes to a file: a closed pipe would end it.

    `keeps`: file descriptors that it inherits; `environment`: variables added to those of this process.

    Raises StateError if the file cannot be written.
    """
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        if log.exists() and log.stat().st_size >= LOG_BYTES:
            log.replace(_aside(log))
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{log} cannot be written: {error.strerror}") from error
    try:
        ourselves = [sys.executable, "-P", "-m", "aishell", *words]
        return subprocess.Popen(
            ourselves,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            pass_fds=tuple(keeps),
            env={**os.environ, **environment},
        )
    finally:
        os.close(handle)


def ended(children: Mapping[int, Child], timeout: float | None = None) -> list[int]:
    """Wait until a child has ended, or for `timeout` seconds; return the keys of those that have ended."""
    watched: dict[int, int] = {}
    try:
        ready = select.poll()
        for key, child in children.items():
            handle = os.pidfd_open(child.pid)
            watched[handle] = key
            ready.register(handle, select.POLLIN)
        return [watched[handle] for handle, _ in ready.poll(None if timeout is None else timeout * 1000)]
    finally:
        for handle in watched:
            os.close(handle)


def remove_old_logs(folder: Path, keep: int) -> None:
    """Remove logs named by a number, except the newest `keep`."""
    logs = sorted((path for path in folder.glob("*.log") if path.stem.isdigit()), key=lambda path: int(path.stem))
    for path in logs[: max(0, len(logs) - keep)]:
        path.unlink(missing_ok=True)
        _aside(path).unlink(missing_ok=True)


def _aside(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")

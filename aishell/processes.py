"""Processes of our own that go on when this one ends, and the wait for them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from aishell.errors import StateError

#: A log that has so many bytes is put aside before a process goes on with it, and the one that was put aside before goes.
LOG_BYTES = 1_000_000


class Child(Protocol):
    """What a `subprocess.Popen` is waited for by."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...


def start(
    words: Collection[str], log: Path, keeps: Collection[int] = (), **environment: str
) -> subprocess.Popen[bytes]:
    """`aishell` with these words, in a session of its own; its output goes to a file, for a closed pipe would end it.

    `keeps`: open files that it has as long as it lives; `environment`: variables beside those of this process.

    Raises StateError where the file cannot be written.
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
    """Wait until one of them has ended, or for so many seconds; the keys of those that have."""
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
    """Keep the newest of the logs that are named by a number."""
    logs = sorted((path for path in folder.glob("*.log") if path.stem.isdigit()), key=lambda path: int(path.stem))
    for path in logs[: max(0, len(logs) - keep)]:
        path.unlink(missing_ok=True)
        _aside(path).unlink(missing_ok=True)


def _aside(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")

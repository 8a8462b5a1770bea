"""The three locks of a run: its own file, the target's file on this host, and the lock in the target."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aishell.commands import command
from aishell.databases.base import Database, TargetLock, TargetLockHeldError
from aishell.errors import TargetBusyError
from aishell.execution.target_context import Job
from aishell.state.locks import FileLock, FileLockHeldError

#: How long to wait for the server to release the lock of a killed process, seconds.
ORPHAN_PATIENCE = 30.0


@contextmanager
def holding(job: Job, run_id: str, folder: Path) -> Iterator[TargetLock]:
    """Hold the three locks of a run, waiting only for the session of a killed process of the same run.

    Raises TargetBusyError naming the holder.
    """
    with ExitStack() as held:
        busy = f"the run {run_id[:8]} is being driven by another process"
        held.callback(_file_lock(folder / f"run-{run_id}.lock", run_id, busy).release)
        busy = f"the target {job.target.name!r} is in use"
        held.callback(_file_lock(_target_file(job, folder), run_id, busy).release)
        in_target = _hold(job.database, run_id, job.target.name)
        held.callback(in_target.release)
        yield in_target


@contextmanager
def holding_files(files: Iterable[Path], holder: str, what: str) -> Iterator[None]:
    """Hold the locks of targets on this host, for work that needs no connection. Raises TargetBusyError naming the holder."""
    with ExitStack() as held:
        for path in sorted(set(files)):  # always in the same order, against deadlocks
            held.callback(_file_lock(path, holder, f"{what} is in use").release)
        yield


def _file_lock(path: Path, run_id: str, busy: str) -> FileLock:
    try:
        return FileLock(path, run_id)
    except FileLockHeldError as error:
        known = {"run_id": "unknown", "host": socket.gethostname(), "pid": "?", "since": "just now", **error.holder}
        text = "run {run_id} on {host}, process {pid}, since {since}".format(**known)
        raise TargetBusyError(f"{busy}: {text}", hint=_wait(known["run_id"])) from error


def _hold(database: Database, run_id: str, name: str) -> TargetLock:
    deadline = time.monotonic() + ORPHAN_PATIENCE
    while True:
        try:
            return database.hold(run_id)
        except TargetLockHeldError as error:
            if error.holder.run_id != run_id[:8] or time.monotonic() > deadline:
                text = f"the target {name!r} is in use: {error.holder}"
                raise TargetBusyError(text, hint=_wait(error.holder.run_id)) from error
            time.sleep(0.2)  # our own session: the server has not noticed yet that its client is gone


def _target_file(job: Job, folder: Path) -> Path:
    """Beside a SQLite file, where every site on this host finds it; else in the site, named by the target's identity."""
    path = getattr(job.database, "path", None)
    return target_file(folder, job.known_server().identity or job.database.credentials.display, path)


def target_file(folder: Path, identity: str, path: Path | None = None) -> Path:
    """The file whose lock keeps a second run away from a target; `path` is that of a SQLite file."""
    if path is not None:
        real = Path(path).resolve()
        return real.with_name(f".{real.name}.aishell-lock")
    return folder / f"target-{hashlib.sha256(identity.encode()).hexdigest()[:24]}.lock"


def _wait(run_id: object) -> str:
    """The hint on the run that holds a target; a run of another site is not known here."""
    run = str(run_id)[:8]
    if run == "unknown":
        return "wait for it"
    return f"wait for it, or see `{command('runs', 'show', run)}` and `{command('runs', 'cancel', run)}`"

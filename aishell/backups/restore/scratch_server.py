"""A server of our own on a restored data directory, on any engine: its folders, its account, its start and its end."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from aishell.backups.create.making import Work
from aishell.clients.clients import Clients, end_leftover, writing
from aishell.errors import BackupError

POLL = 0.1  # seconds


def is_scratch(place: str) -> bool:
    """Whether a place is a bare name, and so that of a scratch server, which is removed again."""
    return os.sep not in place


def place_of(work: Work, place: str, accounts: Sequence[str]) -> Path:
    """The data directory to restore into; root runs a scratch server as the first of `accounts` that exists.

    Raises BackupError for a place that is neither a bare name nor an absolute path.
    """
    if is_scratch(place):
        return _scratch_data(work, place, account_of(accounts))
    if not Path(place).is_absolute():
        how = "name a folder that does not exist, for a new data directory"
        raise BackupError(f"{place!r} is not an absolute path", hint=how)
    return Path(place)


def _scratch_data(work: Work, place: str, account: pwd.struct_passwd | None) -> Path:
    """A folder beside the backups, or among temporary files if the account has no access there."""
    root = work.backup_store.repository.root.resolve()
    if account is None or all(path.stat().st_mode & 0o001 for path in (root, *root.parents)):
        folder = root / f".{place}"
    else:
        folder = control_of(place) / "restored"
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        for path in (folder, *([folder.parent] if folder.parent != root else [])):
            os.chown(path, account.pw_uid, account.pw_gid)
    return folder / "data"


def remove(work: Work, place: str) -> None:
    """Remove the folders of a scratch server, and the server if a killed process left it running."""
    control = control_of(place)
    end_leftover(control)
    for folder in (control, work.backup_store.repository.root.resolve() / f".{place}"):
        shutil.rmtree(folder, ignore_errors=True)


def control_of(place: str) -> Path:
    """The folder of the settings and of the socket, whose path must be short."""
    return Path(tempfile.gettempdir()).resolve() / place


def account_of(names: Sequence[str]) -> pwd.struct_passwd | None:
    """The account that root runs a server as: the first of `names` that exists, else BackupError; None if we are not root."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BackupError("root may not run a database server, and no account for it exists", hint=f"add {names[0]}")


def own(path: Path, account: pwd.struct_passwd | None) -> None:
    """Make the account the owner of a folder and everything in it; None changes nothing."""
    if account is not None:
        for one in (path, *path.rglob("*")):
            os.chown(one, account.pw_uid, account.pw_gid, follow_symlinks=False)


@contextmanager
def running(
    work: Work,
    program: str,
    values: Mapping[str, Any],
    control: Path,
    account: pwd.struct_passwd | None,
    *,
    folder: Path,
    ready: Callable[[], bool],
) -> Iterator[None]:
    """A server, by a program of the tool, that is `ready` within the block and stopped after it. `account` owns `control`.

    Raises the error it failed with, or BackupError if it ends before it is ready.
    """
    own(control, account)
    done = Event()
    context = replace(work.context, cancelled=lambda: done.is_set() or work.context.cancelled())
    server = Clients(work.tool, context, control, bin_folder=work.clients.bin_folder)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run(program, values, account=account, folder=folder)
        except Exception as error:  # raised again below, in the thread that waits for it
            failures.append(error)

    thread = Thread(target=run, name="scratch server")
    thread.start()
    try:
        while not ready():
            if not thread.is_alive():
                raise failures[0] if failures else BackupError("the restored server stopped before it was ready")
            time.sleep(POLL)
        yield
    finally:
        done.set()
        thread.join()

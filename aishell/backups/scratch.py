"""A PostgreSQL server of our own on a restored data directory: started, looked through, stopped and taken away."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

from aishell.backups import wal
from aishell.backups.clients import Clients, end_leftover
from aishell.backups.libpq import quoted, use_programs
from aishell.backups.making import Work
from aishell.backups.manifest import Manifest
from aishell.errors import BackupError

#: Who runs a server that root may not run.
ACCOUNTS = ("postgres", "nobody")
#: The files that put a scratch server's settings in the place of the source's.
CONFIGURATION = {"postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}
LOOK = 0.1


def data_of(work: Work, place: str) -> Path:
    """The data directory of a scratch server: beside the backups, or among temporary files if its account cannot get there."""
    root, account = work.vault.repository.root.resolve(), _account()
    if account is None or all(path.stat().st_mode & 0o001 for path in (root, *root.parents)):
        folder = root / f".{place}"
    else:
        folder = _control(place) / "restored"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        for path in (folder, *([folder.parent] if folder.parent != root else [])):
            os.chown(path, account.pw_uid, account.pw_gid)
    return folder / "data"


def remove(work: Work, place: str) -> None:
    """Take the server away, and whatever is left of one that was killed."""
    control = _control(place)
    end_leftover(control)
    for folder in (control, work.vault.repository.root.resolve() / f".{place}"):
        shutil.rmtree(folder, ignore_errors=True)


def prove(work: Work, place: str) -> None:
    """Start a server, wait until it has recovered as far as the backup goes, and let it read every table and index.

    Raises BackupError where it does not come up, ends too early, or finds something damaged.
    """
    data = data_of(work, place)
    entry = work.vault.catalog.find(work.params["backup_id"])
    chain = work.vault.chain(entry)
    with _running(work, place, data, chain[-1][1]) as control:
        _refuse_early(data, chain[-1][1])
        if int(chain[-1][1].server_version.split(".")[0]) >= 14 and _has_amcheck(work):
            dbname = (
                f"host={quoted(str(control))} port=5432 user={quoted(chain[0][1].details['superuser'])} dbname=postgres"
            )
            work.clients.run("amcheck", {"dbname": dbname})


@contextmanager
def _running(work: Work, place: str, data: Path, manifest: Manifest) -> Iterator[Path]:
    """A server on a unix socket that only we and its own account can open. It ends with the block."""
    use_programs(work, "postgres", int(manifest.server_version.split(".")[0]), exactly=True)
    control, account, done = _control(place), _account(), Event()
    control.mkdir(mode=0o700, exist_ok=True)
    for name, text in CONFIGURATION.items():
        (control / name).write_text(text, encoding="utf-8")
    if account is not None:
        for path in (control, *control.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    context = replace(work.context, cancelled=lambda: done.is_set() or work.context.cancelled())
    server = Clients(work.tool, context, control, bin_folder=work.clients.bin_folder)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            server.run("postgres", {"data": data, "control": control}, account=account, folder=data)
        except Exception as error:  # raised again below, in the thread that waits for it
            failures.append(error)

    thread = Thread(target=run, name="scratch server")
    thread.start()
    try:
        while not _ready(data):
            if not thread.is_alive():
                raise failures[0] if failures else BackupError("the restored server ended by itself")
            time.sleep(LOOK)
        yield control
    finally:
        done.set()
        thread.join()


def _ready(data: Path) -> bool:
    """Whether the server says so: without hot standby it does when recovery is over."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _refuse_early(data: Path, manifest: Manifest) -> None:
    """Raises BackupError when recovery ended before the backup's WAL did: the new timeline tells where it left the old one."""
    if "from" not in manifest.details:
        return  # a base: a server does not start without all of its WAL
    history = data / "pg_wal" / f"{manifest.position['timeline'] + 1:08X}.history"
    left = history.read_text(encoding="utf-8").splitlines()[-1].split("\t")[1]
    if wal.number_of(left) < wal.number_of(manifest.position["lsn"]):
        raise BackupError(f"recovery ended at {left}, and {manifest.backup_id} goes to {manifest.position['lsn']}")


def _has_amcheck(work: Work) -> bool:
    try:
        work.clients.path("amcheck")
    except BackupError:
        return False
    return True


def _control(place: str) -> Path:
    """The folder of the socket, whose path has to be short, and of the settings."""
    return Path(tempfile.gettempdir()).resolve() / place


def _account() -> pwd.struct_passwd | None:
    """Whom root runs the server as; None for all others, who run it themselves."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise BackupError("root may not run a PostgreSQL server, and there is no account for it", hint=f"add {ACCOUNTS[0]}")

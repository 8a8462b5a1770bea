"""A PostgreSQL server of our own on a restored data directory: started, looked through, stopped and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.backups.postgresql import wal
from aishell.backups.postgresql.libpq import quoted, use_programs
from aishell.backups.restore import scratch_server
from aishell.backups.store.manifest import BackupManifest
from aishell.clients.disk import writing
from aishell.errors import BackupError

#: Who runs a server that root may not run.
ACCOUNTS = ("postgres", "nobody")
#: The files that put a scratch server's settings in the place of the source's.
CONFIGURATION = {"postgresql.conf": "", "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""}


def data_of(work: Work, place: str) -> Path:
    """The data directory of a scratch server."""
    return scratch_server.data_of(work, place, scratch_server.account_of(ACCOUNTS))


def prove(work: Work, place: str) -> bool:
    """Start a server, wait until it has recovered as far as the backup goes, and let it read every table and index.

    Whether it did: that takes pg_amcheck, which there is from version 14 on. Raises BackupError where it does not come up, ends
    too early, or finds something damaged.
    """
    data = data_of(work, place)
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    chain = work.backup_store.chain(entry)
    with _running(work, place, data, chain[-1][1]) as control:
        _refuse_early(data, chain[-1][1])
        reads = int(chain[-1][1].server_version.split(".")[0]) >= 14 and _has_amcheck(work)
        if reads:
            dbname = (
                f"host={quoted(str(control))} port=5432 user={quoted(chain[0][1].details['superuser'])} dbname=postgres"
            )
            work.clients.run("amcheck", {"dbname": dbname})
    return reads


@contextmanager
def _running(work: Work, place: str, data: Path, manifest: BackupManifest) -> Iterator[Path]:
    """A server on a unix socket that only we and its own account can open. It ends with the block."""
    use_programs(work, "postgres", int(manifest.server_version.split(".")[0]), exactly=True)
    control, account = scratch_server.control_of(place), scratch_server.account_of(ACCOUNTS)
    with writing(control):
        control.mkdir(mode=0o700, exist_ok=True)
        for name, text in CONFIGURATION.items():
            (control / name).write_text(text, encoding="utf-8")
    scratch_server.own(control, account)
    values = {"data": data, "control": control}
    with scratch_server.running(work, "postgres", values, control, account, folder=data, ready=lambda: _ready(data)):
        yield control


def _ready(data: Path) -> bool:
    """Whether the server says so: without hot standby it does when recovery is over."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _refuse_early(data: Path, manifest: BackupManifest) -> None:
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

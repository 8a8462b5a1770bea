"""A MariaDB server of our own on a restored data directory: started apart from everybody, every table read, stopped."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from aishell.backups.create.making import Work
from aishell.backups.mariadb.files import use_own
from aishell.backups.restore import scratch_server
from aishell.backups.verify.checking import few
from aishell.clients.disk import writing
from aishell.databases.base import SessionOptions
from aishell.databases.connections import Credentials
from aishell.databases.opening import open_database
from aishell.databases.urls import URL
from aishell.errors import BackupError
from aishell.registry.render import render

#: Who runs a server that root may not run.
ACCOUNTS = ("mysql", "nobody")
#: What of the answers to CHECK TABLE tells that a table is not what it should be.
BAD = frozenset({"corrupt", "error"})


def prove(work: Work, place: str, data: Path) -> None:
    """Start a server, which recovers what was being written, and let it read every table and index.

    Raises BackupError where it does not come up, or finds something damaged.
    """
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    manifest = work.backup_store.chain(entry)[-1][1]
    control, account = scratch_server.control_of(place), scratch_server.account_of(ACCOUNTS)
    with writing(control):
        (control / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (control, data):
        scratch_server.own(folder, account)
    use_own(work, "server", [int(part) for part in manifest.server_version.split(".")])
    values = {"data": data, "control": control, **manifest.details["settings"]}
    ready = (control / "pid").exists
    with scratch_server.running(work, "server", values, control, account, folder=control, ready=ready):
        damaged = _damaged(work, control)
    if damaged:
        raise BackupError(f"{entry.backup_id} comes back with damaged tables: {few(damaged)}")


def _damaged(work: Work, control: Path) -> list[str]:
    """What the server finds wrong with each table of all databases."""
    # It asks nobody for a password: whoever can open its socket could read its files as well.
    url = URL("mysql", "mysql", user="root", options={"unix_socket": str(control / "socket")})
    found = []
    with (
        closing(open_database(Credentials(url))) as database,
        database.session(SessionOptions(read_only=False, lock_timeout=None, statement_timeout=None)) as session,
    ):
        session.mark(work.context.marker)
        for row in work.query("every_table", session):
            outcome = session.execute(render(work.tool, work.tool.blocks["check_table"], row, database))
            found += [f"{row['schema']}.{row['name']}: {one.text}" for one in outcome.messages if one.level in BAD]
    return found

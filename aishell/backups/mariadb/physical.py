"""MariaDB physical backups: the files of the whole server by mariadb-backup; increments are changed pages."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

import zstandard

from aishell.backups.create.making import PHYSICAL, Work, Written, full_needed, make
from aishell.backups.mariadb.files import BLOCK, MESSAGES, STREAM, Files, Prepared, checkpoints, run, use_own
from aishell.backups.mariadb.login import login
from aishell.backups.methods import Chain, Physical
from aishell.backups.restore import scratch_server
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import INCREMENTAL, BackupManifest
from aishell.backups.verify.checking import few
from aishell.clients.clients import writing
from aishell.databases.base import SessionOptions
from aishell.databases.connections import Credentials
from aishell.databases.opening import open_database
from aishell.databases.urls import URL
from aishell.errors import BackupError
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: The database in the manifest of a backup of all databases.
SERVER = "(the whole server)"
#: zstd's level and threads, as for dumps: on two cores as fast as the files are read.
LEVEL, THREADS = 3, 2
#: Seconds that the copy may wait for a lock if the run sets no limit, since others wait behind it.
LOCK_WAIT = 30.0
#: The file of a restored data directory that holds the claim of the step that made it.
CLAIMED = "restored_by_aishell"
_BINLOG = re.compile(r"^binlog_pos = (.+)$", re.MULTILINE)
#: Accounts to run a server as, in place of root.
ACCOUNTS = ("mysql", "nobody")
#: Message types of CHECK TABLE that report damage.
BAD = frozenset({"corrupt", "error"})


def cluster(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`backup_cluster`."""
    return make(tool, params, context, MariadbBackup(), expected=Files.of(Work(tool, params, context)).bytes)


def incremental(
    tool: Tool, params: Mapping[str, Any], context: Context, parent: tuple[CatalogEntry, BackupManifest]
) -> dict[str, Any]:
    """`backup_database_incremental`, on a parent by mariadb-backup."""
    Files.of(Work(tool, params, context))  # before anything is written
    return make(tool, params, context, MariadbBackup(), kind=INCREMENTAL, parent=parent)


class MariadbBackup(Physical):
    """The files of a server as one stream, with the log that makes them consistent."""

    name = "mariadb-backup"
    programs = frozenset({"mbstream", "mariadb-backup", "innochecksum", "mariadbd"})

    def write(self, work: Work) -> Written:
        return self._copied(work, Files.of(work), 0)

    def increment(self, work: Work) -> Written:
        assert work.parent is not None  # noqa: S101  an increment has one
        files, parent = Files.of(work), work.parent[1]
        if parent.details["files"] != files.incarnation:
            why = f"the server's data directory is no longer the one that {parent.backup_id} was made from"
            raise full_needed(work.context, why, PHYSICAL)
        return self._copied(work, files, int(parent.position["lsn"]))

    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None:
        """Unpack and prepare a copy of it, on those it depends on, and verify the checksum of every page."""
        prepared = Prepared(work)
        prepared.add(folder, manifest)
        if folder == work.folder:  # the backup is being made: its folder must not contain the copy
            prepared.remove()

    def restore(self, work: Work, chain: Chain, place: str, *, until: str | None, tables: Sequence[str]) -> None:
        """Restore into a new folder, on which a server of the same version can be started."""
        if tables or until:
            raise BackupError("a physical backup of MariaDB can only be restored as a whole, as of its own time")
        claimed, into = f"{work.context.claim}\n", scratch_server.place_of(work, place, ACCOUNTS)
        with suppress(OSError):
            if (into / CLAIMED).read_text(encoding="utf-8") == claimed:
                return  # made by an earlier process of this step
        if into.is_symlink() or (into.exists() and (not into.is_dir() or any(into.iterdir()))):
            raise BackupError(f"{into} already exists", hint="name a folder that does not exist")
        if not into.parent.is_dir():
            raise BackupError(f"{into.parent} does not exist")
        prepared = Prepared(work)
        prepared.reach(chain)
        with writing(prepared.folder):
            (prepared.folder / CLAIMED).write_text(claimed, encoding="utf-8")
        prepared.move(into)

    def proves(self, work: Work, place: str) -> bool:
        prove(work, place, scratch_server.place_of(work, place, ACCOUNTS))
        return True

    def notes(self, place: str, manifest: BackupManifest) -> Sequence[str]:
        settings = manifest.details["settings"]
        options = {
            "datadir": place,
            "innodb-page-size": settings["page_size"],
            "innodb-data-file-path": settings["system"],
            "innodb-undo-tablespaces": settings["undos"],
            "lower-case-table-names": settings["fold"],
        }
        start = shlex.join(["mariadbd", *(f"--{name}={value}" for name, value in options.items())])
        owner = shlex.join(["chown", "-R", "mysql:", place])
        return (f"no server was started there; give the folder to the server's account ({owner}), then run {start}",)

    def _copied(self, work: Work, files: Files, since: int) -> Written:
        """Copy what was written since a position in the log; 0 copies everything."""
        stream = _Stream(work, work.folder / STREAM)
        info = work.folder.resolve() / MESSAGES
        expected = files.bytes if since == 0 else 0
        with login(work) as (options, descriptor):
            values = {"told": info, "since": since or None, "jobs": work.params.get("jobs") or 1, "options": options}
            watched = {"drain": stream.take, "size": stream.progress, "expected": expected}
            run(work, "backup", values, secrets=[descriptor], **watched)
        begins, ends = checkpoints(info)
        if begins != since or ends < since:
            why = f"the copy covers the log from {begins} to {ends}, but should begin at {since}"
            raise full_needed(work.context, why, PHYSICAL)
        binlog = [match[1] for path in sorted(info.iterdir()) for match in _BINLOG.finditer(path.read_text("utf-8"))]
        details = {
            "from": begins,
            "files": files.incarnation,
            "settings": dict(files.settings),
            "stream_bytes": stream.bytes,
            "client": ".".join(map(str, work.clients.version("backup"))),
            "warnings": list(files.warnings),
        }
        return Written(SERVER, files.bytes, {"lsn": ends, "binlog": next(iter(binlog), None)}, details)


class _Stream:
    """The output of mariadb-backup, compressed as it is received. `bytes`: its size before compression."""

    def __init__(self, work: Work, target: Path) -> None:
        self.work, self.target, self.bytes = work, target, 0
        self.patience = round(work.context.options.lock_timeout or LOCK_WAIT) or 1

    def take(self, pipe: IO[bytes]) -> None:
        packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, threads=THREADS)
        with writing(self.target), self.target.open("wb") as file, packer.stream_writer(file) as packed:
            while block := os.read(pipe.fileno(), BLOCK):
                packed.write(block)
                self.bytes += len(block)

    def progress(self) -> int:
        """The bytes received so far. Raises BackupError when the copy waits too long for a lock.

        The program waits for up to a year, while commits of others wait behind it. Its own time limit applies to any statement
        that runs as long, whether that blocks it or not.
        """
        for row in self.work.query("waiting"):
            if row["seconds"] > self.patience:
                self.work.context.database.stop(row["session"])
                how = "find out who holds table locks (LOCK TABLES, ALTER TABLE, another backup) and try again"
                raise BackupError(
                    f"the copy has waited {self.patience} s for locks of others: {row['stage']}", hint=how
                )
        return self.bytes


def prove(work: Work, place: str, data: Path) -> None:
    """Start a server, which recovers, and let it read every table and index.

    Raises BackupError if it does not start, or finds damage.
    """
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    manifest = work.backup_store.chain(entry)[-1][1]
    control, account = scratch_server.control_of(place), scratch_server.account_of(ACCOUNTS)
    with writing(control):
        (control / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch_server.own(data, account)
    use_own(work, "server", [int(part) for part in manifest.server_version.split(".")])
    values = {"data": data, "control": control, **manifest.details["settings"]}
    ready = (control / "pid").exists
    with scratch_server.running(work, "server", values, control, account, folder=control, ready=ready):
        damaged = _damaged(work, control)
    if damaged:
        raise BackupError(f"{entry.backup_id} has damaged tables after a restore: {few(damaged)}")


def _damaged(work: Work, control: Path) -> list[str]:
    """The damage that CHECK TABLE finds in all databases."""
    # No password is needed: whoever can open the socket can read the files as well.
    url = URL("mysql", "mysql", user="root", options={"unix_socket": str(control / "socket")})
    found = []
    with (
        closing(open_database(Credentials(url))) as database,
        database.session(SessionOptions(read_only=False, lock_timeout=None, statement_timeout=None)) as session,
    ):
        session.mark(work.context.marker)
        for row in work.query("every_table", session):
            outcome = session.execute(work.statement("check_table", database, **row))
            found += [f"{row['schema']}.{row['name']}: {one.text}" for one in outcome.messages if one.level in BAD]
    return found

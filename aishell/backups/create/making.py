"""Makes a backup in a partial folder, seals it with a manifest and gives it its name; a failed one is removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from aishell.backups.store.backup_store import BackupStore, identity_of, store_of
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import FULL, BackupManifest, Fingerprint
from aishell.backups.store.repository import MANIFEST, PARTIAL, files_of, parts
from aishell.clients.clients import Clients, end_leftover
from aishell.commands import command, on
from aishell.databases.base import Database, Session, Statement
from aishell.errors import BackupError, NotAtHandError
from aishell.models import Row, Server, now
from aishell.planning.backup_rights import Lack
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: The free space required, as a multiple of the expected size of a backup.
MARGIN = 1.2
#: The option of backups that are copies of the server's files.
PHYSICAL = "--physical"


@dataclass(frozen=True)
class Written:
    """The result of writing a backup into its folder. `source_bytes`: the size of what was backed up."""

    database: str
    source_bytes: int | None = None
    position: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    prints: tuple[Fingerprint, ...] | None = None


class Maker(Protocol):
    """The part of `methods.Method` that makes a backup."""

    name: str

    def write(self, work: Work) -> Written: ...
    def increment(self, work: Work) -> Written: ...
    def read(self, work: Work, folder: Path, manifest: BackupManifest) -> None: ...


@dataclass
class Work:
    """One backup, or one restore, in the making: the tool, its parameters, and a folder of its own."""

    tool: Tool
    params: Mapping[str, Any]
    context: Context
    folder: Path = Path()
    parent: tuple[CatalogEntry, BackupManifest] | None = None

    @cached_property
    def backup_store(self) -> BackupStore:
        return store_of(self.context)

    @cached_property
    def clients(self) -> Clients:
        return Clients(self.tool, self.context, self.folder, bin_folder=self.backup_store.programs)

    @property
    def server(self) -> Server:
        """The server as last inspected. Raises BackupError if it was not."""
        server = self.context.facts.get("server")
        if not isinstance(server, Server):
            raise BackupError("the server was not inspected")
        return server

    def statement(self, block: str, database: Database | None = None, /, **values: Any) -> Statement:
        """A block of the tool rendered with the step's parameters and these values; `database`: another on the same server."""
        return render(self.tool, self.tool.blocks[block], {**self.params, **values}, database or self.context.database)

    def session_in(self, database: Database) -> Session:
        """A marked session in a database other than the target's."""
        session = database.session(self.context.options)
        session.mark(self.context.marker)
        return session

    def send(self, block: str, session: Session, /, **values: Any) -> None:
        """Send a block that changes something, recorded before it is sent. It waits for locks as long as the tool may."""
        statement = self.statement(block, **values)
        self.context.on_sent(statement, session)
        self.context.in_slices(lambda: session.execute(statement))

    def query(self, block: str, session: Session | None = None, **values: Any) -> list[Row]:
        """The rows of a block of the tool, in a read-only session of its own or in `session`."""
        statement = self.statement(block, **values)
        if session is not None:
            return self.context.in_slices(lambda: session.send(statement))
        with self.context.reading() as own:
            return own.query(statement)


def make(
    tool: Tool,
    params: Mapping[str, Any],
    context: Context,
    method: Maker,
    *,
    kind: str = FULL,
    parent: tuple[CatalogEntry, BackupManifest] | None = None,
    expected: int | None = None,
) -> dict[str, Any]:
    """Make one backup by `method`; returns the result of the step. `expected`: its bytes, by default the step's estimate.

    Raises BackupError, and what the method raises; an unfinished backup is removed.
    """
    backup_store = store_of(context)
    ending = context.claim.ending
    home = backup_store.repository.folder(context.target, str(params.get("destination") or ""))
    finished = _earlier(home, ending)
    if finished is not None:
        return _result_of(backup_store, finished, backup_store.repository.manifest(finished))
    started = now()
    backup_id = f"{started[:19].replace('-', '').replace(':', '')}Z-{kind}-{ending}"
    partial = backup_store.repository.begin(home, backup_id)
    try:
        _check_room(partial, expected_bytes(params) if expected is None else expected)
        work = Work(tool, params, context, partial, parent)
        written = method.write(work) if kind == FULL else method.increment(work)
        details = dict(written.details) | ({"parent_digest": parent[1].digest} if parent else {})
        if backup_store.recipients:
            details["recipients"] = list(backup_store.recipients)
        manifest = BackupManifest(
            backup_id=backup_id,
            kind=kind,
            method=method.name,
            engine=context.database.engine,
            product=context.database.product,
            server_version=".".join(map(str, context.database.version)),
            identity=work.server.identity,
            target=context.target,
            database=written.database,
            started_at=started,
            finished_at=now(),
            run_id=context.run_id,
            parent=parent[1].backup_id if parent else None,
            source_bytes=written.source_bytes,
            position=written.position,
            details=details,
            prints=written.prints,
            commands=tuple(work.clients.ran),
        )
        if backup_store.recipients:
            from aishell.backups.store.encryption import encrypt

            method.read(work, partial, manifest)  # afterwards it takes the key
            encrypt(parts(partial), backup_store.recipients)
        manifest = replace(manifest, files=files_of(partial, context.cancelled))
        folder = backup_store.repository.publish(partial, manifest)
    except BaseException:
        backup_store.repository.discard(partial)
        raise
    return _result_of(backup_store, folder, manifest)


def expected_bytes(params: Mapping[str, Any]) -> int:
    """The size that a step expects of its backup, in bytes; 0 where it is not known."""
    return int(params.get("expected_bytes") or 0)


def require(lack: Lack | None) -> None:
    """Raises BackupError if the role lacks a privilege for the backup, with the statements that grant it."""
    if lack is not None:
        raise BackupError(lack.reason, hint=f"an administrator can allow it: {lack.remedy}")


def inside_data_directory(home: Path, data: object) -> BackupError:
    """The error for a backup folder inside the server's data directory."""
    why = f"{home} is inside the server's data directory {data}: it would be lost with it"
    return BackupError(why, hint="set `backups:` in config/aishell.yaml to another disk")


def require_room(folder: Path, needed: int, purpose: str) -> None:
    """Raises NotAtHandError if a folder has less than `needed` bytes free, which says nothing about the backup."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        why = f"{needed:,} bytes are needed to {purpose} in {folder}, but only {free:,} are free"
        raise NotAtHandError(why, hint="free some space there")


def total(paths: Iterable[Path]) -> int:
    """The total size of files in bytes; those that disappear meanwhile are not counted."""
    size = 0
    with suppress(FileNotFoundError):
        for path in paths:
            with suppress(FileNotFoundError):
                size += path.stat().st_size
    return size


def _earlier(home: Path, ending: str) -> Path | None:
    """The backup that an earlier process of the same step finished; an unfinished one is removed, with its program."""
    found = None
    for folder in home.glob(f"*-{ending}"):
        if folder.name.startswith(PARTIAL):
            end_leftover(folder)
            shutil.rmtree(folder)
        elif not folder.name.startswith("."):
            found = folder
    return found


def _check_room(folder: Path, expected: int) -> None:
    free = shutil.disk_usage(folder).free
    if expected * MARGIN > free:
        raise BackupError(
            f"the backup is expected to take {expected:,} bytes and requires {expected * MARGIN:,.0f}, but only {free:,} are "
            f"free in {folder.parent}",
            hint=f"run `{command('backups', 'prune')}` to remove backups that no rule keeps, free space, or set `backups:` in "
            "config/aishell.yaml to a folder on a larger disk",
        )


def _result_of(backup_store: BackupStore, folder: Path, manifest: BackupManifest) -> dict[str, Any]:
    entry = backup_store.catalog.add(manifest, folder)
    backup_store.catalog.note(manifest.backup_id)
    result = {
        "backup_id": manifest.backup_id,
        "backup_path": str(folder),
        "bytes": manifest.bytes,
        "source_bytes": manifest.source_bytes,
        "rung": entry.verification_level,
        "manifest": str(folder / MANIFEST),
        "parent": manifest.parent,
        "objects": None if manifest.prints is None else len(manifest.prints),
    }
    return result | {name: list(manifest.details[name]) for name in ("warnings",) if name in manifest.details}


def parent_of(
    tool: Tool, params: Mapping[str, Any], context: Context, method: str, *options: str
) -> tuple[CatalogEntry, BackupManifest]:
    """The parent named in the parameters, else the newest verified backup of this server by the same method.

    Raises BackupError if there is none, or it is from another server: a full backup, with `options`, must be made first.
    """
    backup_store, identity = store_of(context), identity_of(context)
    if params.get("parent"):
        entry = backup_store.catalog.find(params["parent"])
    else:
        newest = _newest_by(context, method)
        if newest is None:
            raise full_needed(context, f"this database has no verified {method} backup to build on", *options)
        entry = newest
    if entry.method != method or entry.identity != identity:
        why = f"{entry.backup_id}, by {entry.method} from {entry.identity}, cannot be the parent of a backup of this server"
        raise full_needed(context, why, *options)
    if not entry.verified:
        raise full_needed(
            context, f"{entry.backup_id} is not verified: {entry.wrong or entry.verification_level}", *options
        )
    return entry, backup_store.chain(entry)[-1][1]


def full_needed(context: Context, why: str, *options: str) -> BackupError:
    """The error for an increment that cannot be made; the hint is to make a full backup, with `options`, first."""
    kind = "full physical" if PHYSICAL in options else "full"
    how = command("run", "backup", "--type", "full", *options, *on(context.target))
    return BackupError(why, hint=f"make a {kind} backup first: {how}")


def newest_by(context: Context, method: str) -> BackupManifest | None:
    """The manifest of the newest verified backup of this server by a method."""
    newest = _newest_by(context, method)
    return None if newest is None else store_of(context).repository.manifest(newest.folder)


def _newest_by(context: Context, method: str) -> CatalogEntry | None:
    identity, known = identity_of(context), store_of(context).catalog.all(context.target)
    fits = (one for one in reversed(known) if one.verified and one.identity == identity and one.method == method)
    return next(fits, None)

"""What an incremental backup is made on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aishell.backups.store.backup_store import store_of
from aishell.backups.store.catalog import CatalogEntry
from aishell.backups.store.manifest import BackupManifest
from aishell.commands import command, on
from aishell.errors import BackupError
from aishell.models import Server
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: The option of backups that are copies of the server's files.
PHYSICAL = "--physical"


def parent_of(
    tool: Tool, params: Mapping[str, Any], context: Context, method: str, *options: str
) -> tuple[CatalogEntry, BackupManifest]:
    """The parent that is named, else the newest verified backup of this very server by the same method.

    Raises BackupError where there is none, or where it is not of this server: a full backup, with `options`, comes first.
    """
    hint = full_first(context, *options)
    backup_store, server = store_of(context), context.facts.get("server")
    identity = server.identity if isinstance(server, Server) else ""
    if params.get("parent"):
        entry = backup_store.catalog.find(params["parent"])
    else:
        known = [
            e
            for e in backup_store.catalog.all(context.target)
            if e.verified and e.identity == identity and e.method == method
        ]
        if not known:
            others = any(e.verified and e.identity == identity for e in backup_store.catalog.all(context.target))
            why = f"by {method}" if others else "that is of this very database"
            raise BackupError(f"there is no verified backup of {context.target} {why}, to go on from", hint=hint)
        entry = known[-1]
    if entry.method != method or entry.identity != identity:
        raise BackupError(
            f"{entry.backup_id} is by {entry.method} of {entry.identity}: nothing can be made on it here", hint=hint
        )
    if not entry.verified:
        raise BackupError(f"{entry.backup_id} is not verified: {entry.wrong or entry.verification_level}", hint=hint)
    return entry, backup_store.chain(entry)[-1][1]


def full_first(context: Context, *options: str) -> str:
    """What to do where an increment has nothing to go on from."""
    kind = "full physical" if PHYSICAL in options else "full"
    return f"make a {kind} backup first: {command('run', 'backup', '--type', 'full', *options, *on(context.target))}"


def newest_by(context: Context, method: str) -> BackupManifest | None:
    """The manifest of the newest verified backup of this very server by a method."""
    backup_store, server = store_of(context), context.facts.get("server")
    identity = server.identity if isinstance(server, Server) else ""
    known = [
        e
        for e in backup_store.catalog.all(context.target)
        if e.verified and e.identity == identity and e.method == method
    ]
    return backup_store.repository.manifest(known[-1].folder) if known else None

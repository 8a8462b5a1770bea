"""Which backup of a target nobody has seen come back for the longest time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.backups.store.backup_store import store_of
from aishell.backups.store.catalog import CatalogEntry
from aishell.commands import command
from aishell.errors import BackupError
from aishell.models import Server
from aishell.moments import at
from aishell.running.context import Context
from aishell.state.history import last_tries


def find_unproven(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_unproven_backup`: the one whose last restore test is the longest ago. Raises BackupError where there is none."""
    backup_store, server = store_of(context), context.facts.get("server")
    identity = server.identity if isinstance(server, Server) else ""
    there = backup_store.entries(context.target)
    chosen = longest_unproven(there, identity, last_tries(backup_store.store(), context.target) if there else {})
    if chosen is None:
        others = f"; of {len(there)} in the catalog each is damaged or of another database" if there else ""
        raise BackupError(
            f"there is no backup of {context.target} to restore{others}",
            hint=f"make one: {command('run', 'backup', '--target', context.target)}",
        )
    shown = ("backup_id", "kind", "method", "started_at", "bytes", "compared_at")
    return {
        "backup": {name: getattr(chosen, name) for name in shown},
        "backup_id": chosen.backup_id,
        "reason": reason(chosen),
    }


def longest_unproven(entries: Sequence[CatalogEntry], identity: str, tried: Mapping[str, str]) -> CatalogEntry | None:
    """Of the backups of this database that may come back, one that never was restored, the oldest first; else the longest ago.

    `tried`: when a restore test of a backup last ended well. One without fingerprints proves nothing then; it has had its turn.
    """
    found = [one for one in entries if one.identity == identity and one.wrong is None and not one.replaced]
    last = {one.backup_id: max(tried.get(one.backup_id, ""), one.compared_at or "") for one in found}
    return min(found, key=lambda one: (last[one.backup_id], one.started_at), default=None)


def reason(entry: CatalogEntry) -> str:
    """Why it was chosen, in words."""
    if entry.compared_at is None:
        return f"made {at(entry.started_at)}, never restored and compared"
    return f"made {at(entry.started_at)}, last restored and compared {at(entry.compared_at)}"

"""Which backup of a target has gone without a restore for longest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from aishell.backups.catalog import Entry
from aishell.backups.methods import Method, method_of
from aishell.backups.vault import Vault, vault_of
from aishell.commands import command, on
from aishell.errors import BackupError
from aishell.registry.context import Context


def longest_unproven(entries: Iterable[Entry]) -> list[Entry]:
    """Backups that count, those first that were longest not restored and compared; one that never was counts from its making."""
    return sorted((entry for entry in entries if entry.verified), key=_since)


def find_unproven(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_unproven_backup`. Raises BackupError where no backup of the target counts."""
    vault = vault_of(context)
    entries = vault.entries(context.target)
    waiting = longest_unproven(entries)
    if not waiting:
        found = f"none of the {len(entries)} backups of {context.target} is sound" if entries else "it has no backup"
        raise BackupError(
            f"{context.target} has no backup to restore: {found}",
            hint=f"make one with {command('run', 'backup', *on(context.target))}",
        )
    # What can be restored and not be compared would be the longest unproven one for good.
    chosen = next((entry for entry in waiting if _comparable(vault, entry)), waiting[0])
    since = datetime.fromisoformat(_since(chosen))
    return {
        "backup_id": chosen.backup_id,
        "kind": chosen.kind,
        "method": chosen.method,
        "started_at": chosen.started_at,
        "compared_at": chosen.compared_at,
        "unproven_days": round((datetime.now(UTC) - since).total_seconds() / 86400, 1),
        "backups": len(waiting),
        "never_compared": sum(entry.compared_at is None for entry in waiting),
    }


def _since(entry: Entry) -> str:
    return entry.compared_at or entry.finished_at


def _comparable(vault: Vault, entry: Entry) -> bool:
    """Whether there is something to compare what is restored with, or a server that can read all of it."""
    manifest = vault.repository.manifest(entry.folder)
    return manifest.prints is not None or type(method_of(manifest.method)).proves is not Method.proves

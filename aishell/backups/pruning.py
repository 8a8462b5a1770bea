"""Removes what retention lets go, and says why the rest stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from aishell.backups.catalog import Entry
from aishell.backups.retention import Decision, Kept, Rules, decide
from aishell.backups.vault import Vault, vault_of
from aishell.errors import ParameterError, UnknownNameError
from aishell.registry.context import Context

#: Backups that may go in one run, unless the rules say another number: a mistake in them is seen before all is gone.
AT_MOST = 20


def rules_of(given: Mapping[str, Any]) -> Rules:
    """Raises UnknownNameError or ParameterError for a rule that is not one."""
    known = {field.name for field in fields(Rules)}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("retention rule", name, known)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise ParameterError(f"the retention rule {name} is {value!r}, not a number from 0 on")
    return Rules(**{"at_most": AT_MOST, **given})


def decisions(vault: Vault, target: str | None, rules: Rules, now: datetime) -> list[Decision]:
    """What retention says of every backup of a target, or of all. Frozen where the newest one is not sound."""
    entries = vault.catalog.all(target)
    by_target: dict[str, list[Entry]] = {}
    for entry in entries:
        by_target.setdefault(entry.target, []).append(entry)
    found = []
    for mine in by_target.values():
        newest = mine[-1]
        frozen = None if newest.verified else f"the newest backup, {newest.backup_id}, is not verified"
        found += decide(map(_kept, mine), rules, now, frozen=frozen)
    return found


def remove(vault: Vault, chosen: Sequence[Decision]) -> list[str]:
    """Remove what may go, what rests on others first; the catalog forgets each once it is gone."""
    removed = []
    for decision in sorted((d for d in chosen if d.goes), key=lambda d: d.backup.at, reverse=True):
        entry = vault.catalog.find(decision.backup.backup_id)
        vault.repository.remove(entry.folder)
        vault.catalog.forget([entry.backup_id])
        removed.append(entry.backup_id)
    return removed


def cleanup(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`cleanup_old_backups`: of this target, by the rules given."""
    vault = vault_of(context)
    chosen = decisions(vault, context.target, rules_of(params["retention"]), datetime.now(UTC))
    removed = remove(vault, chosen)
    return {
        "removed": removed,
        "removed_bytes": sum(one.backup.bytes for one in chosen if one.backup.backup_id in removed),
        "kept": [{"backup_id": d.backup.backup_id, "rules": list(d.rules) or [d.waits]} for d in chosen if not d.goes],
    }


def find_last(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_last_backup`: the newest verified backup of this very server."""
    server = context.facts.get("server")
    identity = getattr(server, "identity", "")
    entry = vault_of(context).newest(context.target, identity, kind=params.get("kind"))
    if entry is None:
        return {"backup": None}
    shown = ("backup_id", "kind", "method", "started_at", "bytes", "rung", "parent", "path")
    return {"backup": {name: getattr(entry, name) for name in shown}}


def _kept(entry: Entry) -> Kept:
    return Kept(
        backup_id=entry.backup_id,
        group=f"{entry.target} {entry.identity} {entry.database}",
        kind=entry.kind,
        at=datetime.fromisoformat(entry.started_at),
        parent=entry.parent,
        bytes=entry.bytes,
        verified=entry.verified,
        compared=entry.compared_at is not None and entry.problem is None,
        pinned=entry.pinned,
    )

"""Removes what retention lets go, and says why the rest stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from aishell.backups.catalog import GONE, Entry
from aishell.backups.repository import TRASH, folder_name
from aishell.backups.retention import Decision, Kept, Rules, decide
from aishell.backups.vault import Vault, vault_of
from aishell.errors import BackupError, ParameterError, UnknownNameError
from aishell.models import Server
from aishell.registry.context import Context
from aishell.state.history import last_failure

#: Backups that may go in one run, unless the rules say another number: a mistake in them is seen before all is gone.
AT_MOST = 20
_MAKES = ("backup_database_full", "backup_database_incremental")


def rules_of(given: Mapping[str, Any]) -> Rules:
    """Raises UnknownNameError or ParameterError for a rule that is not one."""
    known = {field.name for field in fields(Rules)}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("retention rule", name, known)
        whole = isinstance(value, int) or (name == "days" and isinstance(value, float) and isfinite(value))
        if not whole or isinstance(value, bool) or value < 0:
            kind = "a number" if name == "days" else "a whole number"
            raise ParameterError(f"the retention rule {name} is {value!r}, not {kind} from 0 on")
    return Rules(**{"at_most": AT_MOST, **given})


def decisions(
    vault: Vault, target: str | None, rules: Rules, now: datetime, *, despite_failure: bool = False
) -> list[Decision]:
    """What retention says of every backup of a target, or of all, the newest first.

    Nothing goes while the newest backup of a target is not sound, or the last one that was begun failed, unless that is said to
    be no reason: then there may be no room for another one.
    """
    entries = vault.entries()
    by_id = {entry.backup_id: entry for entry in entries}
    stopped = {} if despite_failure else _stopped(vault, entries)

    def frozen(backup: Kept) -> str | None:
        entry = by_id[backup.backup_id]
        return stopped.get(entry.target) if entry.folder.is_dir() else GONE

    return decide(
        map(_kept, entries),
        rules,
        now,
        asked=lambda backup: target in (None, by_id[backup.backup_id].target),
        frozen=frozen,
    )


def remove(vault: Vault, chosen: Sequence[Decision], told: Callable[[Entry], None] = lambda entry: None) -> list[str]:
    """Remove what may go, what rests on others first; `told` hears of each before it goes.

    A backup loses its name, then its place in the catalog, and is deleted last: whenever that is cut off, it is there whole or
    not at all, and `finish` does the rest.
    """
    removed = []
    for decision in sorted((d for d in chosen if d.goes), key=lambda d: d.turn or 0):
        entry = vault.catalog.find(decision.backup.backup_id)
        if entry.folder.name != entry.backup_id:
            raise BackupError(f"{entry.folder} has another name than {entry.backup_id}: it was not removed")
        told(entry)
        trash = vault.repository.discredit(entry.folder)
        vault.catalog.forget([entry.backup_id])
        vault.repository.delete(trash)
        removed.append(entry.backup_id)
    return removed


def finish(vault: Vault, target: str) -> list[str]:
    """Finish the removals of a target that were cut off; the ids of those backups."""
    finished = []
    for trash in vault.repository.trash():
        if trash.parent.name != folder_name(target):
            continue
        backup_id = trash.name.removeprefix(TRASH)
        vault.catalog.forget([backup_id])
        vault.repository.delete(trash)
        finished.append(backup_id)
    return finished


def cleanup(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`cleanup_old_backups`: of this target, by the rules given."""
    vault = vault_of(context)
    finished = finish(vault, context.target)
    chosen = decisions(vault, context.target, rules_of(params["retention"]), datetime.now(UTC))
    removed = remove(vault, chosen)
    return {
        "removed": [*finished, *removed],
        "removed_bytes": sum(one.backup.bytes for one in chosen if one.backup.backup_id in removed),
        "kept": [{"backup_id": d.backup.backup_id, "rules": reasons(d)} for d in chosen if not d.goes],
    }


def reasons(decision: Decision) -> list[str]:
    """Why a backup stays; nothing for one that goes."""
    return [*decision.rules, *([decision.waits] if decision.waits else [])]


def find_last(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_last_backup`: the newest verified backup of this very server."""
    server = context.facts.get("server")
    identity = server.identity if isinstance(server, Server) else ""
    entry = vault_of(context).newest(context.target, identity, kind=params.get("kind"))
    if entry is None:
        return {"backup": None}
    shown = ("backup_id", "kind", "method", "started_at", "bytes", "rung", "parent", "path")
    return {"backup": {name: getattr(entry, name) for name in shown}}


def _stopped(vault: Vault, entries: Sequence[Entry]) -> dict[str, str]:
    """Target -> why none of its backups may go now."""
    newest = {entry.target: entry for entry in entries}
    stopped = {}
    for target, entry in newest.items():
        failed = last_failure(vault.store(), target, _MAKES)
        if failed is not None:
            stopped[target] = f"the last backup failed (run {failed[0][:8]})"
        elif not entry.verified:
            stopped[target] = f"the newest backup, {entry.backup_id}, is not verified"
    return stopped


def _kept(entry: Entry) -> Kept:
    at = datetime.fromisoformat(entry.started_at)
    return Kept(
        backup_id=entry.backup_id,
        group=f"{entry.target} {entry.identity} {entry.database}",
        kind=entry.kind,
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        parent=entry.parent,
        bytes=entry.bytes,
        verified=entry.verified,
        damaged=entry.problem is not None,
        compared=entry.compared,
        pinned=entry.pinned,
    )

"""Removes backups that retention does not keep, and reports why the others are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.methods import keeps_elsewhere, method_of
from aishell.backups.store.backup_store import BackupStore, identity_of, store_of
from aishell.backups.store.catalog import GONE, CatalogEntry, as_keys
from aishell.backups.store.manifest import BackupManifest
from aishell.backups.store.repository import TRASH
from aishell.backups.store.retention import RetentionDecision, RetentionRules, decide
from aishell.backups.verify.checking import working
from aishell.commands import command
from aishell.errors import BackupError, NotAtHandError, ParameterError, UnknownNameError
from aishell.files import folder_name
from aishell.moments import at
from aishell.registry.tool import Tool
from aishell.running.context import Context
from aishell.state.history import last_failure, last_tries

#: Backups removed in one run, by default: a mistake in the rules is noticed before all are gone.
AT_MOST = 20
_MAKES = ("backup_database_full", "backup_database_incremental", "backup_cluster", "backup_pgbackrest")

#: Opens a `Work` that runs the programs of the tool that removes backups.
WorkOf = Callable[[BackupManifest], AbstractContextManager[Work]]


def without_programs(manifest: BackupManifest) -> AbstractContextManager[Work]:
    """Raises BackupError, for a backup that only a program can remove."""
    how = f"run {command('backups', 'prune', '--target', manifest.target)}, which removes all of it"
    raise BackupError(
        f"{manifest.backup_id} has data outside its folder, which only its own program can remove", hint=how
    )


def rules_of(given: Mapping[str, Any]) -> RetentionRules:
    """Raises UnknownNameError or ParameterError for an invalid rule."""
    known = {field.name for field in fields(RetentionRules)}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError("retention rule", name, known)
        whole = isinstance(value, int) or (name == "days" and isinstance(value, float) and isfinite(value))
        if not whole or isinstance(value, bool) or value < 0:
            kind = "a number" if name == "days" else "a whole number"
            raise ParameterError(f"the retention rule {name} is {value!r}, not {kind} of at least 0")
    return RetentionRules(**{"at_most": AT_MOST, **given})


def decisions(
    backup_store: BackupStore,
    target: str | None,
    rules: RetentionRules,
    now: datetime,
    *,
    despite_failure: bool = False,
) -> list[RetentionDecision]:
    """The retention decision on every backup of a target, or of all targets, the newest first.

    Nothing is removed while the newest backup of a target is not verified, or its last backup failed, unless `despite_failure`:
    the failure may be due to lack of space.
    """
    entries = backup_store.entries()
    stopped = {} if despite_failure else _stopped(backup_store, entries)
    return decide(
        entries,
        rules,
        now,
        selected=lambda entry: target in (None, entry.target),
        frozen=lambda entry: stopped.get(entry.target) if entry.folder.is_dir() else GONE,
    )


def remove(
    backup_store: BackupStore,
    chosen: Sequence[RetentionDecision],
    report: Callable[[CatalogEntry], None] = lambda entry: None,
    work_of: WorkOf = without_programs,
) -> list[str]:
    """Remove the backups that may go, dependents first; `report` is called before each. Returns their ids.

    A backup is renamed to trash, then removed from the catalog, and deleted last: if that is interrupted, it exists whole or
    not at all, and `finish` completes the removal.
    """
    removed = []
    for decision in sorted((d for d in chosen if d.goes), key=lambda d: d.turn or 0):
        entry = backup_store.catalog.find(decision.backup.backup_id)
        _require_own(backup_store, entry)
        _release(backup_store, entry.folder, work_of, check_only=True)
        report(entry)
        finish_removal(backup_store, backup_store.repository.move_to_trash(entry.folder), work_of)
        removed.append(entry.backup_id)
    return removed


def finish_removal(backup_store: BackupStore, trash: Path, work_of: WorkOf) -> str:
    """Remove a backup in the trash from the catalog, then its data elsewhere and its folder. Returns its id."""
    backup_id = trash.name.removeprefix(TRASH)
    backup_store.catalog.forget([backup_id])
    _release(backup_store, trash, work_of, check_only=False)
    backup_store.repository.delete(trash)
    return backup_id


def finish(backup_store: BackupStore, target: str, work_of: WorkOf = without_programs) -> list[str]:
    """Complete the interrupted removals of a target. Returns the ids of those backups."""
    left = [trash for trash in backup_store.repository.trash() if trash.parent.name == folder_name(target)]
    return [finish_removal(backup_store, trash, work_of) for trash in left]


def cleanup_postgresql(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`cleanup_old_backups`, with the program for backups in a repository of its own."""
    return cleanup(params, context, lambda manifest: working(tool, params, context))


def cleanup(params: Mapping[str, Any], context: Context, work_of: WorkOf = without_programs) -> dict[str, Any]:
    """`cleanup_old_backups` of this target, by the given rules."""
    backup_store = store_of(context)
    finished = finish(backup_store, context.target, work_of)
    chosen = decisions(backup_store, context.target, rules_of(params["retention"]), datetime.now(UTC))
    removed = remove(backup_store, chosen, work_of=work_of)
    return {
        "removed": [*finished, *removed],
        "removed_bytes": sum(one.backup.bytes for one in chosen if one.backup.backup_id in removed),
        "kept": [{"backup_id": d.backup.backup_id, "rules": reasons(d)} for d in chosen if not d.goes],
    }


def reasons(decision: RetentionDecision) -> list[str]:
    """Why a backup is kept; empty for one that is removed."""
    return [*decision.rules, *([decision.waits] if decision.waits else [])]


def find_last(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_last_backup`: the newest verified backup of this server."""
    entry = store_of(context).newest(context.target, identity_of(context), kind=params.get("kind"))
    if entry is None:
        return {"backup": None}
    shown = ("backup_id", "kind", "method", "started_at", "bytes", "verification_level", "parent", "path")
    return {"backup": as_keys({name: getattr(entry, name) for name in shown})}


def _release(backup_store: BackupStore, folder: Path, work_of: WorkOf, *, check_only: bool) -> None:
    """Remove the data of a backup outside its folder, or only check whether that is possible."""
    try:
        manifest = backup_store.repository.manifest(folder)
    except NotAtHandError:
        raise
    except BackupError:
        return  # what it has elsewhere is no longer known
    if keeps_elsewhere(manifest.method):
        with work_of(manifest) as work:
            method_of(manifest.method).release(work, manifest, check_only=check_only)


def _require_own(backup_store: BackupStore, entry: CatalogEntry) -> None:
    """Raises BackupError if a backup's folder contains another backup, as when folders were exchanged."""
    if entry.folder.name != entry.backup_id:
        raise BackupError(f"{entry.folder} is not named {entry.backup_id} and was not removed")
    try:
        found = backup_store.repository.manifest(entry.folder).backup_id
    except BackupError:
        return  # damaged, and removed as what it was
    if found != entry.backup_id:
        how = "move every backup back to the folder with its name"
        raise BackupError(f"{entry.folder} contains {found} and was not removed", hint=how)


def _stopped(backup_store: BackupStore, entries: Sequence[CatalogEntry]) -> dict[str, str]:
    """Target -> why none of its backups may be removed now."""
    newest = {entry.target: entry for entry in entries}
    stopped = {}
    for target, entry in newest.items():
        failed = last_failure(backup_store.store(), target, _MAKES)
        if failed is not None:
            stopped[target] = f"the last backup failed (run {failed[0][:8]})"
        elif not entry.verified:
            stopped[target] = f"the newest backup, {entry.backup_id}, is not verified"
    return stopped


def find_unproven(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`find_unproven_backup`: the backup with the oldest restore test, or none. Raises BackupError if there are no backups."""
    backup_store, identity = store_of(context), identity_of(context)
    there = backup_store.entries(context.target)
    chosen = longest_unproven(there, identity, last_tries(backup_store.store(), context.target) if there else {})
    if chosen is None:
        others = f"; the {len(there)} in the catalog are damaged or of another database" if there else ""
        how = f"make one: {command('run', 'backup', '--target', context.target)}"
        raise BackupError(f"there is no backup of {context.target} to restore{others}", hint=how)
    shown = ("backup_id", "kind", "method", "started_at", "bytes", "compared_at")
    return {
        "backup": {name: getattr(chosen, name) for name in shown},
        "backup_id": chosen.backup_id,
        "reason": reason(chosen),
    }


def longest_unproven(entries: Sequence[CatalogEntry], identity: str, tried: Mapping[str, str]) -> CatalogEntry | None:
    """The oldest undamaged backup of this database that was never restored; else the one restored the longest ago.

    `tried`: backup id -> when a restore test of it last succeeded, which for one without fingerprints proves nothing.
    """
    found = [one for one in entries if one.identity == identity and one.wrong is None and not one.replaced]
    last = {one.backup_id: max(tried.get(one.backup_id, ""), one.compared_at or "") for one in found}
    return min(found, key=lambda one: (last[one.backup_id], one.started_at), default=None)


def reason(entry: CatalogEntry) -> str:
    """The reason why a backup was chosen, as text."""
    if entry.compared_at is None:
        return f"made {at(entry.started_at)}, never restored and compared"
    return f"made {at(entry.started_at)}, last restored and compared {at(entry.compared_at)}"

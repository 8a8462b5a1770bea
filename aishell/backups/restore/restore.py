"""Restores a backup into a new place, verified before and compared with its fingerprints on request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.methods import Chain, Method, method_class, method_of
from aishell.backups.store.backup_store import identity_of, store_of
from aishell.backups.store.catalog import COMPARED
from aishell.backups.store.encryption import decrypted
from aishell.backups.store.manifest import FULL, BackupManifest, Fingerprint
from aishell.backups.verify.checking import check, few, working
from aishell.commands import command, on
from aishell.databases.base import Statement
from aishell.errors import BackupError, DatabaseError, NotAtHandError, NotTakenError
from aishell.registry.render import foreseen_program
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: Messages of programs and servers for a full disk, which says nothing about the backup.
_DISK_FULL = re.compile(r"No space left on device|The table .* is full|database or disk is full")


def restore(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`restore_backup`: restore a backup into a new place.

    Raises BackupError when the restored data differs from the backup; the place is kept for examination.
    """
    with working(tool, params, context) as work:
        entry = work.backup_store.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        place = params["place"]
        method = method_of(entry.method)
        try:
            with decrypted(work.backup_store, work.folder, chain) as readable:
                method.restore(work, readable, place, until=params.get("until"), tables=params.get("only") or ())
        except NotTakenError as error:
            # Another server may reject a backup for reasons of its own.
            if entry.identity == identity_of(context) and not (params.get("until") or params.get("only")):
                work.backup_store.catalog.differed(entry.backup_id, f"it was not restored: {error.message}")
            raise
        # Fingerprints are of the whole backup at its own moment.
        whole = params.get("compare") and not params.get("until") and not params.get("only")
        expected = chain[-1][1].prints if whole else None
        if expected is not None:
            wanted = method.comparable(work, expected)
            # A difference has to be found twice.
            if differences(wanted, method.fingerprints(work, place)) and (
                found := differences(wanted, method.fingerprints(work, place))
            ):
                raise BackupError(f"{place} was restored and differs from the backup: {few(found)}")
        return {
            "backup_id": entry.backup_id,
            "place": place,
            "identity": method.identity(work, place),
            "compared": expected is not None,
            "differences": [],
            "notes": list(method.notes(place, chain[-1][1])),
        }


def restore_test(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`restore_test`: restore into scratch, compare object by object with the fingerprints, and drop it again.

    A failed test is repeated once, since its cause may be passing. Raises BackupError if it fails again: the backup then no
    longer counts, and is kept as long as it can be read.
    """
    with working(tool, params, context) as work:
        entry = work.backup_store.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        try:
            compared = _restore_and_compare(work, chain)
        except NotAtHandError:
            raise
        except BackupError as first:
            context.progress(0, 0, f"restoring it again: {first.message}")
            try:
                compared = _restore_and_compare(work, chain)
            except NotAtHandError:
                raise
            except BackupError as error:
                if not _DISK_FULL.search(error.message):
                    work.backup_store.catalog.differed(entry.backup_id, error.message)
                raise
        if compared is not None:
            work.backup_store.catalog.proven(entry.backup_id, COMPARED)
        level = work.backup_store.catalog.find(entry.backup_id).verification_level
        return {"backup_id": entry.backup_id, "compared": compared or 0, "differences": [], "rung": level}


def foresee(tool: Tool, params: Mapping[str, Any], context: Context) -> list[Statement]:
    """The programs that a restore will run: those of the backup's method."""
    entry = store_of(context).catalog.find(params["backup_id"])
    kind = method_class(entry.method)
    used = kind.programs - (kind.on_increments if entry.kind == FULL else frozenset())
    programs = {name: words for name, words in tool.programs.items() if words[0] in used}
    return foreseen_program(replace(tool, programs=programs), params, context.database)


def _restore_and_compare(work: Work, chain: Chain) -> int | None:
    """Restore the last backup of a chain into scratch and drop it again; returns the number of objects compared.

    None if the backup has no fingerprints and no server could read everything. Raises BackupError if the restore fails, or
    the restored data differs.
    """
    manifest = chain[-1][1]
    method, place = method_of(manifest.method), work.context.claim.scratch
    method.drop(work, place)  # left by a killed attempt of this run
    try:
        with decrypted(work.backup_store, work.folder, chain) as readable:
            method.restore(work, readable, place, until=None, tables=())
        if manifest.prints is None:
            return 0 if method.proves(work, place) else None
        found = method.fingerprints(work, place)
        different = differences(method.comparable(work, manifest.prints), found)
    finally:
        method.drop(work, place)
    if different:
        raise BackupError(f"restored data of {manifest.backup_id} differs: {few(different)}")
    return len(found)


def differences(expected: Sequence[Fingerprint], found: Sequence[Fingerprint]) -> list[str]:
    """The objects that are missing, new or changed, as texts."""
    before = {(one.kind, one.name): one for one in expected}
    after = {(one.kind, one.name): one for one in found}
    texts = [f"{kind} {name} is missing" for kind, name in sorted(before.keys() - after.keys())]
    texts += [f"{kind} {name} is not in the backup" for kind, name in sorted(after.keys() - before.keys())]
    for key in sorted(before.keys() & after.keys()):
        old, new = before[key], after[key]
        if old.rows != new.rows:
            texts.append(f"{' '.join(key)} has {new.rows} rows instead of {old.rows}")
        elif old.hash != new.hash:
            texts.append(f"{' '.join(key)} differs")
    return texts


def restored(work: Work) -> tuple[Method, BackupManifest, BackupManifest]:
    """The method of the restored backup, the manifest of the full backup it depends on, and its own."""
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    chain = work.backup_store.chain(entry)
    return method_of(entry.method), chain[0][1], chain[-1][1]


def restart_hint(work: Work) -> str:
    """The hint to start the restore again."""
    again = command("backups", "restore", work.params["backup_id"], "--in-place", *on(work.context.target))
    return f"start again: {again}"


def stop_hint(work: Work) -> str:
    """The hint when other sessions use the database."""
    return f"stop the application, then {command('runs', 'resume', work.context.run_id[:8])}"


def require_safety(work: Work) -> None:
    """Raises BackupError if the backup of the database that is about to be replaced is not (or no longer) verified."""
    name = work.params["safety"]
    if name is None:
        return
    entry = work.backup_store.catalog.find(name)
    if not entry.verified or entry.identity != work.server.identity:
        why = f"{name} is not a verified backup of this database: {entry.wrong or entry.verification_level}"
        raise BackupError(why, hint=restart_hint(work))


def expected(work: Work, manifest: BackupManifest) -> tuple[Fingerprint, ...] | None:
    """The fingerprints to compare the place with; None if no comparison was requested. Raises BackupError without any."""
    if not work.params["compare"]:
        return None
    if manifest.prints is None:
        raise BackupError(f"{manifest.backup_id} was made without fingerprints: there is nothing to compare with")
    return manifest.prints


def require_same(work: Work, method: Method, manifest: BackupManifest, place: str) -> bool:
    """Compare a place with the backup's fingerprints, if requested; whether it was.

    Raises BackupError naming the differences: the place may have been written to since it was restored.
    """
    prints = expected(work, manifest)
    if prints is None:
        return False
    different = differences(method.comparable(work, prints), method.fingerprints(work, place))
    if different:
        raise BackupError(f"{place} differs from the backup, and nothing was replaced: {few(different)}")
    return True


@contextmanager
def nothing_replaced() -> Iterator[None]:
    """Add to errors raised within that nothing was replaced, unless a connection was lost, when that is not known."""
    try:
        yield
    except (BackupError, DatabaseError) as error:
        lost = isinstance(error, DatabaseError) and error.kind == "connection_lost"
        if not lost and "nothing was replaced" not in error.message:
            error.message += "; nothing was replaced"
            error.args = (error.message,)
        raise


def outcome(work: Work, *, compared: bool, kept: str | None, removal: str | None, **more: Any) -> dict[str, Any]:
    """The result of `replace_database`."""
    named = {name: work.params[name] for name in ("backup_id", "database")}
    return {**named, "kept": kept, "removal": removal, "compared": compared, "ended": [], "notes": [], **more}

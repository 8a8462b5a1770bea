"""Puts a backup back: checked before, into a new place, and compared with what the backup saw when that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aishell.backups.create.making import Work
from aishell.backups.methods import Chain, Method, kind_of, method_of
from aishell.backups.store.backup_store import identity_of, store_of
from aishell.backups.store.catalog import COMPARED
from aishell.backups.store.encryption import opened
from aishell.backups.store.manifest import FULL, BackupManifest, Fingerprint
from aishell.backups.verify.checking import check, few, working
from aishell.commands import command, on
from aishell.databases.base import Statement
from aishell.errors import BackupError, DatabaseError, NotAtHandError, NotTakenError
from aishell.registry.render import foreseen_program
from aishell.registry.tool import Tool
from aishell.running.context import Context

#: How the programs and servers say that a disk is full: it says nothing of the backup.
_NO_ROOM = re.compile(r"No space left on device|The table .* is full|database or disk is full")


def restore(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`restore_backup`: a backup into a place of its own.

    Raises BackupError when what was restored is not what the backup saw; it stays there, to be looked at.
    """
    with working(tool, params, context) as work:
        entry = work.backup_store.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        place = params["place"]
        method = method_of(entry.method)
        try:
            with opened(work.backup_store, work.folder, chain) as readable:
                method.restore(work, readable, place, until=params.get("until"), tables=params.get("only") or ())
        except NotTakenError as error:
            # Another server may not take a backup for reasons of its own.
            if entry.identity == identity_of(context) and not (params.get("until") or params.get("only")):
                work.backup_store.catalog.differed(entry.backup_id, f"it was not restored: {error.message}")
            raise
        # A part of a backup, or a later moment, is not what its fingerprints are of.
        whole = params.get("compare") and not params.get("until") and not params.get("only")
        expected = chain[-1][1].prints if whole else None
        if expected is not None:
            wanted = method.comparable(work, expected)
            # Where it differs it is looked at once more.
            if differences(wanted, method.prints(work, place)) and (
                found := differences(wanted, method.prints(work, place))
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
    """`restore_test`: into scratch, compared object by object with what the backup saw, and taken away again.

    Where that fails it is done once more: what was in the way once is not the backup's. Raises BackupError when it does not come
    back as it was the second time either: then the backup counts for nothing, and is kept as long as it reads whole.
    """
    with working(tool, params, context) as work:
        entry = work.backup_store.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        try:
            compared = _came_back(work, chain)
        except NotAtHandError:
            raise
        except BackupError as first:
            context.progress(0, 0, f"restoring it again: {first.message}")
            try:
                compared = _came_back(work, chain)
            except NotAtHandError:
                raise
            except BackupError as error:
                if not _NO_ROOM.search(error.message):
                    work.backup_store.catalog.differed(entry.backup_id, error.message)
                raise
        if compared is not None:
            work.backup_store.catalog.proven(entry.backup_id, COMPARED)
        level = work.backup_store.catalog.find(entry.backup_id).verification_level
        return {"backup_id": entry.backup_id, "compared": compared or 0, "differences": [], "rung": level}


def foresee(tool: Tool, params: Mapping[str, Any], context: Context) -> list[Statement]:
    """What a restore will run: the programs of the method that the backup was made by."""
    entry = store_of(context).catalog.find(params["backup_id"])
    kind = kind_of(entry.method)
    used = kind.programs - (kind.on_increments if entry.kind == FULL else frozenset())
    programs = {name: words for name, words in tool.programs.items() if words[0] in used}
    return foreseen_program(replace(tool, programs=programs), params, context.database)


def _came_back(work: Work, chain: Chain) -> int | None:
    """Restore the last of a chain into scratch, which goes again: how many objects came back as they were.

    None where the backup has nothing to compare with, and no server could read all that came back. Raises BackupError where it
    does not come back as it was, or does not come back.
    """
    manifest = chain[-1][1]
    method, place = method_of(manifest.method), work.context.claim.scratch
    method.drop(work, place)  # what a killed attempt of this run left
    try:
        with opened(work.backup_store, work.folder, chain) as readable:
            method.restore(work, readable, place, until=None, tables=())
        if manifest.prints is None:
            return 0 if method.proves(work, place) else None
        found = method.prints(work, place)
        different = differences(method.comparable(work, manifest.prints), found)
    finally:
        method.drop(work, place)
    if different:
        raise BackupError(f"restored data of {manifest.backup_id} differs: {few(different)}")
    return len(found)


def differences(expected: Sequence[Fingerprint], found: Sequence[Fingerprint]) -> list[str]:
    """What is missing, new or changed, in words."""
    before = {(one.kind, one.name): one for one in expected}
    after = {(one.kind, one.name): one for one in found}
    told = [f"{kind} {name} is missing" for kind, name in sorted(before.keys() - after.keys())]
    told += [f"{kind} {name} was not there" for kind, name in sorted(after.keys() - before.keys())]
    for key in sorted(before.keys() & after.keys()):
        old, new = before[key], after[key]
        if old.rows != new.rows:
            told.append(f"{' '.join(key)} has {new.rows} rows instead of {old.rows}")
        elif old.hash != new.hash:
            told.append(f"{' '.join(key)} is different")
    return told


def restored(work: Work) -> tuple[Method, BackupManifest, BackupManifest]:
    """The method of the backup that was restored, the manifest of the first it rests on, and its own."""
    entry = work.backup_store.catalog.find(work.params["backup_id"])
    chain = work.backup_store.chain(entry)
    return method_of(entry.method), chain[0][1], chain[-1][1]


def anew(work: Work) -> str:
    """The hint to start the restore again."""
    again = command("backups", "restore", work.params["backup_id"], "--in-place", *on(work.context.target))
    return f"begin anew: {again}"


def stop_first(work: Work) -> str:
    """The hint where other sessions use the database."""
    return f"stop the application, then {command('runs', 'resume', work.context.run_id[:8])}"


def require_safety(work: Work) -> None:
    """Raises BackupError where the backup of what is about to be replaced does not count as one (any more)."""
    name = work.params["safety"]
    if name is None:
        return
    entry = work.backup_store.catalog.find(name)
    if not entry.verified or entry.identity != work.server.identity:
        why = f"{name} is not a verified backup of this database: {entry.wrong or entry.verification_level}"
        raise BackupError(why, hint=f"{anew(work)}, and makes another")


def expected(work: Work, manifest: BackupManifest) -> tuple[Fingerprint, ...] | None:
    """The fingerprints to compare the place with; None if no comparison was requested."""
    if not work.params["compare"]:
        return None
    if manifest.prints is None:
        raise BackupError(f"{manifest.backup_id} was made without fingerprints: there is nothing to compare with")
    return manifest.prints


def refuse_other(work: Work, method: Method, manifest: BackupManifest, place: str) -> bool:
    """Compare a place with what the backup saw, if that is asked for; whether it was.

    Raises BackupError naming what differs: it may have been written to since it was restored.
    """
    prints = expected(work, manifest)
    if prints is None:
        return False
    different = differences(method.comparable(work, prints), method.prints(work, place))
    if different:
        raise BackupError(f"{place} differs from the backup, and nothing was replaced: {few(different)}")
    return True


@contextmanager
def nothing_replaced() -> Iterator[None]:
    """What fails in here has replaced nothing, and its error says so; where a connection was lost that is not known."""
    try:
        yield
    except (BackupError, DatabaseError) as error:
        lost = isinstance(error, DatabaseError) and error.kind == "connection_lost"
        if not lost and "nothing was replaced" not in error.message:
            error.message += "; nothing was replaced"
            error.args = (error.message,)
        raise


def outcome(work: Work, *, compared: bool, kept: str | None, removal: str | None, **more: Any) -> dict[str, Any]:
    """What `replace_database` returns."""
    named = {name: work.params[name] for name in ("backup_id", "database")}
    return {**named, "kept": kept, "removal": removal, "compared": compared, "ended": [], "notes": [], **more}

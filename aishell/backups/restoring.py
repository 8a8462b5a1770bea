"""Puts a backup back: checked before, into a new place, and compared with what the backup saw when that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.backups.catalog import COMPARED
from aishell.backups.checking import check, few, working
from aishell.backups.encryption import opened
from aishell.backups.manifest import Print
from aishell.backups.methods import method_of
from aishell.errors import BackupError
from aishell.registry.context import Context
from aishell.registry.tool import Tool


def restore(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`restore_backup`: a backup into a place of its own.

    Raises BackupError when what was restored is not what the backup saw; it stays there, to be looked at.
    """
    with working(tool, params, context) as work:
        entry = work.vault.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        place = params["place"]
        method = method_of(entry.method)
        with opened(work.vault, work.folder, chain) as readable:
            method.restore(work, readable, place, until=params.get("until"), tables=params.get("only") or ())
        # A part of a backup, or a later moment, is not what its fingerprints are of.
        whole = params.get("compare") and not params.get("until") and not params.get("only")
        found, expected = method.prints(work, place) if whole else None, chain[-1][1].prints
        compared = None
        if found is not None and expected is not None:
            compared = differences(method.comparable(work, expected), found)
        if compared:
            raise BackupError(f"{place} was restored and is not what the backup saw: {few(compared)}")
        return {
            "backup_id": entry.backup_id,
            "place": place,
            "identity": method.identity(work, place),
            "compared": compared is not None,
            "differences": [],
            "notes": list(method.notes(place, chain[-1][1])),
        }


def restore_test(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`restore_test`: into scratch, compared object by object with what the backup saw, and taken away again.

    Raises BackupError when it does not come back as it was: then the backup counts for nothing.
    """
    with working(tool, params, context) as work:
        entry = work.vault.catalog.find(params["backup_id"])
        chain = check(work, entry, again=False)
        method, expected = method_of(entry.method), chain[-1][1].prints
        place = f"aishell_scratch_{context.run_id[:8]}"
        method.drop(work, place)  # what a killed attempt of this run left
        try:
            with opened(work.vault, work.folder, chain) as readable:
                method.restore(work, readable, place, until=None, tables=())
            found = method.prints(work, place)
        finally:
            method.drop(work, place)
        if expected is None:
            return {
                "backup_id": entry.backup_id,
                "compared": 0,
                "differences": [],
                "rung": work.vault.catalog.find(entry.backup_id).rung,
            }
        different = differences(method.comparable(work, expected), found)
        if different:
            told = few(different)
            work.vault.catalog.failed(entry.backup_id, f"it does not come back as it was: {told}")
            raise BackupError(f"{entry.backup_id} does not come back as it was: {told}")
        rung = work.vault.proven(entry.backup_id, COMPARED).rung
        return {"backup_id": entry.backup_id, "compared": len(found), "differences": [], "rung": rung}


def differences(expected: Sequence[Print], found: Sequence[Print]) -> list[str]:
    """What is missing, new or other than it was, in words."""
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

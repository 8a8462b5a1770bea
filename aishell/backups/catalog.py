"""The backups that `state.db` knows of, and how far each was proven. It can be made again from the manifests alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aishell.backups.manifest import FULL, Manifest
from aishell.errors import NotAtHandError, UnknownNameError
from aishell.models import now
from aishell.state.connection import Record, marks
from aishell.state.store import Store

#: How far a backup was proven, each step including those before it.
RUNGS = ("written", "checksummed", "readable", "restored-and-compared")
WRITTEN, CHECKSUMMED, VERIFIED, COMPARED = RUNGS
GONE = "its folder is not there"


@dataclass(frozen=True)
class Standing:
    """How far a backup was proven, and what is kept of it beside the manifest. `copies`: second places that have it."""

    rung: str = WRITTEN
    rung_at: str | None = None
    compared_at: str | None = None
    problem: str | None = None
    pinned: bool = False
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A backup in the catalog. `problem`: what the last look at it found wrong, or what is wrong with those it rests on."""

    backup_id: str
    target: str
    identity: str
    engine: str
    kind: str
    method: str
    parent: str | None
    database: str
    started_at: str
    finished_at: str
    path: str
    bytes: int
    source_bytes: int | None
    run_id: str
    digest: str
    rung: str
    rung_at: str
    compared_at: str | None = None
    problem: str | None = None
    pinned: bool = False
    copies: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether it counts as a backup: checksummed and fully read, and nothing was found wrong since."""
        return self.problem is None and RUNGS.index(self.rung) >= RUNGS.index(VERIFIED)

    @property
    def compared(self) -> bool:
        """Whether it came back as it was, and nothing was found wrong since."""
        return self.verified and self.compared_at is not None

    @property
    def folder(self) -> Path:
        return Path(self.path)


class Catalog:
    """Reads and writes the table `backups`. Each change is one transaction; then `changed` is told of it."""

    def __init__(self, store: Store, changed: Callable[[Entry], None] = lambda entry: None) -> None:
        self.store, self.changed = store, changed

    def add(
        self,
        manifest: Manifest,
        folder: Path,
        *,
        rung: str = CHECKSUMMED,
        pinned: bool = False,
        standing: Standing | None = None,
    ) -> Entry:
        """A backup that got its name; of one that is known already only the place is changed.

        `standing`: what was noted of it beside its manifest, for a catalog that is made again.
        """
        known = standing or Standing(rung=rung, pinned=pinned)
        values = {
            "backup_id": manifest.backup_id,
            "target": manifest.target,
            "identity": manifest.identity,
            "engine": manifest.engine,
            "kind": manifest.kind,
            "method": manifest.method,
            "parent": manifest.parent,
            "database": manifest.database,
            "started_at": manifest.started_at,
            "finished_at": manifest.finished_at,
            "path": str(folder),
            "bytes": manifest.bytes,
            "source_bytes": manifest.source_bytes,
            "run_id": manifest.run_id,
            "digest": manifest.digest,
            "rung": known.rung,
            "rung_at": known.rung_at or now(),
            "compared_at": known.compared_at,
            "problem": known.problem,
            "pinned": int(known.pinned),
            "copies": json.dumps(known.copies),
        }
        with self.store.write() as connection:
            connection.insert("backups", values, known="ON CONFLICT (backup_id) DO UPDATE SET path = excluded.path")
        return self.find(manifest.backup_id)

    def all(self, target: str | None = None) -> list[Entry]:
        """Every backup, the oldest first; one whose folder is gone, or of one that it rests on, has that for its problem."""
        with self.store.read() as connection:
            rows = connection.all("SELECT * FROM backups ORDER BY started_at, backup_id")
        entries = _with_chains([_there(_entry(row)) for row in rows])
        return [entry for entry in entries if target in (None, entry.target)]

    def find(self, name: str) -> Entry:
        """A backup by its id or the beginning of it. Raises UnknownNameError."""
        known = self.all()
        found = [entry for entry in known if entry.backup_id == name] or [
            entry for entry in known if name and entry.backup_id.startswith(name)
        ]
        if len(found) != 1:
            kind = "backup (ambiguous)" if found else "backup"
            raise UnknownNameError(kind, name, (entry.backup_id for entry in found or known), "the catalog")
        return found[0]

    def at(self, folder: Path) -> Entry:
        """A backup by its folder. Raises UnknownNameError."""
        entries = self.all()
        for entry in entries:
            if entry.folder.resolve() == folder.resolve():
                return entry
        raise UnknownNameError("backup", str(folder), (str(entry.folder) for entry in entries))

    def proven(self, backup_id: str, rung: str) -> None:
        """It was looked at and is sound as far as `rung`; a higher rung that it had stays: it is what it was then."""
        highest = max(self.find(backup_id).rung, rung, key=RUNGS.index)
        compared = {"compared_at": now()} if rung == COMPARED else {}
        self._looked(backup_id, rung=highest, rung_at=now(), problem=None, **compared)

    def failed(self, backup_id: str, problem: str) -> None:
        """It was looked at and is not sound: it counts for nothing until it is looked at again."""
        self._looked(backup_id, rung_at=now(), problem=problem)

    def pin(self, backup_id: str, pinned: bool) -> None:
        """Whether retention has to leave it alone."""
        self._change(backup_id, pinned=int(pinned))

    def copied(self, backup_id: str, place: str) -> None:
        """A second place has it too, and was compared with the first."""
        copies = {*self.find(backup_id).copies, place}
        self._change(backup_id, copies=json.dumps(sorted(copies)))

    def forget(self, backup_ids: Sequence[str]) -> None:
        """Take out what is no longer there."""
        with self.store.write() as connection:
            names, values = marks(backup_ids)
            connection.execute(f"DELETE FROM backups WHERE backup_id IN ({names})", values)  # noqa: S608  nothing but marks

    def note(self, backup_id: str) -> None:
        """Tell `changed` how a backup stands now."""
        with self.store.read() as connection:
            row = connection.first("SELECT * FROM backups WHERE backup_id = :name", {"name": backup_id})
        if row is not None:
            self.changed(_entry(row))

    def _looked(self, backup_id: str, **values: Any) -> None:
        """What came of a look. Where it cannot be noted beside the backup, as on a full or read-only disk, the catalog has it."""
        try:
            self._change(backup_id, **values)
        except NotAtHandError:
            return

    def _change(self, backup_id: str, **values: Any) -> None:
        with self.store.write() as connection:
            connection.update("backups", "backup_id = :name", {"name": backup_id}, values)
        self.note(backup_id)


def _entry(row: Record) -> Entry:
    values = dict(row)
    return Entry(**{**values, "pinned": bool(values["pinned"]), "copies": tuple(json.loads(values["copies"]))})


def _there(entry: Entry) -> Entry:
    return entry if entry.problem or entry.folder.is_dir() else replace(entry, problem=GONE)


def _with_chains(entries: Sequence[Entry]) -> list[Entry]:
    """With the problems of those that each rests on: it cannot be restored without them."""
    known = {entry.backup_id: entry for entry in entries}
    return [entry if entry.problem else replace(entry, problem=_inherited(entry, known)) for entry in entries]


def _inherited(entry: Entry, known: dict[str, Entry]) -> str | None:
    seen = {entry.backup_id}
    at = entry
    while at.kind != FULL:
        parent = known.get(at.parent or "")
        if parent is None or parent.backup_id in seen:
            return f"it rests on {at.parent}, which is not there"
        if parent.problem is not None:
            return f"it rests on {parent.backup_id}, which is not sound"
        seen.add(parent.backup_id)
        at = parent
    return None

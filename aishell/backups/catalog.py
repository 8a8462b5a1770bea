"""The backups that `state.db` knows of, and how far each was proven. It can be made again from the manifests alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from aishell.backups.manifest import Manifest
from aishell.errors import UnknownNameError
from aishell.models import now
from aishell.state.schema import backups
from aishell.state.store import Store

#: How far a backup was proven, each step including those before it.
RUNGS = ("written", "checksummed", "readable", "restored-and-compared")
VERIFIED, COMPARED = RUNGS[2], RUNGS[3]


@dataclass(frozen=True)
class Entry:
    """A backup in the catalog. `problem`: what the last look at it found wrong. `secure_at`: a second place that has it."""

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
    def folder(self) -> Path:
        return Path(self.path)


class Catalog:
    """Reads and writes the table `backups`. Each change is one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, manifest: Manifest, folder: Path, *, rung: str = RUNGS[1], pinned: bool = False) -> Entry:
        """A backup that got its name. One that is known already keeps what was proven of it if it is the same."""
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
            "rung": rung,
            "rung_at": now(),
            "pinned": int(pinned),
            "copies": "[]",
        }
        moved = {"path": values["path"]}
        with self.store.write() as connection:
            statement = insert(backups).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["backup_id"], set_=moved))
        return self.find(manifest.backup_id)

    def all(self, target: str | None = None) -> list[Entry]:
        """Every backup, the oldest first."""
        query = select(backups).order_by(backups.c.started_at, backups.c.backup_id)
        if target is not None:
            query = query.where(backups.c.target == target)
        with self.store.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def find(self, name: str) -> Entry:
        """A backup by its id or the beginning of it. Raises UnknownNameError."""
        known = self.all()
        found = [entry for entry in known if entry.backup_id == name] or [
            entry for entry in known if entry.backup_id.startswith(name)
        ]
        if len(found) != 1:
            raise UnknownNameError("backup", name, (entry.backup_id for entry in known), "the catalog")
        return found[0]

    def proven(self, backup_id: str, rung: str) -> None:
        """It was looked at and is sound as far as `rung`; a higher rung that it had stays."""
        entry = self.find(backup_id)
        highest = max(entry.rung, rung, key=RUNGS.index)
        compared = {"compared_at": now()} if rung == COMPARED else {}
        self._change(backup_id, rung=highest, rung_at=now(), problem=None, **compared)

    def failed(self, backup_id: str, problem: str) -> None:
        """It was looked at and is not sound: it counts for nothing until it is looked at again."""
        self._change(backup_id, problem=problem, rung_at=now())

    def pin(self, backup_id: str, pinned: bool) -> None:
        self._change(backup_id, pinned=int(pinned))

    def copied(self, backup_id: str, place: str) -> None:
        """A second place has it too, and was compared with the first."""
        copies = {*self.find(backup_id).copies, place}
        self._change(backup_id, copies=json.dumps(sorted(copies)))

    def forget(self, backup_ids: Sequence[str]) -> None:
        """Take out what is no longer there."""
        with self.store.write() as connection:
            connection.execute(backups.delete().where(backups.c.backup_id.in_(backup_ids)))

    def _change(self, backup_id: str, **values: Any) -> None:
        with self.store.write() as connection:
            connection.execute(update(backups).where(backups.c.backup_id == backup_id).values(**values))


def _entry(row: Any) -> Entry:
    values = dict(row._mapping)
    return Entry(**{**values, "pinned": bool(values["pinned"]), "copies": tuple(json.loads(values["copies"]))})

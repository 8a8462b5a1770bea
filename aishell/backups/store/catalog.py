"""The catalog of backups in `state.db`, with the verification level of each. It can be rebuilt from the manifests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aishell.backups.store.manifest import FULL, BackupManifest
from aishell.backups.store.repository import inside
from aishell.errors import AmbiguousNameError, NotAtHandError, UnknownNameError
from aishell.models import SAFETY_STEP, now
from aishell.state.connection import Record, marks
from aishell.state.store import Store

#: Verification levels, each including those before it.
VERIFICATION_LEVELS = ("written", "checksummed", "readable", "restored-and-compared")
WRITTEN, CHECKSUMMED, VERIFIED, COMPARED = VERIFICATION_LEVELS
GONE, OTHER_MANIFEST = "its folder does not exist", "its manifest differs from the one in the catalog"
#: The stored names of the verification level and its moment: in the catalog, in the note beside a manifest and in JSON.
LEVEL_KEY, LEVEL_AT_KEY = "rung", "rung_at"
_KEYS = {"verification_level": LEVEL_KEY, "verification_level_at": LEVEL_AT_KEY}
#: The columns of the catalog that are copied from the manifest.
_MANIFEST_COLUMNS = (
    "backup_id", "target", "identity", "engine", "kind", "method", "parent", "database", "started_at", "finished_at", "bytes",
    "source_bytes", "run_id", "digest",
)  # fmt: skip
_FIELDS = {key: name for name, key in _KEYS.items()}


def as_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `CatalogEntry` under their stored names."""
    return {_KEYS.get(name, name): value for name, value in values.items()}


def as_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values under the names of the fields of a `CatalogEntry`."""
    return {_FIELDS.get(name, name): value for name, value in values.items()}


@dataclass(frozen=True)
class CopyRead:
    """When a copy was last read, in UTC, and the problem found, if any."""

    at: str
    problem: str | None = None


@dataclass(frozen=True)
class Verification:
    """The verification of a backup, as kept in the note beside the manifest (see `CatalogEntry`)."""

    verification_level: str = WRITTEN
    verification_level_at: str | None = None
    compared_at: str | None = None
    problem: str | None = None
    differs: str | None = None
    pinned: bool = False
    copies: tuple[str, ...] = ()
    copies_read: Mapping[str, CopyRead] = field(default_factory=dict)


@dataclass(frozen=True)
class CatalogEntry:
    """A backup in the catalog.

    `problem`: the damage found in its files, or in a backup it depends on. `differs`: it can be read, but could not be restored,
    or the restored data differed: it does not count as a backup, and is not removed for that. `path`: its folder; the catalog
    stores it relative to the repository. `copies`: the second places that have it; `copies_read`: the last reading of each.
    """

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
    verification_level: str
    verification_level_at: str
    compared_at: str | None = None
    problem: str | None = None
    pinned: bool = False
    copies: tuple[str, ...] = ()
    differs: str | None = None
    copies_read: Mapping[str, CopyRead] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether it was checksummed and fully read, and no damage has been found since."""
        return self.problem is None and self.verification_level in (VERIFIED, COMPARED)

    @property
    def verified(self) -> bool:
        """Whether it counts as a backup: it is readable, and no restore test of it failed."""
        return self.readable and self.differs is None

    @property
    def replaced(self) -> bool:
        """Whether it is a safety backup, made before a restore in place: it never counts in place of another."""
        return self.backup_id.endswith(f"-{SAFETY_STEP}")

    @property
    def wrong(self) -> str | None:
        """Why it does not count as a backup, if anything is wrong with it."""
        return self.problem or self.differs

    @property
    def sound_copies(self) -> tuple[str, ...]:
        """The second places whose copy was intact when last read."""
        return tuple(name for name in self.copies if name not in self.copies_read or not self.copies_read[name].problem)

    @property
    def compared(self) -> bool:
        """Whether a restore of it was compared without differences, and no damage has been found since."""
        return self.verified and self.compared_at is not None

    @property
    def folder(self) -> Path:
        return Path(self.path)

    @property
    def at(self) -> datetime:
        """When it was begun, in UTC."""
        at = datetime.fromisoformat(self.started_at)
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    @property
    def group(self) -> str:
        """The database it was made from: retention treats each database by itself."""
        return f"{self.target} {self.identity} {self.database}"


def newest(entries: Iterable[CatalogEntry], *, verified: bool) -> dict[str, CatalogEntry]:
    """Target -> its newest backup without known damage or, if `verified`, its newest verified one; no safety backups."""
    sound = [one for one in entries if not one.replaced and (one.verified if verified else not one.wrong)]
    return {one.target: one for one in sorted(sound, key=lambda one: one.started_at)}


class Catalog:
    """Reads and writes the table `backups`. Each change is one transaction, after which `changed` is called.

    `root` is the folder of backups, to which paths are relative, so that a copied site uses its own files.
    """

    def __init__(self, store: Store, root: Path, changed: Callable[[CatalogEntry], None] = lambda entry: None) -> None:
        self.store, self.root, self.changed = store, root.resolve(), changed

    def add(self, manifest: BackupManifest, folder: Path, known: Verification | None = None) -> CatalogEntry:
        """Add a finished backup; if it is known already, only its folder is changed.

        `known`: the note beside its manifest, when the catalog is rebuilt.
        """
        known = known or Verification(CHECKSUMMED)
        values = {
            **{name: getattr(manifest, name) for name in _MANIFEST_COLUMNS},
            **as_keys(vars(known)),
            "path": str(inside(self.root, folder).relative_to(self.root)),
            LEVEL_AT_KEY: known.verification_level_at or now(),
            "pinned": int(known.pinned),
            "copies": json.dumps(known.copies),
            "copies_read": _packed(known.copies_read),
        }
        with self.store.write() as connection:
            connection.insert("backups", values, known="ON CONFLICT (backup_id) DO UPDATE SET path = excluded.path")
        return self.find(manifest.backup_id)

    def all(self, target: str | None = None) -> list[CatalogEntry]:
        """Every backup, the oldest first; a missing folder, its own or of one it depends on, is its problem."""
        with self.store.read() as connection:
            rows = connection.all("SELECT * FROM backups ORDER BY started_at, backup_id")
        known = {entry.backup_id: entry for entry in map(self._entry, rows)}
        return [_inheriting(entry, known) for entry in known.values() if target in (None, entry.target)]

    def find(self, name: str) -> CatalogEntry:
        """A backup by its id or the beginning of it. Raises UnknownNameError and AmbiguousNameError."""
        known = {entry.backup_id: entry for entry in self.all()}
        if name in known:
            return known[name]
        found = [entry for one, entry in known.items() if name and one.startswith(name)]
        if len(found) > 1:
            raise AmbiguousNameError("backup", name, (entry.backup_id for entry in found))
        if not found:
            raise UnknownNameError("backup", name, known, "the catalog")
        return found[0]

    def at(self, folder: Path) -> CatalogEntry:
        """A backup by its folder. Raises UnknownNameError."""
        known = {entry.folder.resolve(): entry for entry in self.all()}
        if folder.resolve() not in known:
            raise UnknownNameError("backup", str(folder), (str(entry.folder) for entry in known.values()))
        return known[folder.resolve()]

    def proven(self, backup_id: str, level: str) -> CatalogEntry:
        """Record that a backup was verified to `level`; a higher level is kept.

        Only a restore that was compared clears `differs`.
        """
        highest = max(self.find(backup_id).verification_level, level, key=VERIFICATION_LEVELS.index)
        compared = {"compared_at": now(), "differs": None} if level == COMPARED else {}
        self._record(backup_id, verification_level=highest, verification_level_at=now(), problem=None, **compared)
        return self.find(backup_id)

    def failed(self, backup_id: str, problem: str) -> None:
        """Record damage: the backup does not count until it is verified again."""
        self._record(backup_id, verification_level_at=now(), problem=problem)

    def differed(self, backup_id: str, how: str) -> None:
        """Record a failed restore test: the backup does not count until a restore of it compares equal."""
        self._record(backup_id, verification_level_at=now(), differs=how)

    def pin(self, backup_id: str, pinned: bool) -> None:
        """Pin a backup, so that retention keeps it, or unpin it."""
        self._change(backup_id, pinned=int(pinned))

    def copy_read(self, backup_id: str, place: str, problem: str | None = None) -> None:
        """Record that the copy in a second place was read now; `problem`: its damage."""
        entry = self.find(backup_id)
        read = {**entry.copies_read, place: CopyRead(now(), problem)}
        self._change(backup_id, copies=json.dumps(sorted({*entry.copies, place})), copies_read=_packed(read))

    def forget(self, backup_ids: Sequence[str]) -> None:
        """Remove entries of backups that no longer exist."""
        with self.store.write() as connection:
            names, values = marks(backup_ids)
            connection.execute(f"DELETE FROM backups WHERE backup_id IN ({names})", values)  # noqa: S608  only placeholders

    def note(self, backup_id: str) -> None:
        """Call `changed` with the entry of a backup."""
        with self.store.read() as connection:
            row = connection.first("SELECT * FROM backups WHERE backup_id = :name", {"name": backup_id})
        if row is not None:
            self.changed(self._entry(row))

    def _record(self, backup_id: str, **values: Any) -> None:
        """Record a verification; only in the catalog if the note cannot be written, as on a full or read-only disk."""
        try:
            self._change(backup_id, **values)
        except NotAtHandError:
            return

    def _change(self, backup_id: str, **values: Any) -> None:
        with self.store.write() as connection:
            connection.update("backups", "backup_id = :name", {"name": backup_id}, as_keys(values))
        self.note(backup_id)

    def _entry(self, row: Record) -> CatalogEntry:
        path = self.root / _relative(self.root, row["path"])
        known = {
            "path": str(path),
            "problem": row["problem"] or (None if path.is_dir() else GONE),
            "pinned": bool(row["pinned"]),
            "copies": tuple(json.loads(row["copies"])),
            "copies_read": {name: CopyRead(**one) for name, one in json.loads(row["copies_read"]).items()},
        }
        return CatalogEntry(**as_fields({**dict(row), **known}))


def _packed(read: Mapping[str, CopyRead]) -> str:
    return json.dumps({name: asdict(one) for name, one in sorted(read.items())})


def _relative(root: Path, noted: str) -> Path:
    """The folder of a backup relative to the root, from its stored path.

    Older catalogs have absolute paths, which in a copied site lead to the files of the original. The end of the path is the
    same in both.
    """
    path = Path(noted)
    if not path.is_absolute():
        return path
    if path.is_relative_to(root):
        return path.relative_to(root)
    ends = [Path(*path.parts[at:]) for at in range(1, len(path.parts) - 1)]
    return next((end for end in ends if (root / end).is_dir()), Path(*path.parts[-2:]))


def _inheriting(entry: CatalogEntry, known: Mapping[str, CatalogEntry]) -> CatalogEntry:
    """An entry with the problems of those it depends on, without which it cannot be restored."""
    seen, at, problem, differs = {entry.backup_id}, entry, entry.problem, entry.differs
    while problem is None and at.kind != FULL:
        parent = known.get(at.parent or "")
        if parent is None or parent.backup_id in seen:
            problem = f"it depends on {at.parent}, which is missing"
            break
        if parent.problem is not None:
            problem = f"it depends on {parent.backup_id}, which is damaged"
        elif parent.differs is not None:
            differs = differs or f"it depends on {parent.backup_id}, whose restore test failed"
        seen.add(parent.backup_id)
        at = parent
    return replace(entry, problem=problem, differs=differs)

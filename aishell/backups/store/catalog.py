"""The backups that `state.db` knows of, and how far each was proven. It can be made again from the manifests alone."""

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

#: How far a backup was proven, each step including those before it.
VERIFICATION_LEVELS = ("written", "checksummed", "readable", "restored-and-compared")
WRITTEN, CHECKSUMMED, VERIFIED, COMPARED = VERIFICATION_LEVELS
GONE, OTHER_MANIFEST = "its folder does not exist", "its manifest differs from the one that was made with it"
#: The verification level and its moment, as the catalog, the note beside a manifest and JSON have always called them.
LEVEL_KEY, LEVEL_AT_KEY = "rung", "rung_at"
_KEYS = {"verification_level": LEVEL_KEY, "verification_level_at": LEVEL_AT_KEY}
#: What the catalog has of a backup as its manifest has it.
_OF_MANIFEST = (
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
    """When a copy was last read, in UTC, and what was wrong with it, if anything was."""

    at: str
    problem: str | None = None


@dataclass(frozen=True)
class Verification:
    """How far a backup was proven, and what is kept of it beside the manifest (see `CatalogEntry`)."""

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

    `problem`: what the last look at its files found wrong, or what is wrong with those it rests on: it is damaged. `differs`: it
    reads whole, and what was restored from it was not what it saw, or it could not be restored: it counts for nothing, and is not
    removed for that. `path` is that of its folder; the catalog has it relative to the repository. `copies`: second places that
    have it, and how each of these was when it was last read.
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
        """Whether it was checksummed and fully read, and no damage was found since."""
        return self.problem is None and self.verification_level in (VERIFIED, COMPARED)

    @property
    def verified(self) -> bool:
        """Whether it counts as a backup: it is readable, and comes back as it was as far as that was tried."""
        return self.readable and self.differs is None

    @property
    def replaced(self) -> bool:
        """Whether it was made of what a restore in place was about to replace: it stands in for no other backup."""
        return self.backup_id.endswith(f"-{SAFETY_STEP}")

    @property
    def wrong(self) -> str | None:
        """Why it does not count as a backup, if something is wrong with it."""
        return self.problem or self.differs

    @property
    def sound_copies(self) -> tuple[str, ...]:
        """The second places whose copy was as it should be when it was last read."""
        return tuple(name for name in self.copies if name not in self.copies_read or not self.copies_read[name].problem)

    @property
    def compared(self) -> bool:
        """Whether it came back as it was, and nothing was found wrong since."""
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
        """The database that it is of: backups of one never stand in for those of another."""
        return f"{self.target} {self.identity} {self.database}"


def newest(entries: Iterable[CatalogEntry], *, verified: bool) -> dict[str, CatalogEntry]:
    """Target -> its newest backup of which no damage is known, or that is verified. What a restore in place replaced is none."""
    sound = [one for one in entries if not one.replaced and (one.verified if verified else not one.wrong)]
    return {one.target: one for one in sorted(sound, key=lambda one: one.started_at)}


class Catalog:
    """Reads and writes the table `backups`. Each change is one transaction; then `changed` is told of it.

    `root` is the folder of backups: a site that is copied or moved with it looks at its own files.
    """

    def __init__(self, store: Store, root: Path, changed: Callable[[CatalogEntry], None] = lambda entry: None) -> None:
        self.store, self.root, self.changed = store, root.resolve(), changed

    def add(self, manifest: BackupManifest, folder: Path, known: Verification | None = None) -> CatalogEntry:
        """Add a backup that got its name; of one that is there already only the folder is changed.

        `known`: what the note beside its manifest says, for a catalog that is made again.
        """
        known = known or Verification(CHECKSUMMED)
        values = {
            **{name: getattr(manifest, name) for name in _OF_MANIFEST},
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
        """Every backup, the oldest first; one whose folder is gone, or of one that it rests on, has that for its problem."""
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
        """Note that a backup is sound as far as `level`; a higher level that it had stays.

        Only another restore shows that a backup which differed comes back as it was.
        """
        highest = max(self.find(backup_id).verification_level, level, key=VERIFICATION_LEVELS.index)
        compared = {"compared_at": now(), "differs": None} if level == COMPARED else {}
        self._looked(backup_id, verification_level=highest, verification_level_at=now(), problem=None, **compared)
        return self.find(backup_id)

    def failed(self, backup_id: str, problem: str) -> None:
        """It was looked at and is not sound: it counts for nothing until it is looked at again."""
        self._looked(backup_id, verification_level_at=now(), problem=problem)

    def differed(self, backup_id: str, how: str) -> None:
        """It reads whole, and does not come back as it was: it counts for nothing until a restore of it was compared."""
        self._looked(backup_id, verification_level_at=now(), differs=how)

    def pin(self, backup_id: str, pinned: bool) -> None:
        """Let retention keep it, or no longer."""
        self._change(backup_id, pinned=int(pinned))

    def copy_read(self, backup_id: str, place: str, problem: str | None = None) -> None:
        """Note that the copy in a second place was read now; `problem`: what is wrong with it."""
        entry = self.find(backup_id)
        read = {**entry.copies_read, place: CopyRead(now(), problem)}
        self._change(backup_id, copies=json.dumps(sorted({*entry.copies, place})), copies_read=_packed(read))

    def forget(self, backup_ids: Sequence[str]) -> None:
        """Remove entries of backups that no longer exist."""
        with self.store.write() as connection:
            names, values = marks(backup_ids)
            connection.execute(f"DELETE FROM backups WHERE backup_id IN ({names})", values)  # noqa: S608  nothing but marks

    def note(self, backup_id: str) -> None:
        """Call `changed` with the entry of a backup."""
        with self.store.read() as connection:
            row = connection.first("SELECT * FROM backups WHERE backup_id = :name", {"name": backup_id})
        if row is not None:
            self.changed(self._entry(row))

    def _looked(self, backup_id: str, **values: Any) -> None:
        """What came of a look. Where it cannot be noted beside the backup, as on a full or read-only disk, the catalog has it."""
        try:
            self._change(backup_id, **values)
        except NotAtHandError:
            return

    def _change(self, backup_id: str, **values: Any) -> None:
        with self.store.write() as connection:
            connection.update("backups", "backup_id = :name", {"name": backup_id}, as_keys(values))
        self.note(backup_id)

    def _entry(self, row: Record) -> CatalogEntry:
        path = self.root / _within(self.root, row["path"])
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


def _within(root: Path, noted: str) -> Path:
    """The folder of a backup relative to that of all, as a catalog has it.

    A catalog that was made before paths were relative has absolute ones: in a site that was copied they lead to the files of the
    other one. The end of the path is the same in both.
    """
    path = Path(noted)
    if not path.is_absolute():
        return path
    if path.is_relative_to(root):
        return path.relative_to(root)
    ends = [Path(*path.parts[at:]) for at in range(1, len(path.parts) - 1)]
    return next((end for end in ends if (root / end).is_dir()), Path(*path.parts[-2:]))


def _inheriting(entry: CatalogEntry, known: Mapping[str, CatalogEntry]) -> CatalogEntry:
    """An entry with what is wrong with those it depends on: it cannot be restored without them."""
    seen, at, problem, differs = {entry.backup_id}, entry, entry.problem, entry.differs
    while problem is None and at.kind != FULL:
        parent = known.get(at.parent or "")
        if parent is None or parent.backup_id in seen:
            problem = f"it depends on {at.parent}, which is missing"
            break
        if parent.problem is not None:
            problem = f"it depends on {parent.backup_id}, which is not sound"
        elif parent.differs is not None:
            differs = differs or f"it depends on {parent.backup_id}, whose restore test failed"
        seen.add(parent.backup_id)
        at = parent
    return replace(entry, problem=problem, differs=differs)

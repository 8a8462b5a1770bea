"""The manifest of a backup: where it came from, its files and the fingerprints of its contents. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from aishell.codec import pack, unpack
from aishell.errors import BackupError

#: Incremented when older releases cannot read what this one writes.
VERSION = 1
FULL, INCREMENTAL = "full", "incremental"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a backup, its path relative to the backup's folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of one object in the snapshot of a backup. `rows` is None for objects without rows."""

    kind: str  # table, sequence, view, function, …
    name: str
    rows: int | None
    hash: str


@dataclass(frozen=True)
class BackupManifest:
    """`identity` identifies the server (system identifier, server UUID, device and inode). Times are in UTC.

    `position` is the end of the backup in the engine's terms: an LSN, a position in the binary log. `prints` are its
    fingerprints, None if it was made without. `commands` are those that were run, without secrets.
    """

    backup_id: str
    kind: str
    method: str
    engine: str
    product: str
    server_version: str
    identity: str
    target: str
    database: str
    started_at: str
    finished_at: str
    run_id: str
    parent: str | None = None
    source_bytes: int | None = None
    position: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)  # the method's own: compression, page size, client version
    files: tuple[File, ...] = ()
    prints: tuple[Fingerprint, ...] | None = None
    commands: tuple[str, ...] = ()
    version: int = VERSION

    @property
    def bytes(self) -> int:
        """The size of its files, and of what its method keeps elsewhere."""
        return sum(file.bytes for file in self.files) + int(self.details.get("stored_bytes", 0))

    def text(self) -> str:
        """The text of the file; its last line is the digest of all lines before."""
        body = json.dumps(pack(asdict(self)), ensure_ascii=False, indent=1, sort_keys=True)
        return f"{body}\n{_digest(body)}\n"

    @property
    def digest(self) -> str:
        return self.text().splitlines()[-1]

    @classmethod
    def of(cls, text: str, where: str) -> BackupManifest:
        """Read a manifest. Raises BackupError, naming the file, if it was changed or cut off, or is of a newer version."""
        body, _, stated = text.rstrip("\n").rpartition("\n")
        if stated != _digest(body):
            raise BackupError(f"{where} was changed or cut off after it was written")
        try:
            data: dict[str, Any] = unpack(json.loads(body))
            if data["version"] > VERSION:
                raise BackupError(f"{where} has unknown format version {data['version']}", hint="use a newer aishell")
            data["files"] = tuple(File(**file) for file in data["files"])
            data["prints"] = None if data["prints"] is None else tuple(Fingerprint(**one) for one in data["prints"])
            data["commands"] = tuple(data["commands"])
            return cls(**data)
        except (ValueError, TypeError, KeyError) as error:
            raise BackupError(f"{where} is not a backup manifest: {error!r}") from error

    def summary(self) -> dict[str, Any]:
        """The fields that a list of backups shows."""
        left_out = ("files", "prints", "commands", "version")
        shown = {f.name: getattr(self, f.name) for f in fields(replace(self)) if f.name not in left_out}
        return {**shown, "bytes": self.bytes, "files": len(self.files), "compared": self.prints is not None}


def chain_summary(chain: Sequence[BackupManifest]) -> dict[str, Any]:
    """The summary of the last of a chain, with the bytes that a restore of it reads and may need for the result.

    The result needs at most the sum of the full backup and its increments, and at least the largest size that one of them
    was made at.
    """
    full, *increments = chain
    together = (full.source_bytes or full.bytes) + sum(one.bytes for one in increments)
    sizes = {
        "rests_on": len(increments),
        "chain_bytes": sum(one.bytes for one in chain),
        "needs_bytes": max(together, *(one.source_bytes or 0 for one in chain)),
    }
    return {**chain[-1].summary(), **sizes}


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()

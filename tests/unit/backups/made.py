"""Backups for the unit tests: small, real folders, sealed as a backup is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from aishell.backups.store.backup_store import BackupStore
from aishell.backups.store.catalog import VERIFIED, CatalogEntry
from aishell.backups.store.manifest import FULL, INCREMENTAL, BackupManifest, File, Fingerprint
from aishell.backups.store.repository import Repository
from aishell.state.store import Store

CONTENT = b"what the database held"


def manifest(backup_id: str = "20261121T031500Z-full-1a2b3c4d-backup", **facts: Any) -> BackupManifest:
    """A valid one; its keywords say what is special about it."""
    at = f"{backup_id[:4]}-{backup_id[4:6]}-{backup_id[6:8]}T{backup_id[9:11]}:{backup_id[11:13]}:{backup_id[13:15]}"
    known: dict[str, Any] = {
        "kind": FULL,
        "method": "sqlite",
        "engine": "sqlite",
        "product": "sqlite",
        "server_version": "3.40.1",
        "identity": "it",
        "target": "shop",
        "database": "shop.db",
        "started_at": f"{at}.000000+00:00",
        "finished_at": f"{at}.500000+00:00",
        "run_id": "1a2b3c4d" * 4,
        "source_bytes": 4096,
        "files": (File("database.sqlite", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),),
        "prints": (Fingerprint("table", "orders", None, "x"), Fingerprint("rows", "orders", 3, "y")),
    }
    return BackupManifest(backup_id=backup_id, **{**known, **facts})


def backup_store(folder: Path) -> BackupStore:
    """An empty one, with a state of its own. Close `backup_store.store()` afterwards."""
    store = Store.open(folder / "state.db")
    return BackupStore(Repository(folder / "backups"), lambda: store)


def put(
    where: BackupStore, day: int, *, rung: str = VERIFIED, parent: CatalogEntry | None = None, **facts: Any
) -> CatalogEntry:
    """A backup of that day of November 2026, published and in the catalog, proven as far as `rung`."""
    kind = FULL if parent is None else INCREMENTAL
    number = len(where.catalog.all())
    made = manifest(
        f"202611{day:02}T0315{number:02}Z-{kind}-1a2b3c4d-backup",
        kind=kind,
        parent=parent.backup_id if parent else None,
        details={"parent_digest": parent.digest} if parent else {},
        **facts,
    )
    partial = where.repository.begin(where.repository.folder(made.target), made.backup_id)
    (partial / "database.sqlite").write_bytes(CONTENT)
    folder = where.repository.publish(partial, made)
    where.catalog.add(made, folder)
    return where.catalog.proven(made.backup_id, rung)

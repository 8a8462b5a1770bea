"""What a step will take, from what it took before; failing that, from what was measured on this kind of engine."""

from __future__ import annotations

from aishell.models import Estimate, Inventory

#: Bytes a second, measured on 2 cores (shared/spec/performance.md, Maintenance): PostgreSQL 15, 1.39 GB of table and indexes
#: vacuumed in 3.7 s, 718 MB of indexes rebuilt concurrently in 4.7 s; SQLite 500 MB: VACUUM 2.9 s, REINDEX 0.98 s, integrity
#: check 0.89 s, ANALYZE 0.11 s; MariaDB by the same data through OPTIMIZE.
DEFAULTS: dict[tuple[str, str], float] = {
    ("postgresql", "optimize_table"): 375e6,
    ("postgresql", "rebuild_fragmented_indexes"): 150e6,
    ("postgresql", "rebuild_table"): 170e6,
    ("postgresql", "check_table_corruption"): 800e6,
    ("postgresql", "batch_update_statistics"): 2e9,
    ("postgresql", "drop_invalid_indexes"): 2e9,
    ("mysql", "optimize_table"): 50e6,
    ("mysql", "rebuild_fragmented_indexes"): 50e6,
    ("mysql", "rebuild_table"): 50e6,
    ("mysql", "check_table_corruption"): 200e6,
    ("mysql", "batch_update_statistics"): 2e9,
    ("mysql", "drop_invalid_indexes"): 2e9,
    ("sqlite", "optimize_table"): 170e6,
    ("sqlite", "incremental_vacuum"): 100e6,
    ("sqlite", "checkpoint_wal"): 400e6,
    ("sqlite", "rebuild_fragmented_indexes"): 500e6,
    ("sqlite", "check_table_corruption"): 560e6,
    ("sqlite", "batch_update_statistics"): 1e9,
    ("sqlite", "update_all_statistics"): 1e9,
    # Rough, from the bare commands of the same document (Backups): a target's own backups tell better from the first one on.
    ("postgresql", "backup_database_full"): 150e6,
    ("postgresql", "backup_database_incremental"): 400e6,
    ("postgresql", "restore_test"): 100e6,
    ("postgresql", "restore_backup"): 130e6,
    ("postgresql", "replace_database"): 150e6,
    ("mysql", "backup_database_full"): 100e6,
    ("mysql", "backup_database_incremental"): 400e6,
    ("mysql", "restore_test"): 30e6,
    ("mysql", "restore_backup"): 35e6,
    ("mysql", "replace_database"): 100e6,
    ("sqlite", "backup_database_full"): 250e6,
    ("sqlite", "backup_database_incremental"): 200e6,
    ("sqlite", "restore_test"): 200e6,
    ("sqlite", "restore_backup"): 250e6,
    ("sqlite", "replace_database"): 100e6,
}


def estimate(inventory: Inventory, tool: str, label: str, size: int | None, scratch: int | None = None) -> Estimate:
    """Seconds for `size` bytes of work on an object, and the scratch space it needs.

    By this object's history, else the tool's on this target, else the engine's default; without one of them there is no basis.
    """
    for key in ((tool, label), (tool, "")):
        known = inventory.history.get(key)
        if known is not None and size:
            return Estimate(
                round(size / known.bytes_per_second, 3),
                scratch,
                f"{known.based_on}, {known.runs} run{'s' if known.runs > 1 else ''}",
            )
    speed = DEFAULTS.get((inventory.server.engine, tool))
    if speed is None:
        return Estimate(None, scratch)
    return Estimate(round((size or 0) / speed, 3), scratch, "engine default")

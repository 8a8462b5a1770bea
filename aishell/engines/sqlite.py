"""SQLite 3.35 and later."""

from __future__ import annotations

from types import MappingProxyType

from aishell.engines.base import SHORT, WRITES, Engine, Lock, by_name


class SQLiteProfile(Engine):
    """The profile of SQLite."""

    name = "sqlite"
    schemes = ("sqlite",)
    supported = MappingProxyType({"sqlite": ((3, 35), None)})

    has_pragmas = True
    types_bind = False

    # Except in WAL mode, a writer waiting to commit blocks new readers by a PENDING lock (sqlite.org/lockingv3.html, section 5)
    locks = by_name(
        Lock("none", 0, "nothing", 5),
        Lock("SHARED", 1, "the commit of a writer (not in WAL mode)", 5),
        Lock(
            "RESERVED",
            4,
            "other writers; everything for the moment of the commit (in WAL mode reads go on)",
            SHORT,
            queues=True,
        ),
        Lock(
            "EXCLUSIVE", 8, "everything (in WAL mode: other writers, and readers at the checkpoint)", SHORT, queues=True
        ),
    )
    taken = (
        (r"^VACUUM\b", "EXCLUSIVE"),
        (r"^(REINDEX|ANALYZE|INSERT|UPDATE|DELETE|DROP|ALTER|CREATE)\b", "RESERVED"),
        (r"^PRAGMA\s+(\{\w+\}\.)?(incremental_vacuum|wal_checkpoint|optimize)\b", "RESERVED"),
        (rf"^WITH\b.*{WRITES}", "RESERVED"),
        (r"^(SELECT|WITH|PRAGMA\s+(\{\w+\}\.)?(integrity_check|quick_check|foreign_key_check))\b", "none"),
    )
    one_writer = True

    # 500 MB: VACUUM 2.9 s, REINDEX 0.98 s, integrity check 0.89 s, ANALYZE 0.11 s; backups and restores are rough figures.
    bytes_per_second = MappingProxyType(
        {
            "optimize_table": 170e6,
            "incremental_vacuum": 100e6,
            "checkpoint_wal": 400e6,
            "rebuild_fragmented_indexes": 500e6,
            "check_table_corruption": 560e6,
            "batch_update_statistics": 1e9,
            "update_all_statistics": 1e9,
            "backup_database_full": 250e6,
            "backup_database_incremental": 200e6,
            "restore_test": 200e6,
            "restore_backup": 250e6,
            "replace_database": 100e6,
        }
    )
    rows_deleted_per_second = 0.8e6
    rows_archived_per_second = 0.17e6
    most_counted = 1_000_000  # 10 million a second, and there are no estimates

    rewrites_whole = True

    walked_along = "row numbers"

    privileges = ("WRITE",)
    is_file = True
    last_copy = "{} is all that is left of it, and nothing where the file cannot be read"

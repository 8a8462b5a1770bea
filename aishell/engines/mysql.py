"""MySQL 8 and MariaDB 10.6, and later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import MappingProxyType

from aishell.engines.base import SHORT, WRITES, Engine, Lock, Version, by_name

#: The first version of MySQL with a privilege only to see routines.
_SHOW_ROUTINE = (8, 0, 20)


class MySQLProfile(Engine):
    """The profile of MySQL and MariaDB."""

    name = "mysql"
    schemes = ("mysql", "mariadb")
    supported = MappingProxyType({"mariadb": ((10, 6), None), "mysql": ((8,), None)})
    physical = frozenset({"mariadb"})
    port = 3306

    quote = "`"
    string = r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`(?:[^`]|``)*`"
    comment = r"--(?=\s|\Z)[^\n]*|#[^\n]*"
    longest_name = (64, "characters")
    schemas_by_case = True  # on a case-sensitive file system
    escapes_quotes = True
    takes_nextval = True
    compares_rows = False

    locks = by_name(
        Lock("none", 0, "nothing", 5),
        Lock("MDL SHARED READ", 1, "schema changes (on MyISAM and Aria writes too)", 5),
        Lock("MDL SHARED WRITE", 2, "schema changes and changes of the same rows (on MyISAM and Aria everything)", 5),
        Lock(
            "MDL SHARED UPGRADABLE, brief EXCLUSIVE",
            4,
            "other schema changes; everything for a moment at the start and the end (on MyISAM and Aria all the time)",
            SHORT,
            queues=True,
        ),
        Lock("MDL SHARED NO WRITE", 5, "writes; reads go on", 5),
        Lock(
            "MDL SHARED NO WRITE, brief EXCLUSIVE",
            5,
            "writes; everything for a moment at the start and the end",
            SHORT,
            queues=True,
        ),
        Lock(
            "BACKUP STAGE, brief BLOCK_COMMIT",
            5,
            "schema changes while it ends; commits for a moment at its end; reads go on",
            5,
        ),
        Lock("MDL SHARED NO READ WRITE", 8, "everything, reads too", SHORT, queues=True),
        Lock("MDL EXCLUSIVE", 8, "everything, reads too", SHORT, queues=True),
    )
    taken = (
        (r"^OPTIMIZE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        (r"^ALTER\b.*\bLOCK\s*=\s*NONE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        (r"^ALTER\b.*\b(DROP|TRUNCATE)\s+PARTITION\b", "MDL EXCLUSIVE"),
        (r"^(ALTER|REPAIR)\b", "MDL SHARED NO WRITE, brief EXCLUSIVE"),
        (r"^LOCK\b", "MDL SHARED NO READ WRITE"),
        (r"^(DROP|TRUNCATE)\b", "MDL EXCLUSIVE"),
        (r"^(ANALYZE|CHECK)\b", "MDL SHARED READ"),
        (r"^(INSERT|UPDATE|DELETE)\b", "MDL SHARED WRITE"),
        (rf"^WITH\b.*{WRITES}", "MDL SHARED WRITE"),
        (r"^(SELECT|SHOW|WITH)\b", "none"),
    )
    taken_elsewhere = (
        (r"^DELETE\b", "referring", "MDL SHARED WRITE"),
        (r"^INSERT\b.*\bON\s+DUPLICATE\s+KEY\s+UPDATE\b", "referring", "MDL SHARED READ"),
    )

    # The data of PostgreSQL's figures, with OPTIMIZE; backups and restores are rough figures, from the commands alone.
    bytes_per_second = MappingProxyType(
        {
            "optimize_table": 50e6,
            "rebuild_fragmented_indexes": 50e6,
            "rebuild_table": 50e6,
            "check_table_corruption": 200e6,
            "batch_update_statistics": 2e9,
            "drop_invalid_indexes": 2e9,
            "backup_database_full": 100e6,
            "backup_database_incremental": 400e6,
            "restore_test": 30e6,
            "restore_backup": 35e6,
            "replace_database": 100e6,
        }
    )
    rows_deleted_per_second = 0.3e6
    rows_archived_per_second = 0.12e6

    rebuilds_indexes_together = True
    fragmentation_by_statistics = True
    logs_maintenance = True
    estimates_ranges = True

    walked_along = "key"
    foreign_keys_fire = False

    last_copy = "the tables and definitions in {} are all that is left of it"

    privileges = (
        *("SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "CREATE", "DROP", "TRIGGER", "SHOW VIEW", "EVENT"),
        "LOCK TABLES",
    )
    access = ("role", "privileges", "tables", "grants")
    verified_by = "ssl_ca=/path/ca.pem"
    programs = (("mariadb-dump", "mysqldump"), ("mariadb", "mysql"), ("mariadb-binlog", "mysqlbinlog"))

    def counts_by_statistics(self, features: Collection[str]) -> bool:
        return "process" not in features  # the sizes of files are visible only with PROCESS

    @staticmethod
    def routine_privilege(product: str, version: Version) -> str:
        """Return the narrowest privilege on this server with which an account sees all routines."""
        if product == "mariadb":
            return "SELECT ON mysql.proc"
        return f"{'SHOW_ROUTINE' if version >= _SHOW_ROUTINE else 'SELECT'} ON *.*"

    def client_names(self, names: Sequence[str], product: str) -> Sequence[str]:
        return names[::-1] if product == "mysql" else names  # MariaDB's programs have MySQL's names, too

"""PostgreSQL 12 and later."""

from __future__ import annotations

from types import MappingProxyType

from aishell.engines.base import PATIENT, SHORT, WRITES, Engine, Lock, Version, by_name

#: REINDEX CONCURRENTLY damages indexes in these versions (release notes of 14.4).
_BUG_17485 = ((14, 0), (14, 4))


class PostgreSQLProfile(Engine):
    """The profile of PostgreSQL."""

    name = "postgresql"
    schemes = ("postgresql", "postgres")
    supported = MappingProxyType({"postgresql": ((12,), (19,))})
    physical = frozenset({"postgresql"})
    port = 5432

    # After a letter or digit, an E before a quote and a $ are part of a word, as in LIKE'%\'.
    string = (
        r"(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
        r"|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$"
    )
    longest_name = (63, "bytes")  # NAMEDATALEN - 1: a longer one is truncated, with a NOTICE, and names another object
    folds_names = True
    calls_by_attribute = True
    has_boolean = True

    locks = by_name(
        Lock("none", 0, "nothing", 5),
        Lock("ACCESS SHARE", 1, "only ACCESS EXCLUSIVE: DROP, TRUNCATE, VACUUM FULL", 5),
        Lock("ROW SHARE", 2, "EXCLUSIVE and ACCESS EXCLUSIVE", 5),
        Lock("ROW EXCLUSIVE", 3, "CREATE INDEX and stronger", 5),
        Lock("SHARE UPDATE EXCLUSIVE", 4, "other maintenance and schema changes; reads and writes go on", PATIENT),
        # Never waited for, and released if another session waits (vacuumlazy.c, lazy_truncate_heap); a standby replays it.
        Lock(
            "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE",
            4,
            "other maintenance and schema changes; everything for the moment in which empty pages at the end are cut off",
            PATIENT,
        ),
        Lock("SHARE", 5, "writes; reads go on", SHORT),
        Lock("SHARE ROW EXCLUSIVE", 6, "writes; reads go on", SHORT),
        Lock("EXCLUSIVE", 7, "writes; plain reads go on", SHORT),
        Lock("ACCESS EXCLUSIVE", 8, "everything, reads too", SHORT, queues=True),
    )
    taken = (
        (r"^VACUUM\s*(\([^)]*\bFULL\b|FULL\b)", "ACCESS EXCLUSIVE"),
        (r"^VACUUM\b", "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE"),
        (r"^ANALYZE\b", "SHARE UPDATE EXCLUSIVE"),
        (r"^(REINDEX|CREATE|DROP)\b.*\bCONCURRENTLY\b", "SHARE UPDATE EXCLUSIVE"),
        (r"^REINDEX\b", "ACCESS EXCLUSIVE"),
        (r"^CREATE\s+(UNIQUE\s+)?INDEX\b", "SHARE"),
        (r"^(DROP|TRUNCATE|CLUSTER)\b", "ACCESS EXCLUSIVE"),
        (
            r"^ALTER\s+TABLE\b.*\b(VALIDATE|SET STATISTICS|ATTACH PARTITION|DETACH\b.*\b(CONCURRENTLY|FINALIZE))\b",
            "SHARE UPDATE EXCLUSIVE",
        ),
        # It locks no table, and the database only as every session in it does (dbcommands.c, AlterDatabaseSet).
        (r"^ALTER\s+DATABASE\s+\S+\s+(SET|RESET)\b", "none"),
        (r"^(ALTER|LOCK)\b", "ACCESS EXCLUSIVE"),
        (r"^(INSERT|UPDATE|DELETE|MERGE)\b", "ROW EXCLUSIVE"),
        (rf"^WITH\b.*{WRITES}", "ROW EXCLUSIVE"),
        (r"^(SELECT|WITH)\b", "none"),
    )
    taken_elsewhere = (
        (r"^ALTER\s+TABLE\b.*\b(DE|AT)TACH\b", "partition", "ACCESS EXCLUSIVE"),
        (r"^ALTER\s+TABLE\b.*\b(DE|AT)TACH\b", "referenced", "SHARE ROW EXCLUSIVE"),
        # A foreign key has triggers on the table that it references, which are dropped with it (trigger.c, RemoveTriggerById).
        (r"^DROP\s+TABLE\b", "referenced", "ACCESS EXCLUSIVE"),
        (r"^DROP\s+INDEX\s+CONCURRENTLY\b", "index", "ACCESS EXCLUSIVE"),
        (rf"^DELETE\b|^WITH\b.*{WRITES}", "referring", "ROW EXCLUSIVE"),
        (r"^(INSERT|UPDATE)\b", "referenced", "ROW SHARE"),
    )

    # Version 15: 1.39 GB of table and indexes vacuumed in 3.7 s, 718 MB of indexes rebuilt concurrently in 4.7 s. Backups and
    # restores are rough figures, from the commands alone: a target's own figures are better from its first run on.
    bytes_per_second = MappingProxyType(
        {
            "optimize_table": 375e6,
            "rebuild_fragmented_indexes": 150e6,
            "rebuild_table": 170e6,
            "check_table_corruption": 800e6,
            "batch_update_statistics": 2e9,
            "drop_invalid_indexes": 2e9,
            "backup_database_full": 150e6,
            "backup_database_incremental": 400e6,
            "restore_test": 100e6,
            "restore_backup": 130e6,
            "replace_database": 150e6,
        }
    )
    rows_deleted_per_second = 1.6e6
    rows_archived_per_second = 0.35e6

    vacuums = True
    checked_by = "amcheck"
    keeps_histograms = True

    walked_along = "pages"
    page_ranges = (14,)  # TID range scans
    partitions_are_tables = True

    may_be_pooled = True
    default_database = "postgres"
    exchanged_by_name = True
    keeps_owners = True
    last_copy = "the database {} is all that is left of it"

    # The table's owner has MAINTAIN, and from version 17 on others by a grant; VACUUM is the same, and the database's owner has
    # it, too; only the owner's role has OWNERSHIP.
    privileges = ("SELECT", "INSERT", "UPDATE", "DELETE", "MAINTAIN", "VACUUM", "OWNERSHIP", "EXECUTE ON amcheck")
    access = ("role", "tables", "functions")
    verified_by = "sslrootcert=/path/ca.pem"
    programs = (("pg_dump",), ("pg_dumpall",), ("pg_restore",), ("pg_basebackup",))
    programs_by_version = True
    release = 1

    def known_damage(self, version: Version) -> tuple[str, str] | None:
        if _BUG_17485[0] <= version < _BUG_17485[1]:
            damage = "REINDEX CONCURRENTLY damages indexes here (bug 17485), so no index is rebuilt"
            return damage, "update to 14.4 or newer"
        return None

"""Statement -> lock -> what it blocks and how long it may be waited for. A pure table.

Sources: PostgreSQL documentation, chapter Explicit Locking, and the manual page of each command; MariaDB Knowledge Base,
Metadata Locking and InnoDB Online DDL; sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aishell.registry.tool import Tool


@dataclass(frozen=True)
class Lock:
    """`blocks`: who waits while it is held. `timeout` seconds of waiting for it, `tries` times."""

    name: str
    strength: int
    blocks: str
    timeout: float
    tries: int = 3

    @property
    def exclusive(self) -> bool:
        """Whether the application's reads wait for it, and queue behind it while it waits."""
        return self.strength >= 8


#: A patient wait for what queues behind autovacuum (a short one leaves invalid indexes); short tries for what blocks readers.
_PATIENT, _SHORT = 300.0, 3.0

LOCKS: dict[str, dict[str, Lock]] = {
    "postgresql": {
        lock.name: lock
        for lock in (
            Lock("none", 0, "nothing", 5),
            Lock("ACCESS SHARE", 1, "only ACCESS EXCLUSIVE: DROP, TRUNCATE, VACUUM FULL", 5),
            Lock("ROW SHARE", 2, "EXCLUSIVE and ACCESS EXCLUSIVE", 5),
            Lock("ROW EXCLUSIVE", 3, "CREATE INDEX and stronger", 5),
            Lock("SHARE UPDATE EXCLUSIVE", 4, "other maintenance and schema changes; reads and writes go on", _PATIENT),
            Lock("SHARE", 5, "writes; reads go on", _SHORT),
            Lock("SHARE ROW EXCLUSIVE", 6, "writes; reads go on", _SHORT),
            Lock("EXCLUSIVE", 7, "writes; plain reads go on", _SHORT),
            Lock("ACCESS EXCLUSIVE", 8, "everything, reads too", _SHORT),
        )
    },
    "mysql": {
        lock.name: lock
        for lock in (
            Lock("none", 0, "nothing", 5),
            Lock("MDL SHARED READ", 1, "schema changes (on MyISAM and Aria writes too)", 5),
            Lock(
                "MDL SHARED WRITE", 2, "schema changes and changes of the same rows (on MyISAM and Aria everything)", 5
            ),
            Lock(
                "MDL SHARED UPGRADABLE, brief EXCLUSIVE",
                4,
                "other schema changes; everything for a moment at the start and the end (on MyISAM and Aria all the time)",
                5,
            ),
            Lock("MDL SHARED NO WRITE", 5, "writes; reads go on", 5),
            Lock("MDL EXCLUSIVE", 8, "everything, reads too", _SHORT),
        )
    },
    "sqlite": {
        lock.name: lock
        for lock in (
            Lock("none", 0, "nothing", 5),
            Lock("SHARED", 1, "the commit of a writer (not in WAL mode)", 5),
            Lock("RESERVED", 4, "other writers; reads go on", 5),
            Lock("EXCLUSIVE", 8, "everything (in WAL mode: other writers, and readers at the checkpoint)", 5),
        )
    },
}

#: MariaDB: settings for one statement.
_SETTINGS = re.compile(r"^SET STATEMENT\b.*?\bFOR\s+")
#: A change behind a WITH.
_WRITES = r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET)\b"
#: (engine, statement, the lock it takes), the first that matches. A file may declare a stronger lock, never a weaker one.
_STATEMENTS: list[tuple[str, re.Pattern[str], str]] = [
    (engine, re.compile(pattern, re.IGNORECASE), lock)
    for engine, pattern, lock in (
        ("postgresql", r"^VACUUM\s*(\([^)]*\bFULL\b|FULL\b)", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^(VACUUM|ANALYZE)\b", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", r"^(REINDEX|CREATE|DROP)\b.*\bCONCURRENTLY\b", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", r"^REINDEX\b", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^CREATE\s+(UNIQUE\s+)?INDEX\b", "SHARE"),
        ("postgresql", r"^(DROP|TRUNCATE|CLUSTER)\b", "ACCESS EXCLUSIVE"),
        (
            "postgresql",
            r"^ALTER\s+TABLE\b.*\b(VALIDATE|SET STATISTICS|ATTACH PARTITION|DETACH\b.*\b(CONCURRENTLY|FINALIZE))\b",
            "SHARE UPDATE EXCLUSIVE",
        ),
        ("postgresql", r"^(ALTER|LOCK)\b", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^(INSERT|UPDATE|DELETE|MERGE)\b", "ROW EXCLUSIVE"),
        ("postgresql", rf"^WITH\b.*{_WRITES}", "ROW EXCLUSIVE"),
        ("postgresql", r"^(SELECT|WITH)\b", "none"),
        ("mysql", r"^OPTIMIZE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        ("mysql", r"^ALTER\b.*\bLOCK\s*=\s*NONE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        ("mysql", r"^ALTER\b.*\b(DROP|TRUNCATE)\s+PARTITION\b", "MDL EXCLUSIVE"),
        ("mysql", r"^(ALTER|REPAIR)\b", "MDL SHARED NO WRITE"),
        ("mysql", r"^(DROP|TRUNCATE|LOCK)\b", "MDL EXCLUSIVE"),
        ("mysql", r"^(ANALYZE|CHECK)\b", "MDL SHARED READ"),
        ("mysql", r"^(INSERT|UPDATE|DELETE)\b", "MDL SHARED WRITE"),
        ("mysql", rf"^WITH\b.*{_WRITES}", "MDL SHARED WRITE"),
        ("mysql", r"^(SELECT|SHOW|WITH)\b", "none"),
        ("sqlite", r"^VACUUM\b", "EXCLUSIVE"),
        ("sqlite", r"^(REINDEX|ANALYZE|INSERT|UPDATE|DELETE|DROP|ALTER|CREATE)\b", "RESERVED"),
        ("sqlite", r"^PRAGMA\s+(\{\w+\}\.)?(incremental_vacuum|wal_checkpoint|optimize)\b", "RESERVED"),
        ("sqlite", rf"^WITH\b.*{_WRITES}", "RESERVED"),
        ("sqlite", r"^(SELECT|WITH|PRAGMA\s+(\{\w+\}\.)?(integrity_check|quick_check|foreign_key_check))\b", "none"),
    )
]


def lock_of(tool: Tool) -> Lock:
    """The lock a tool declares; `none` for tools without SQL."""
    return LOCKS.get(tool.engine, {}).get(tool.lock, LOCKS["postgresql"]["none"])


def taken_by(sql: str, engine: str) -> Lock | None:
    """The lock a statement takes, None when the table does not know it."""
    flat = _SETTINGS.sub("", " ".join(sql.split()))
    for known, pattern, name in _STATEMENTS:
        if known == engine and pattern.search(flat):
            return LOCKS[engine][name]
    return None


def contradiction(tool: Tool) -> str | None:
    """What is wrong with the lock a tool's file declares, or None. Unknown statements are refused: fail closed."""
    if tool.engine == "common":
        return None
    if tool.lock not in LOCKS[tool.engine]:
        return f"unknown lock {tool.lock!r}; known: {', '.join(LOCKS[tool.engine])}"
    # The lock on the table that is named counts: what was detached from it before is nobody's table any more.
    sent = ("detach", "finalize", "cleanup", "undo") if "detach" in tool.blocks else ("hold", "do", "cleanup", "undo")
    for block in tool.blocks.values():
        if block.name not in sent:
            continue
        taken = taken_by(block.text, tool.engine)
        if taken is None:
            return f"safety/locks.py does not know which lock `{block.text[:40]}…` takes"
        if taken.strength > LOCKS[tool.engine][tool.lock].strength:
            return f"`{block.name}` takes {taken.name}, the file declares {tool.lock}"
    return None

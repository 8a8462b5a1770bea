"""Statement -> locks, on every table they fall on -> what they block and how long they may be waited for. Pure tables.

Sources: PostgreSQL documentation, chapter Explicit Locking, and the manual page of each command; MariaDB Knowledge Base,
Metadata Locking and InnoDB Online DDL; sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aishell.registry.tool import Block, Tool


@dataclass(frozen=True)
class Lock:
    """`blocks`: who waits while it is held. `queues`: readers queue behind whoever waits for it. `timeout`: seconds of waiting
    for it altogether, `tries` times where nobody queues."""

    name: str
    strength: int
    blocks: str
    timeout: float
    tries: int = 3
    queues: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether the application's reads wait for it as long as it is held."""
        return self.strength >= 8


@dataclass(frozen=True)
class Wait:
    """How long locks are waited for: `seconds` at a time, `patience` seconds altogether with the pauses."""

    seconds: float
    patience: float

    @property
    def sliced(self) -> bool:
        return self.seconds < self.patience


#: So long, in seconds, a reader may queue behind a lock that we wait for. Then we let everybody pass, and ask again.
SLICE = 1.0
#: A patient wait for what queues behind autovacuum (a short one leaves invalid indexes); for what blocks readers, in slices.
_PATIENT, _SHORT = 300.0, 15.0

LOCKS: dict[str, dict[str, Lock]] = {
    "postgresql": {
        lock.name: lock
        for lock in (
            Lock("none", 0, "nothing", 5),
            Lock("ACCESS SHARE", 1, "only ACCESS EXCLUSIVE: DROP, TRUNCATE, VACUUM FULL", 5),
            Lock("ROW SHARE", 2, "EXCLUSIVE and ACCESS EXCLUSIVE", 5),
            Lock("ROW EXCLUSIVE", 3, "CREATE INDEX and stronger", 5),
            Lock("SHARE UPDATE EXCLUSIVE", 4, "other maintenance and schema changes; reads and writes go on", _PATIENT),
            # Never waited for, and given up when somebody waits (vacuumlazy.c, lazy_truncate_heap); a standby replays it.
            Lock(
                "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE",
                4,
                "other maintenance and schema changes; everything for the moment in which empty pages at the end are cut off",
                _PATIENT,
            ),
            Lock("SHARE", 5, "writes; reads go on", _SHORT),
            Lock("SHARE ROW EXCLUSIVE", 6, "writes; reads go on", _SHORT),
            Lock("EXCLUSIVE", 7, "writes; plain reads go on", _SHORT),
            Lock("ACCESS EXCLUSIVE", 8, "everything, reads too", _SHORT, queues=True),
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
                _SHORT,
                queues=True,
            ),
            Lock("MDL SHARED NO WRITE", 5, "writes; reads go on", 5),
            Lock(
                "MDL SHARED NO WRITE, brief EXCLUSIVE",
                5,
                "writes; everything for a moment at the start and the end",
                _SHORT,
                queues=True,
            ),
            Lock(
                "BACKUP STAGE, brief BLOCK_COMMIT",
                5,
                "schema changes while it ends; commits for a moment at its end; reads go on",
                5,
            ),
            Lock("MDL SHARED NO READ WRITE", 8, "everything, reads too", _SHORT, queues=True),
            Lock("MDL EXCLUSIVE", 8, "everything, reads too", _SHORT, queues=True),
        )
    },
    # Whoever waits to commit keeps new readers out with a PENDING lock, but in WAL mode (sqlite.org/lockingv3.html, section 5).
    "sqlite": {
        lock.name: lock
        for lock in (
            Lock("none", 0, "nothing", 5),
            Lock("SHARED", 1, "the commit of a writer (not in WAL mode)", 5),
            Lock(
                "RESERVED",
                4,
                "other writers; everything for the moment of the commit (in WAL mode reads go on)",
                _SHORT,
                queues=True,
            ),
            Lock(
                "EXCLUSIVE",
                8,
                "everything (in WAL mode: other writers, and readers at the checkpoint)",
                _SHORT,
                queues=True,
            ),
        )
    },
}

#: The blocks that lock or change something.
_LOCKING = frozenset({"detach", "finalize", "hold", "do", "cleanup", "undo"})
#: The tables beside the one that is named on which locks can fall: `locks_too` of a file names them so.
ROLES: Mapping[str, str] = {
    "partition": "the partition that goes, and the DEFAULT one",
    "index": "the index that goes, once nobody uses it any more",
    "referenced": "the tables that foreign keys of it refer to",
    "referring": "the tables whose foreign keys refer to it",
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
        ("postgresql", r"^VACUUM\b", "SHARE UPDATE EXCLUSIVE, brief ACCESS EXCLUSIVE"),
        ("postgresql", r"^ANALYZE\b", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", r"^(REINDEX|CREATE|DROP)\b.*\bCONCURRENTLY\b", "SHARE UPDATE EXCLUSIVE"),
        ("postgresql", r"^REINDEX\b", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^CREATE\s+(UNIQUE\s+)?INDEX\b", "SHARE"),
        ("postgresql", r"^(DROP|TRUNCATE|CLUSTER)\b", "ACCESS EXCLUSIVE"),
        (
            "postgresql",
            r"^ALTER\s+TABLE\b.*\b(VALIDATE|SET STATISTICS|ATTACH PARTITION|DETACH\b.*\b(CONCURRENTLY|FINALIZE))\b",
            "SHARE UPDATE EXCLUSIVE",
        ),
        # On no table, and on the database what a session in it has as well (dbcommands.c, AlterDatabaseSet).
        ("postgresql", r"^ALTER\s+DATABASE\s+\S+\s+(SET|RESET)\b", "none"),
        ("postgresql", r"^(ALTER|LOCK)\b", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^(INSERT|UPDATE|DELETE|MERGE)\b", "ROW EXCLUSIVE"),
        ("postgresql", rf"^WITH\b.*{_WRITES}", "ROW EXCLUSIVE"),
        ("postgresql", r"^(SELECT|WITH)\b", "none"),
        ("mysql", r"^OPTIMIZE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        ("mysql", r"^ALTER\b.*\bLOCK\s*=\s*NONE\b", "MDL SHARED UPGRADABLE, brief EXCLUSIVE"),
        ("mysql", r"^ALTER\b.*\b(DROP|TRUNCATE)\s+PARTITION\b", "MDL EXCLUSIVE"),
        ("mysql", r"^(ALTER|REPAIR)\b", "MDL SHARED NO WRITE, brief EXCLUSIVE"),
        ("mysql", r"^LOCK\b", "MDL SHARED NO READ WRITE"),
        ("mysql", r"^(DROP|TRUNCATE)\b", "MDL EXCLUSIVE"),
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


#: (engine, statement, role, the lock it takes there): every one that matches.
_ELSEWHERE: list[tuple[str, re.Pattern[str], str, str]] = [
    (engine, re.compile(pattern, re.IGNORECASE), role, lock)
    for engine, pattern, role, lock in (
        ("postgresql", r"^ALTER\s+TABLE\b.*\b(DE|AT)TACH\b", "partition", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^ALTER\s+TABLE\b.*\b(DE|AT)TACH\b", "referenced", "SHARE ROW EXCLUSIVE"),
        # The triggers of a foreign key stand on the table it refers to, and go with it (trigger.c, RemoveTriggerById).
        ("postgresql", r"^DROP\s+TABLE\b", "referenced", "ACCESS EXCLUSIVE"),
        ("postgresql", r"^DROP\s+INDEX\s+CONCURRENTLY\b", "index", "ACCESS EXCLUSIVE"),
        ("postgresql", rf"^DELETE\b|^WITH\b.*{_WRITES}", "referring", "ROW EXCLUSIVE"),
        ("postgresql", r"^(INSERT|UPDATE)\b", "referenced", "ROW SHARE"),
        ("mysql", r"^DELETE\b", "referring", "MDL SHARED WRITE"),
        ("mysql", r"^INSERT\b.*\bON\s+DUPLICATE\s+KEY\s+UPDATE\b", "referring", "MDL SHARED READ"),
    )
]


def lock_of(tool: Tool) -> Lock:
    """The lock a tool declares for the table it is called with; `none` for tools without SQL.

    Where its statements take only another one that is as strong, that one: it says more of what is blocked.
    """
    declared = LOCKS.get(tool.engine, {}).get(tool.lock, LOCKS["postgresql"]["none"])
    taken = [taken_by(block.text, tool.engine) for block in _sent(tool) if _place(tool, block) == ""]
    as_strong = [lock for lock in taken if lock is not None and lock.strength == declared.strength]
    return declared if declared in as_strong or not as_strong else as_strong[0]


def locks_of(tool: Tool) -> dict[str, Lock]:
    """Every lock of a tool: that of the table it is called with first (role ``), then those on others, by ROLES.

    What a file does not state of other tables is what its statements are known to take.
    """
    known = LOCKS.get(tool.engine, {})
    elsewhere = {role: known[name] for role, name in tool.locks_too.items()}
    return {
        "": lock_of(tool),
        **{role: elsewhere.get(role, lock) for role, lock in _derived(tool).items()},
        **elsewhere,
    }


def locks_elsewhere(tool: Tool) -> dict[str, str]:
    """The locks of a tool on other tables than the one it is called with: on which, in words, and the lock's name."""
    return {ROLES[role]: lock.name for role, lock in locks_of(tool).items() if role}


def wait_of(tool: Tool) -> Wait:
    """How long a tool waits for its locks: in slices where readers would queue on any of the tables."""
    patience = tool.lock_timeout if tool.lock_timeout is not None else lock_of(tool).timeout
    queues = any(lock.queues for lock in felt(tool).values())
    return Wait(min(SLICE, patience) if queues else patience, patience)


def felt(tool: Tool) -> dict[str, Lock]:
    """The locks of a tool that the application can meet, by ROLES: an index is only dropped when no query can see it."""
    return {role: lock for role, lock in locks_of(tool).items() if role != "index"}


def taken_by(sql: str, engine: str) -> Lock | None:
    """The lock a statement takes on the table it names, None when the table does not know it."""
    flat = _flat(sql)
    for known, pattern, name in _STATEMENTS:
        if known == engine and pattern.search(flat):
            return LOCKS[engine][name]
    return None


def taken_elsewhere(sql: str, engine: str) -> dict[str, Lock]:
    """The locks a statement takes on other tables, by ROLES."""
    flat = _flat(sql)
    return {
        role: LOCKS[engine][name]
        for known, pattern, role, name in _ELSEWHERE
        if known == engine and pattern.search(flat)
    }


def contradiction(tool: Tool) -> str | None:
    """What is wrong with the locks a tool's file declares, or None. Unknown statements are refused: fail closed."""
    if tool.engine == "common":
        return None
    for name in (tool.lock, *tool.locks_too.values()):
        if name not in LOCKS[tool.engine]:
            return f"unknown lock {name!r}; known: {', '.join(LOCKS[tool.engine])}"
    for role in tool.locks_too:
        if role not in ROLES:
            return f"unknown role {role!r} in locks_too; known: {', '.join(ROLES)}"
    stated = locks_of(tool)
    for block in _sent(tool):
        taken = taken_by(block.text, tool.engine)
        if taken is None:
            return f"safety/locks.py does not know which lock `{block.text[:40]}…` takes"
        on = _place(tool, block)
        if taken.strength > stated[on].strength:
            return f"`{block.name}` takes {taken.name}{_on(on)}, the file declares {stated[on].name}"
        for role, lock in taken_elsewhere(block.text, tool.engine).items():
            if lock.strength > stated[role].strength:
                return f"`{block.name}` takes {lock.name}{_on(role)}, the file declares {stated[role].name}"
    return None


def _derived(tool: Tool) -> dict[str, Lock]:
    """The strongest lock that the tool's statements take on each of the other tables."""
    found: dict[str, Lock] = {}
    for block in _sent(tool):
        for role, lock in taken_elsewhere(block.text, tool.engine).items():
            found[role] = max(found.get(role, lock), lock, key=lambda one: one.strength)
    return found


def _sent(tool: Tool) -> list[Block]:
    """The blocks that lock or change something."""
    return [block for name, block in tool.blocks.items() if name in _LOCKING]


def _place(tool: Tool, block: Block) -> str:
    """The role of what a block names: what was detached from a table before is no part of that table any more."""
    return "partition" if block.name in ("hold", "do") and "detach" in tool.blocks else ""


def _on(role: str) -> str:
    return f" on {ROLES[role]}" if role else ""


def _flat(sql: str) -> str:
    return _SETTINGS.sub("", " ".join(sql.split()))

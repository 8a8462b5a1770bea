"""Statement -> locks, on every table they fall on -> what they block and how long they may be waited for. Pure.

The tables are those of the engines' profiles.

Sources: PostgreSQL documentation, chapter Explicit Locking, and the manual page of each command; MariaDB Knowledge Base,
Metadata Locking and InnoDB Online DDL; sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aishell.engines import PROFILES, profile
from aishell.engines.base import Lock
from aishell.registry.tool import Block, Tool


@dataclass(frozen=True)
class Wait:
    """Lock waits: `seconds` for one attempt, `patience` seconds in total, pauses included."""

    seconds: float
    patience: float

    @property
    def sliced(self) -> bool:
        return self.seconds < self.patience


#: So long, in seconds, a reader may queue behind a lock that we wait for. Then we let everybody pass, and ask again.
SLICE = 1.0
#: Of tools without SQL.
NONE = Lock("none", 0, "nothing", 5)
LOCKS: Mapping[str, Mapping[str, Lock]] = {engine.name: engine.locks for engine in PROFILES.values()}

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


def lock_of(tool: Tool) -> Lock:
    """The lock a tool declares for the table it is called with; `none` for tools without SQL.

    Where its statements take only another one that is as strong, that one: it says more of what is blocked.
    """
    declared = LOCKS.get(tool.engine, {}).get(tool.lock, NONE)
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
    """A tool's locks on tables other than its target: the role of the table, in words, and the lock's name."""
    return {ROLES[role]: lock.name for role, lock in locks_of(tool).items() if role}


def wait_of(tool: Tool) -> Wait:
    """How long a tool waits for its locks: in slices where readers would queue on any of the tables."""
    patience = tool.lock_timeout if tool.lock_timeout is not None else lock_of(tool).timeout
    queues = any(lock.queues for lock in felt(tool).values())
    return Wait(min(SLICE, patience) if queues else patience, patience)


def felt(tool: Tool) -> dict[str, Lock]:
    """The locks of a tool that can block the application, by ROLES: an index is dropped only when no query can see it."""
    return {role: lock for role, lock in locks_of(tool).items() if role != "index"}


def taken_by(sql: str, engine: str) -> Lock | None:
    """The lock that a statement takes on the table it names; None if the profile does not list the statement."""
    flat, known = _flat(sql), profile(engine)
    found = (name for pattern, name in known.taken if re.search(pattern, flat, re.IGNORECASE))
    return next((known.locks[name] for name in found), None)


def taken_elsewhere(sql: str, engine: str) -> dict[str, Lock]:
    """The locks a statement takes on other tables, by ROLES."""
    flat, known = _flat(sql), profile(engine)
    found = (one for one in known.taken_elsewhere if re.search(one[0], flat, re.IGNORECASE))
    return {role: known.locks[name] for _, role, name in found}


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
    return next((fault for block in _sent(tool) if (fault := _undeclared(tool, block, stated))), None)


def _undeclared(tool: Tool, block: Block, stated: Mapping[str, Lock]) -> str | None:
    """The fault of a statement whose lock is unknown or stronger than the file declares, or None."""
    taken = taken_by(block.text, tool.engine)
    if taken is None:
        return f"engines/{tool.engine}.py does not know which lock `{block.text[:40]}…` takes"
    for role, lock in ((_place(tool, block), taken), *taken_elsewhere(block.text, tool.engine).items()):
        if lock.strength > stated[role].strength:
            on = f" on {ROLES[role]}" if role else ""
            return f"`{block.name}` takes {lock.name}{on}, the file declares {stated[role].name}"
    return None


def _derived(tool: Tool) -> dict[str, Lock]:
    """The strongest lock that the tool's statements take on each of the other tables."""
    found: dict[str, Lock] = {}
    for block in _sent(tool):
        for role, lock in taken_elsewhere(block.text, tool.engine).items():
            found[role] = max(found.get(role, lock), lock, key=lambda one: one.strength)
    return found


def _sent(tool: Tool) -> list[Block]:
    return [block for name, block in tool.blocks.items() if name in _LOCKING]


def _place(tool: Tool, block: Block) -> str:
    """The role of what a block names: what was detached from a table before is no part of that table any more."""
    return "partition" if block.name in ("hold", "do") and "detach" in tool.blocks else ""


def _flat(sql: str) -> str:
    return _SETTINGS.sub("", " ".join(sql.split()))

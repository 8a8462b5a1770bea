"""The store looks after itself: whether it is whole, and its free pages given back to the disk."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aishell.commands import command
from aishell.errors import StateError
from aishell.state.store import Store

#: The share of free pages from which on the file is written anew: it takes as long as all that is in it, and writers wait.
WORTH = 0.1


@dataclass(frozen=True)
class Upkeep:
    """What was found and done: bytes of the file before and after, those that were free, and seconds in which writers waited."""

    bytes_before: int
    bytes_after: int
    free_before: int
    compacted: bool
    seconds: float


def maintain(store: Store, *, compact: bool = False) -> Upkeep:
    """Check the store, write it anew where much of it is free (`compact`: in any case), and empty its write-ahead log.

    Raises StateError for a store that is damaged, of which nothing is changed then, and where there is no room to write it.
    """
    problems = store.check()
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise StateError(
            f"{store.path} is damaged: {problems[0]}{more}",
            hint=f"restore it from a copy; {command('audit', 'verify')} tells what of the log is whole",
        )
    with store.read() as connection:
        size, pages, free = (
            int(connection.value(f"PRAGMA {name}")) for name in ("page_size", "page_count", "freelist_count")
        )
    began, worth = time.monotonic(), compact or free > WORTH * pages
    after = store.compact(vacuum=worth)
    return Upkeep(pages * size, after, free * size, worth, round(time.monotonic() - began, 3))

"""Seals: what the audit log keeps of the events that were moved out of it into sealed files, so that it stays whole without them.

The newest event `audit_sealed` has it all: where the log begins now, every sealed file, and what the sealed events had told that
counts further on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aishell.state.connection import Connection

SEALED = "audit_sealed"
_ALL = "SELECT data FROM events WHERE type = 'audit_sealed'"


@dataclass(frozen=True)
class Part:
    """One sealed file: its first event and its last, the hash of that, and when and by whom it was sealed."""

    first: int
    through: int
    head: str
    file: str  # as it was named; it may have been moved since
    at: str
    by: str


@dataclass(frozen=True)
class Seal:
    """All that was sealed until now. `runs`: those of it that were still in the store; `missing`: how many were not."""

    parts: Sequence[Part]
    runs: frozenset[str]
    missing: int
    pruned: int  # so many runs the sealed events tell to have been pruned
    broken: Sequence[Mapping[str, Any]]  # {event, text}: what runs had found wrong with the log
    earned: Sequence[Mapping[str, Any]]  # {subject, counted}: supervised runs, as `state.autonomy` counts them

    @property
    def through(self) -> int:
        """The number of the last event that was sealed."""
        return self.parts[-1].through

    @property
    def head(self) -> str:
        """Its hash: the first event that is left follows from it."""
        return self.parts[-1].head


def newest_seal(connection: Connection) -> Seal | None:
    """What was sealed until now, None where the log still begins with its first event.

    Each seal takes the events before it away, so that one alone ends where the log begins. Where none does, or two, there is
    none: the chain then does not begin where it should, and shows it.
    """
    first = connection.value("SELECT min(id) FROM events")
    if first is None or first == 1:
        return None
    found = [
        seal for row in connection.all(_ALL) if (seal := _read(row.data)) is not None and seal.through == first - 1
    ]
    return found[0] if len(found) == 1 else None


def _read(text: str) -> Seal | None:
    """A seal as its event tells it; None for what is none."""
    try:
        data = json.loads(text)
        parts = [Part(**part) for part in data["parts"]]
        seal = Seal(parts, frozenset(data["runs"]), data["missing"], data["pruned"], data["broken"], data["earned"])
    except (ValueError, KeyError, TypeError):
        return None
    return seal if parts else None

"""Audit events of what is sent to a target: statements that may change something in full, reading ones as counts by block."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aishell.codec import plain
from aishell.databases.base import Session, Statement

#: An audit event: its type and its data.
Event = tuple[str, Mapping[str, Any]]


class Sending:
    """Receives every statement of a tool's file before it is sent, from all sessions of the target's databases.

    Sessions are told apart by their marker: what a step's sessions send belongs to the step, all else to the run.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._lists: dict[str, list[Event]] = {}
        self._reading: dict[str, Counter[tuple[str, str, str]]] = {}
        self._whole: dict[tuple[str, str], Mapping[str, Any]] = {}  # (marker, digest) -> the values first sent with it

    def open(self, marker: str, happened: list[Event]) -> None:
        """Add the statements of a step's sessions to its events `happened` from now on."""
        with self._guard:
            self._lists[marker] = happened

    def close(self, marker: str) -> list[Event]:
        """End a step; the event of what it has read."""
        with self._guard:
            self._lists.pop(marker, None)
            self._whole = {key: values for key, values in self._whole.items() if key[0] != marker}
            return _read_events(self._reading.pop(marker, Counter()))

    def rest(self) -> list[Event]:
        """The events of what was sent outside of steps since the last call: inspection, checks, progress, clean-up."""
        with self._guard:
            happened = self._lists.pop("", [])
            read: Counter[tuple[str, str, str]] = Counter()
            for marker in [marker for marker in self._reading if marker not in self._lists]:
                read += self._reading.pop(marker)
            return [*happened, *_read_events(read)]

    def hear(self, statement: Statement, session: Session) -> None:
        """A statement is about to be sent."""
        digest = hashlib.sha256(statement.sql.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        with self._guard:
            marker = session.marker
            if statement.reads or session.read_only:
                self._reading.setdefault(marker, Counter())[statement.source, statement.block, digest] += 1
                return
            happened = self._lists.get(marker)
            if happened is None:
                happened = self._lists.setdefault("", [])
            where = {"source": statement.source, "block": statement.block, "session": session.server_session}
            first = self._whole.get((marker, digest))
            if first is None:
                self._whole[marker, digest] = statement.params
                happened.append(("statement_sent", {"sql": statement.text, "digest": digest, **where}))
            else:
                other = {name: plain(value) for name, value in statement.params.items() if first.get(name) != value}
                happened.append(("statement_repeated", {"digest": digest, "values": other, **where}))


def _read_events(read: Counter[tuple[str, str, str]]) -> list[Event]:
    rows = [
        {"source": source, "block": block, "digest": digest, "count": count}
        for (source, block, digest), count in sorted(read.items())
    ]
    return [("statements_read", {"statements": rows})] if rows else []

"""The audit log: every event carries the hash of the one before it, written in the transaction of what it tells."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aishell.models import canonical, now
from aishell.state.connection import Connection

GENESIS = "0" * 64
_LAST = "SELECT id, hash FROM events ORDER BY id DESC LIMIT 1"
_SECRET = re.compile(r"(password|passwd|secret|token|api_?key|private_?key|credential)", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]*):\S+@")  # up to the last @: a password may hold / and @
_QUERY_PASSWORD = re.compile(r"(\w+://\S*?[?&]\w*(?:pass(?!file)|pwd|secret|token)\w*=)[^&\s]*", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """Where the chain is broken."""

    event_id: int
    text: str


def append(
    connection: Connection,
    kind: str,
    data: Mapping[str, Any],
    *,
    run_id: str | None = None,
    step_index: int | None = None,
) -> str:
    """Add an event inside the caller's transaction; its hash."""
    previous = head(connection)[1]
    at, text = now(), canonical(redact(data))
    value = _hash(previous, run_id, step_index, kind, at, text)
    row = {
        "run_id": run_id,
        "step_index": step_index,
        "type": kind,
        "at": at,
        "data": text,
        "previous": previous,
        "hash": value,
    }
    connection.insert("events", row)
    return value


def head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the newest event."""
    row = connection.first(_LAST)
    return (row.id, row.hash) if row else (0, GENESIS)


def verify(connection: Connection, expected_head: str | None = None) -> list[Problem]:
    """Edits, deletions and gaps in the chain; `expected_head` (a printed copy) shows a cut tail or a rewritten chain."""
    problems, previous, last, seen = [], GENESIS, 0, expected_head is None
    for row in connection.execute("SELECT * FROM events ORDER BY id"):
        if last and row.id != last + 1:
            problems.append(Problem(row.id, f"{row.id - last - 1} event(s) before it are missing"))
        if row.previous != previous:
            problems.append(Problem(row.id, "it does not follow from the event before it"))
        if row.hash != _hash(row.previous, row.run_id, row.step_index, row.type, row.at, row.data):
            problems.append(Problem(row.id, "it was changed after it was written"))
        previous, last = row.hash, row.id
        seen = seen or (expected_head is not None and row.hash.startswith(expected_head))
    if not seen:
        problems.append(
            Problem(last, f"no event has the hash {expected_head}: the tail was cut off or the chain rewritten")
        )
    return problems


def redact(value: Any) -> Any:
    """`value` without secrets: by key, and passwords inside URLs."""
    if isinstance(value, Mapping):
        return {key: "***" if _SECRET.search(str(key)) and item else redact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", value))
    return value


def _hash(previous: str, run_id: str | None, step_index: int | None, kind: str, at: str, data: str) -> str:
    text = json.dumps([previous, run_id, step_index, kind, at, data], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

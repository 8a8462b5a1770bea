"""Move the older part of the audit log from the store to a sealed file, and verify such files against the log.

The file is complete and durable before any event is removed, in one transaction with the event that records it. After a
kill in between, both have the events, and the same command continues.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.codec import canonical, plain
from aishell.errors import StateError
from aishell.models import new_id, now
from aishell.state import anchor, audit
from aishell.state.audit import SEALED, Seal, SealedPart, newest_seal
from aishell.state.audit_records import verify_records
from aishell.state.autonomy import Book
from aishell.state.connection import Connection
from aishell.state.runs import ENDED, who
from aishell.state.store import Store

_SPANS = """SELECT e.run_id, min(e.id) AS first, max(e.id) AS last, r.state FROM events AS e
    LEFT JOIN runs AS r ON r.id = e.run_id WHERE e.run_id IS NOT NULL GROUP BY e.run_id ORDER BY first DESC"""
_OLD = f"SELECT {audit.EVENT} FROM events WHERE id <= :through ORDER BY id"  # noqa: S608  our own columns


@dataclass(frozen=True)
class Cut:
    """What can be sealed: events `first` to `through`. `held`: what keeps later old events in the log."""

    first: int
    through: int
    held: str | None = None

    @property
    def count(self) -> int:
        return max(0, self.through - self.first + 1)


def find_cut(connection: Connection, before: str, kept: anchor.Anchor | None) -> Cut:
    """Return the longest part from the log's start that is older than `before` and has only whole, ended runs.

    The anchor's event stays, and so does the newest, so that the log can always be verified against them.
    """
    first = int(connection.value("SELECT min(id) FROM events") or 1)
    newer = connection.value("SELECT min(id) FROM events WHERE at >= :before", {"before": before})
    number = audit.head(connection)[0]
    through = min(number if newer is None else newer, number, kept.events if kept and kept.events else number) - 1
    held = None
    # Newest first: a run across the cut moves it back before the run's own first event.
    for run in connection.all(_SPANS):
        over = run.state is None or run.state in ENDED  # a pruned run has ended
        if run.first <= through and (run.last > through or not over):
            through = run.first - 1
            held = f"the run {run.run_id[:8]}, which is {run.state}," if not over else held
    return Cut(first, through, f"{held} keeps the events after {through} in the log" if held else None)


def seal(store: Store, path: Path, before: str) -> tuple[Cut, SealedPart | None]:
    """Move events older than `before` to a new file; return the cut, and the sealed part (None: nothing to seal).

    Raises StateError if the log is damaged, and if the file exists with other contents.
    """
    with store.read() as connection:
        kept = anchor.read(anchor.path_of(store.path))
        problems = [*audit.verify(connection), *audit.verify_anchor(connection, kept), *verify_records(connection)]
        known = {problem.event_id for problem in audit.reported_breaks(connection)}
        problems = [problem for problem in problems if not (problem.event_id and problem.event_id in known)]
        if problems:
            raise StateError(
                f"the audit log is damaged, and nothing was sealed: {problems[0].text}",
                hint="restore state.db from a copy",
            )
        cut = find_cut(connection, before, kept)
        through = _unfinished(connection, path, cut)
        if through is not None:
            cut = Cut(cut.first, through, cut.held)
        if not cut.count:
            return cut, None
        if through is None:
            _write(path, connection.execute(_OLD, {"through": cut.through}))
    with store.write() as connection:
        last = connection.first("SELECT hash FROM events WHERE id = :id", {"id": cut.through})
        there = connection.value("SELECT count(*) FROM events WHERE id <= :through", {"through": cut.through})
        if last is None or there != cut.count:
            raise StateError("another process sealed the audit log meanwhile", hint=f"remove {path} and try again")
        part = SealedPart(cut.first, cut.through, last.hash, path.name, now(), who())
        audit.append(connection, SEALED, _carried(connection, part))
        connection.execute("DELETE FROM events WHERE id <= :through", {"through": cut.through})
    return cut, part


def _carried(connection: Connection, part: SealedPart) -> dict[str, Any]:
    """Return what the log keeps of the removed events: everything that later counts need."""
    before = newest_seal(connection)
    book, runs, pruned, broken = Book.after(before), set(before.runs), before.pruned, list(before.broken)
    for row in connection.execute(_OLD, {"through": part.through}):
        book.add(tuple(row))
        if row.run_id is not None:
            runs.add(row.run_id)
        if row.type == audit.BROKEN:
            broken.append({"event": row.id, "text": audit.found_broken(row.at, audit.read(row.data))})
        pruned += audit.pruned_runs(row.type, audit.read(row.data))
    there = {row.id for row in connection.execute("SELECT id FROM runs")}
    return {
        "parts": [plain(one) for one in (*before.parts, part)],
        "runs": sorted(runs & there),
        "missing": len(runs - there) + before.missing,
        "pruned": pruned,
        "broken": broken,
        "earned": plain(book.carried()),
    }


def _unfinished(connection: Connection, path: Path, cut: Cut) -> int | None:
    """Return the last event of a file from an earlier, incomplete attempt, None without a file. Raises StateError."""
    if not path.exists():
        return None
    hint = "name a file that does not exist"
    try:
        copy = read(path)
    except (OSError, ValueError) as error:
        raise StateError(f"{path} already exists and is not part of the audit log", hint=hint) from error
    last = connection.first("SELECT hash FROM events WHERE id = :id", {"id": copy[-1]["id"] if copy else 0})
    fits = last is not None and copy[0]["id"] == cut.first and copy[-1]["hash"] == last.hash
    if not fits or copy[-1]["id"] > cut.through or audit.verify_copy(connection, copy) or len(copy) != _span(copy):
        raise StateError(f"{path} already exists", hint=hint)
    return int(copy[-1]["id"])


def _span(copy: Sequence[Mapping[str, Any]]) -> int:
    return int(copy[-1]["id"]) - int(copy[0]["id"]) + 1


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write each event as a line, as in an export: the file is complete and durable, or absent. Raises StateError."""
    unfinished = path.with_name(f".{path.name}.{new_id()[:12]}")
    try:
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for row in rows:
                file.write(canonical({**dict(row), "data": json.loads(row["data"])}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)  # never replaces a file
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # its name
        finally:
            os.close(folder)
    except OSError as error:
        raise StateError(
            f"{path} cannot be written: {error.strerror}; nothing was removed from the audit log",
            hint="name a file in a folder that this user can write, on a disk with room for it",
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file, by number. Raises OSError, and ValueError for any other content."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines or not all(
        isinstance(line, dict) and isinstance(line.get("id"), int) and "hash" in line for line in lines
    ):
        raise ValueError("no events")
    return sorted(lines, key=lambda line: line["id"])


def verify_files(
    seal_: Seal, copies: Iterable[Sequence[Mapping[str, Any]]]
) -> tuple[list[audit.Problem], list[Mapping[str, Any]]]:
    """Verify sealed events in files; return the problems, and the events if they reach back to the first one.

    Other events are ignored. A sealed part of which a file has any event must be complete.
    """
    events = {line["id"]: line for copy in copies for line in copy if line["id"] <= seal_.through}
    problems = [problem for part in seal_.parts for problem in _verify_part(part, events)]
    if not events or problems or len(events) < seal_.through - seal_.parts[0].first + 1:
        return problems, []
    return [], [events[number] for number in sorted(events)]


def _verify_part(part: SealedPart, known: Mapping[int, Mapping[str, Any]]) -> Iterator[audit.Problem]:
    """Verify from the last event, whose hash the log has, to the first: each has the hash of the one before it."""
    events = [known[number] for number in range(part.first, part.through + 1) if number in known]
    missing = part.through - part.first + 1 - len(events)
    name = f"the sealed events {part.first} to {part.through} ({part.file})"
    if events and missing:
        yield audit.Problem(part.through, f"{name}: {missing} are missing from the file")
        return
    expected = part.head
    for event in reversed(events):
        if event["hash"] != expected or audit.hash_of(event) != expected:
            yield audit.Problem(int(event["id"]), f"{name}: the file was changed after it was sealed")
            return
        expected = str(event["previous"])

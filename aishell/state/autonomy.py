"""Supervised runs of tools on targets, counted only from the audit log.

A run counts once for a tool if a person at a terminal approved one of the tool's steps and the step was done. One
failure, rollback or rejection of the tool on the target, identified by name or by its database's identity, resets the
count. The chain of events is verified on the way: after a break the count starts again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from aishell.codec import plain
from aishell.errors import StateError
from aishell.models import Subject, Tally
from aishell.state import anchor, audit
from aishell.state.audit import Seal, newest_seal
from aishell.state.connection import Connection
from aishell.state.store import Store

#: The most runs that are counted, and the most that a rule can require.
MOST = 1000
_OVER = ("completed", "failed", "cancelled")
_NEWER = f"SELECT {audit.EVENT} FROM events WHERE id > :last ORDER BY id"  # noqa: S608  our own columns

Place = tuple[str, int]  # a run and the index of a step


@dataclass(frozen=True)
class Counted:
    """A supervised run that ended verified, and the number of its event."""

    run_id: str
    event: int


@dataclass
class Book:
    """The counts from the events read so far. `number` and `head`: of the newest event read."""

    number: int = 0
    head: str = audit.GENESIS
    counted: dict[Subject, list[Counted]] = field(default_factory=dict)
    broken: str | None = None  # the last break of the chain
    _began: dict[Place, Subject] = field(default_factory=dict)
    _pending: dict[Place, Subject] = field(default_factory=dict)
    _approved: set[Place] = field(default_factory=set)
    _spoiled: set[tuple[str, str]] = field(default_factory=set)  # (run, name of a tool that failed in it)

    @classmethod
    def after(cls, seal: Seal) -> Book:
        """Return a book that begins after the sealed events, with the counts that the seal carried over."""
        carried = {
            Subject(**one["subject"]): [Counted(run, event) for run, event in one["counted"]] for one in seal.earned
        }
        return cls(seal.through, seal.head, carried)

    def carried(self) -> list[dict[str, Any]]:
        """Return the counts in the form that a seal carries over."""
        return [
            {"subject": subject, "counted": [[one.run_id, one.event] for one in runs]}
            for subject, runs in self.counted.items()
        ]

    def add(self, event: tuple[Any, ...]) -> None:
        """Verify the next event, given as its columns, against the one before it, and count it."""
        number, run_id, step_index, kind, _, data, _, head = event
        whole = audit.follows(event, self.number, self.head)
        self.number, self.head = number, head
        if not whole:
            self._break(number, "was changed, or events before it are missing")
        elif kind == audit.BROKEN:
            self._break(number, "reports that the log was cut")
        elif kind in _COUNTING and run_id is not None:
            _COUNTING[kind](self, (run_id, step_index), audit.read(data), number)

    def tally(self, subject: Subject, run_id: str | None = None) -> Tally:
        """Return the count for a subject. `run_id`: the calling run. One without an identity matches any database."""
        for (other, _), begun in self._began.items():
            if other != run_id and _concerns(subject, begun):
                return Tally(
                    problem=f"{begun.tool} has begun in run {other[:8]} and not ended: resume or cancel that run"
                )
        if subject.identity:
            runs = self.counted.get(subject, [])
        else:
            same = [runs for one, runs in self.counted.items() if runs and replace(one, identity="") == subject]
            runs = max(same, key=lambda runs: runs[-1].event, default=[])
        return Tally(tuple(one.event for one in runs), self.broken if not runs else None)

    def _break(self, number: int, why: str) -> None:
        """Discard all counts from before a break in the log."""
        self.broken = f"runs before event {number} of the audit log do not count: the event {why}"
        for kept in (self.counted, self._began, self._pending, self._approved):
            kept.clear()

    def _lost(self, place: Place, subject: Subject, tool: str | None = None) -> None:
        """Reset the count of a tool on a target after a failure, rollback or rejection."""
        lost = subject.tool if tool is None else tool
        self._spoiled.add((place[0], lost))
        for one in [one for one in self.counted if one.tool == lost and _same_place(one, subject)]:
            del self.counted[one]

    def _run_over(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        """At the end of a run, count steps that started and never ended as failures."""
        if data.get("to") in _OVER:
            for begun in [one for one in self._began if one[0] == place[0]]:
                self._lost(begun, self._began.pop(begun))

    def _step_began(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        subject = subject_of(data)
        if subject is not None:
            self._began[place] = subject
            if subject.takes_back is not None:
                self._lost(place, subject, subject.takes_back)

    def _step_over(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        began = self._began.pop(place, None)
        subject = began or subject_of(data)
        status, approved = data.get("status"), place in self._approved
        if subject is None or status == "pending":  # interrupted: it will be retried
            return
        self._approved.discard(place)
        if status in ("failed", "in_doubt"):
            self._lost(place, subject)
        elif status == "done" and approved and began is not None and (place[0], subject.tool) not in self._spoiled:
            runs = self.counted.setdefault(subject, [])
            if all(one.run_id != place[0] for one in runs):
                runs.append(Counted(place[0], number))
                del runs[:-MOST]

    def _requested(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        subject = subject_of(data)
        if subject is not None:
            self._pending[place] = subject

    def _decided(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        status = data.get("status")
        subject = subject_of(data) or self._pending.get(place)
        if status == "rejected" and subject is not None:
            self._lost(place, subject)
        # Not --yes, a schedule or a program, nor the daemon's socket, where a program may answer.
        if status == "approved" and str(data.get("terminal") or "").startswith("/"):
            self._approved.add(place)
        elif status != "consumed":
            self._approved.discard(place)

    def _used(self, place: Place, data: Mapping[str, Any], number: int) -> None:
        self._approved.discard(place)  # it runs without approval now, even if an earlier attempt was approved


_COUNTING = {
    "state_changed": Book._run_over,
    "step_started": Book._step_began,
    "step_completed": Book._step_over,
    "step_failed": Book._step_over,
    "step_skipped": Book._step_over,
    "approval_requested": Book._requested,
    "approval_decided": Book._decided,
    "autonomy_used": Book._used,
}


class Autonomy:
    """Earned autonomy according to a store's log. Each event is read once per process. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._book: Book | None = None

    def tally(self, subject: Subject, run_id: str | None = None, connection: Connection | None = None) -> Tally:
        """Return the count for a subject by the present log, in the transaction of `connection` if given."""
        with self._reading(connection) as lent:
            problem = self._cut_off(lent)
            return self._read(lent).tally(subject, run_id) if problem is None else Tally(problem=problem)

    def at_stake(
        self, tool: str, subject: Subject, connection: Connection | None = None
    ) -> list[tuple[Subject, Tally]]:
        """Return the counts that a failure of a tool would reset on a subject's target."""
        with self._reading(connection) as lent:
            counted = self._read(lent).counted
            there = [one for one in counted if one.tool == tool and _same_place(one, subject)]
            return [(one, Tally(tuple(run.event for run in counted[one]))) for one in there if counted[one]]

    @contextmanager
    def _reading(self, connection: Connection | None) -> Iterator[Connection]:
        """Yield the connection, or a new one; one thread at a time."""
        with nullcontext(connection) if connection is not None else self._store.read() as lent, self._guard:
            yield lent

    def _read(self, connection: Connection) -> Book:
        if self._book is None or not _is_current(connection, self._book):
            self._book = Book.after(newest_seal(connection))
        for row in connection.execute(_NEWER, {"last": self._book.number}):
            self._book.add(tuple(row))
        return self._book

    def _cut_off(self, connection: Connection) -> str | None:
        """Return how the log differs from the head that the last run left beside the store, None if it does not."""
        try:
            kept = anchor.read(anchor.path_of(self._store.path))
        except StateError as error:
            return error.message
        problems = [*audit.missing_anchor(connection, kept), *audit.verify_anchor(connection, kept)]
        return problems[0].text if problems else None


def reset(subject: Subject, tally: Tally, because: str) -> tuple[str, dict[str, Any]]:
    """Return the event of a reset count, to be committed together with its cause."""
    data = {"subject": plain(subject), "count": tally.count, "events": list(tally.events), "because": because}
    return "autonomy_reset", data


def _is_current(connection: Connection, book: Book) -> bool:
    """Whether the last event read is unchanged in the log."""
    found = connection.value("SELECT hash FROM events WHERE id = :id", {"id": book.number})
    return bool(found == book.head) if book.number else True


def subject_of(data: Mapping[str, Any]) -> Subject | None:
    """Return the subject in an event, None for older events and for steps that only read."""
    given = data.get("subject")
    try:
        return Subject(**given) if isinstance(given, dict) else None
    except TypeError:
        return None


def _concerns(subject: Subject, other: Subject) -> bool:
    return subject.tool in (other.tool, other.takes_back) and _same_place(subject, other)


def _same_place(one: Subject, other: Subject) -> bool:
    """Whether two subjects have the same target name or the same database."""
    return one.target == other.target or (one.identity != "" and one.identity == other.identity)

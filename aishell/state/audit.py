"""The audit log: each event has the hash of the one before, and is written in the transaction of its change.

It is verified by its own chain, by the rows of the same transactions (`audit_records`), and by heads kept elsewhere:
in the anchor beside the store, on paper, in an export.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aishell.codec import canonical, digest
from aishell.models import now
from aishell.moments import at as shown
from aishell.state.anchor import Anchor
from aishell.state.connection import AuditEvent, Connection, Record, beginning

GENESIS = "0" * 64
#: The columns of an event.
EVENT = "id, run_id, step_index, type, at, data, previous, hash"
#: The event by which a run reports that the log differed from the anchor; it stays in the log.
BROKEN = "audit_broken"
#: The newest of these events has all that the log keeps of the events moved into sealed files.
SEALED = "audit_sealed"
_SEALS = "SELECT data FROM events WHERE type = 'audit_sealed'"
#: The columns of a step in its seal: not its checkpoint and times, which change without an event of the step.
_STEP_SEALED = (
    "step_id", "tool", "status", "attempt", "params", "digest", "output", "error", "reason", "approved_by", "deferred", "cause",
)  # fmt: skip
#: The columns of a request, and of a run, that never change after they were written.
_REQUEST_SEALED = (
    "run_id", "step_index", "step_id", "digest", "level", "request", "requested_by", "requested_at", "expires_at",
)  # fmt: skip
_RUN_SEALED = ("task_id", "parent_id", "agent", "target", "engine", "created_at", "plan")
#: The columns as text, whatever type they have now. A blob, which only tampering can leave, is shown in hexadecimal.
EVENTS = """SELECT id, run_id, step_index, CAST(type AS TEXT) AS type, CAST(at AS TEXT) AS at,
                    iif(typeof(data) = 'text', data, hex(data)) AS data,
                    CAST(previous AS TEXT) AS previous, CAST(hash AS TEXT) AS hash FROM events ORDER BY id"""
_LAST = "SELECT id, hash FROM events ORDER BY id DESC LIMIT 1"
_SECRET = re.compile(r"(password|passwd|secret|token|api_?key|private_?key|credential)", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]*):\S+@")  # up to the last @: a password may hold / and @
_QUERY_PASSWORD = re.compile(r"(\w+://\S*?[?&]\w*(?:pass(?!file)|pwd|secret|token)\w*=)[^&\s]*", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """A problem with the log; `event_id` is 0 if no single event shows it."""

    event_id: int
    text: str


@dataclass(frozen=True)
class SealedPart:
    """One sealed file: its first and last event, the hash of the last, and when and by whom it was sealed."""

    first: int
    through: int
    head: str
    file: str  # its name when sealed; it may have been moved since
    at: str
    by: str


@dataclass(frozen=True)
class Seal:
    """Everything sealed so far, by default nothing.

    `runs`: the runs of the sealed events that were still in the store; `missing`: how many were not.
    """

    parts: Sequence[SealedPart] = ()
    runs: frozenset[str] = frozenset()
    missing: int = 0
    pruned: int = 0  # runs pruned according to the sealed events
    broken: Sequence[Mapping[str, Any]] = ()  # {event, text}: problems with the log that runs found
    earned: Sequence[Mapping[str, Any]] = ()  # {subject, counted}: supervised runs, as `state.autonomy` counts them

    @property
    def through(self) -> int:
        """The number of the last sealed event, 0 if none."""
        return self.parts[-1].through if self.parts else 0

    @property
    def head(self) -> str:
        """The hash that the log's first event must follow."""
        return self.parts[-1].head if self.parts else GENESIS


def newest_seal(connection: Connection) -> Seal:
    """Return the newest seal, an empty one if the log still begins with its first event.

    A seal removes the events before it, so exactly one seal ends where the log begins. If none or two do, none counts,
    and the chain shows the wrong beginning.
    """
    first = connection.value("SELECT min(id) FROM events")
    if first is None or first == 1:
        return Seal()
    found = [seal for row in connection.all(_SEALS) if (seal := _read_seal(row.data)).through == first - 1]
    return found[0] if len(found) == 1 else Seal()


def _read_seal(text: str) -> Seal:
    """Return the seal in an event, an empty one if the event is not a seal."""
    try:
        data = json.loads(text)
        parts = [SealedPart(**part) for part in data["parts"]]
        return Seal(parts, frozenset(data["runs"]), data["missing"], data["pruned"], data["broken"], data["earned"])
    except (ValueError, KeyError, TypeError):
        return Seal()


def append(
    connection: Connection,
    kind: str,
    data: Mapping[str, Any],
    *,
    run_id: str | None = None,
    step_index: int | None = None,
) -> str:
    """Add an event inside the caller's transaction; return its hash."""
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
    if connection.appended is not None:
        number = int(connection.value("SELECT last_insert_rowid()"))
        connection.appended.append(AuditEvent(number, kind, at, run_id, step_index, text))
    return value


def append_all(
    connection: Connection,
    events: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    run_id: str | None,
    step_index: int | None = None,
) -> None:
    """Add events, each a type and its data, inside the caller's transaction."""
    for kind, data in events:
        append(connection, kind, data, run_id=run_id, step_index=step_index)


def head(connection: Connection) -> tuple[int, str]:
    """Return the number and hash of the newest event."""
    row = connection.first(_LAST)
    return (row.id, row.hash) if row else (0, GENESIS)


def follows(event: tuple[Any, ...], last: int, head_: str) -> bool:
    """Whether an event, with the columns of `EVENT`, is intact and follows the event `last` with the hash `head_`."""
    number, run_id, step_index, kind, at, data, previous, hash_ = event
    try:
        whole = hash_ == _hash(previous, run_id, step_index, kind, at, data)
    except TypeError:  # a blob, which aishell never writes
        return False
    return bool(whole and number == last + 1 and previous == head_)


def verify(connection: Connection, expected_head: str | None = None) -> list[Problem]:
    """Return edits, deletions and gaps in the chain. `expected_head`, a printed copy, exposes a cut or replaced log."""
    problems, newest = list[Problem](), newest_seal(connection)
    previous, last = newest.head, newest.through
    for row in connection.execute(EVENTS):
        if last and row.id != last + 1:
            problems.append(Problem(row.id, f"{row.id - last - 1} event(s) before it are missing"))
        if row.previous != previous:
            problems.append(Problem(row.id, "it does not follow from the event before it"))
        if row.hash != _hash(row.previous, row.run_id, row.step_index, row.type, row.at, row.data):
            problems.append(Problem(row.id, "it was changed after it was written"))
        previous, last = row.hash, row.id
    return problems + (verify_head(connection, expected_head) if expected_head is not None else [])


def verify_head(connection: Connection, expected: str, sealed: Sequence[Mapping[str, Any]] = ()) -> list[Problem]:
    """Check that some event has a hash that begins with `expected`. `sealed`: the events in sealed files."""
    like = "SELECT id FROM events WHERE hash LIKE :beginning ESCAPE '/'"
    if connection.first(like, {"beginning": beginning(expected)}) is not None:
        return []
    known = [*(part.head for part in newest_seal(connection).parts), *(event["hash"] for event in sealed)]
    if any(str(one).startswith(expected) for one in known):
        return []
    text = f"no event has the hash {expected}: the tail was cut off or the chain rewritten"
    return [Problem(head(connection)[0], text)]


def verify_anchor(
    connection: Connection, anchor: Anchor | None, sealed: Sequence[Mapping[str, Any]] = ()
) -> list[Problem]:
    """Check that the newest event at the end of the last run is still in the log or among the `sealed` events."""
    if anchor is None or anchor.events == 0:
        return []
    newest = newest_seal(connection)
    if anchor.events <= newest.through:
        return _sealed_anchor(newest, anchor, sealed)
    row = connection.first("SELECT hash FROM events WHERE id = :id", {"id": anchor.events})
    if row is not None and row.hash == anchor.head:
        return []
    number = head(connection)[0]
    there = f"has {number}" if number < anchor.events else "has another event in its place"
    text = f"the log had {anchor.events} events on {shown(anchor.at)}, the newest {anchor.head[:16]}, and {there}"
    return [Problem(anchor.events, f"{text}: its tail was cut off, or it was replaced")]


def missing_anchor(connection: Connection, anchor: Anchor | None) -> list[Problem]:
    """Return a problem if the anchor file, made at the first run, is missing: a cut tail could not be detected."""
    if anchor is not None or not tells_of_runs(connection):
        return []
    text = "the file with the head of the log is missing beside the state store"
    return [Problem(0, f"{text}: a cut tail would not show; give --against a head or a copy of your own")]


def tells_of_runs(connection: Connection) -> bool:
    """Whether there is, or ever was, a run."""
    if newest_seal(connection).parts:
        return True
    sql = "SELECT EXISTS (SELECT 1 FROM runs) OR EXISTS (SELECT 1 FROM events WHERE run_id IS NOT NULL)"
    return bool(connection.value(sql))


def _sealed_anchor(seal_: Seal, anchor: Anchor, sealed: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Check an older copy of the anchor, whose event is now sealed, against the sealed events and the ends of files."""
    known = {part.through: part.head for part in seal_.parts} | {event["id"]: event["hash"] for event in sealed}
    if known.get(anchor.events) == anchor.head:
        return []
    if anchor.events in known:
        text = f"event {anchor.events} was {anchor.head[:16]} on {shown(anchor.at)}, and the sealed one is another"
        return [Problem(anchor.events, f"{text}: the log was replaced")]
    part = next(part for part in seal_.parts if anchor.events <= part.through)
    return [Problem(anchor.events, f"it was sealed: give --against {part.file} too")]


def verify_copy(connection: Connection, copy: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Check that every event of an exported copy is in the log with the same hash, and that the hash fits the copy.

    Sealed events are skipped: `sealing.verify_files` checks them.
    """
    through = newest_seal(connection).through
    there = {row.id: row.hash for row in connection.execute("SELECT id, hash FROM events")}
    gone = [
        int(event["id"])
        for event in copy
        if not event["id"] <= through and (there.get(event["id"]) != event["hash"] or hash_of(event) != event["hash"])
    ]
    if not gone:
        return []
    return [
        Problem(
            gone[0], f"{len(gone)} of the {len(copy)} events of the copy are missing from the log or differ from it"
        )
    ]


def seal(run: Mapping[str, Any] | Record) -> str:
    """Return the digest of a run's request, plan, tools and requester, which is in the log and never changes."""
    return digest([run["request"], run["plan_digest"], run["tools"], run["requested_by"]])


def seal_made(run: Mapping[str, Any] | Record) -> str:
    """Return the digest of a run's other constant columns, with its plan verbatim; older logs lack it."""
    return digest([run[name] for name in _RUN_SEALED])


def seal_request(approval: Mapping[str, Any] | Record) -> str:
    """Return the digest of a request as shown to a person, logged when it was made; older logs lack it."""
    return digest([approval[name] for name in _REQUEST_SEALED])


def seal_step(step: Record) -> str:
    """Return the digest of a step's row, which is in each of its events."""
    return digest([step[name] for name in _STEP_SEALED])


def read(text: str) -> dict[str, Any]:
    """Return the data of an event, empty if it is no longer a JSON object; the chain shows such a change."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def found_broken(at: str, data: Mapping[str, Any]) -> str:
    """Return the problem with the log that a run found, from its event."""
    return f"a run found on {shown(at)}: {data.get('found')}"


def reported_breaks(connection: Connection) -> list[Problem]:
    """Return the problems with the log that runs found, including sealed events."""
    sealed = [Problem(one["event"], str(one["text"])) for one in newest_seal(connection).broken]
    rows = connection.execute("SELECT id, at, data FROM events WHERE type = :broken ORDER BY id", {"broken": BROKEN})
    return [*sealed, *(Problem(row.id, found_broken(row.at, read(row.data))) for row in rows)]


def pruned_runs(kind: str, data: Mapping[str, Any]) -> int:
    """Return how many runs an event says were pruned."""
    return int(data.get("pruned_runs") or 0) if kind == "state_changed" else 0


def redact(value: Any) -> Any:
    """Return `value` without secrets: values of secret keys, and passwords in URLs."""
    if isinstance(value, Mapping):
        return {key: "***" if _SECRET.search(str(key)) and item else redact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1:***@", value))
    return value


def hash_of(event: Mapping[str, Any]) -> str:
    """Return the hash that an exported event must have."""
    previous, kind, at = (str(event.get(name)) for name in ("previous", "type", "at"))
    return _hash(previous, event.get("run_id"), event.get("step_index"), kind, at, canonical(event.get("data")))


def _hash(previous: str, run_id: str | None, step_index: int | None, kind: str, at: str, data: str) -> str:
    text = json.dumps([previous, run_id, step_index, kind, at, data], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

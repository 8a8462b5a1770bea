"""Compare the tables of runs, steps and approvals with the audit log: each row with its last event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aishell.codec import canonical, digest
from aishell.models import StepStatus
from aishell.state import audit
from aishell.state.audit import EVENTS, Problem, Seal, newest_seal
from aishell.state.connection import Connection, Record

Step = tuple[str, int]

_STEP_EVENTS = ("step_started", "step_completed", "step_failed", "step_skipped", "step_reopened")
_ANSWER_EVENTS = ("approval_requested", "approval_decided")
#: A plan that is no longer JSON has no countable steps; its digest shows the change.
_RUNS = "SELECT *, iif(json_valid(plan), json_array_length(plan, '$.steps'), NULL) AS steps FROM runs"


@dataclass
class _Run:
    """A run according to its last events. Digests are empty if the log is too old to have them."""

    state: str | None = None
    plan: str | None = None  # the digest of its request, plan and tools
    made: str = ""  # the digest of its other constant columns
    result: str = ""


@dataclass
class _Approval:
    """An approval according to its events."""

    run: str
    status: str = ""
    by: str = ""
    request: str = ""  # the digest of the request
    reason: Any = ""
    modifications: Any = None


@dataclass
class _Step:
    status: str
    seal: str


@dataclass
class _Logged:
    """Runs, approvals and steps according to the events; later events override earlier ones."""

    known: set[str]  # runs mentioned in an event
    pruned: int
    missing: int = 0  # runs that a seal counts as missing
    away: frozenset[str] = frozenset()  # runs whose events were sealed: their rows are not checked
    runs: dict[str, _Run] = field(default_factory=dict)
    approvals: dict[str, _Approval] = field(default_factory=dict)
    steps: dict[Step, _Step] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, sealed: Sequence[Mapping[str, Any]]) -> _Logged:
        seal = Seal() if sealed else newest_seal(connection)
        logged = cls(set(seal.runs), seal.pruned, seal.missing, seal.runs)
        for row in (*map(_as_row, sealed), *connection.execute(EVENTS)):
            logged.add(row, audit.read(row.data))
        return logged

    def add(self, row: Any, data: Mapping[str, Any]) -> None:
        if row.run_id is not None:
            self.known.add(row.run_id)
        if row.type == "state_changed" and "to" in data and row.run_id is not None:
            self._state(row.run_id, data)
        elif row.type in _ANSWER_EVENTS and "approval" in data:
            self._answer(row, data)
        elif row.type in _STEP_EVENTS:
            started = row.type == "step_started"
            status = StepStatus.STARTED if started else data.get("status", "")
            self.steps[row.run_id, row.step_index] = _Step(status, data.get("seal", ""))
        self.pruned += audit.pruned_runs(row.type, data)

    def _state(self, run_id: str, data: Mapping[str, Any]) -> None:
        run = self.runs.setdefault(run_id, _Run())
        run.state, run.result = data["to"], data.get("result", "")
        if "seal" in data:
            run.plan, run.made = data["seal"], data.get("made", "")

    def _answer(self, row: Any, data: Mapping[str, Any]) -> None:
        one = self.approvals.setdefault(data["approval"], _Approval(str(row.run_id)))
        one.run, one.status = str(row.run_id), str(data.get("status", "pending"))
        one.by = str(data.get("by") or one.by)
        if row.type == "approval_requested":
            one.request = data.get("seal", "")
        elif "reason" in data:
            one.reason, one.modifications = data["reason"], data.get("modifications")


def verify_records(connection: Connection, sealed: Sequence[Mapping[str, Any]] = ()) -> list[Problem]:
    """Return the differences between the log and the tables, and the problems with the log that runs found.

    `sealed`: all sealed events. Without them, the rows of their runs are not checked.
    """
    logged = _Logged.of(connection, sealed)
    states = {row.id: row.state for row in connection.execute("SELECT id, state FROM runs")}
    asked = {row.id: row for row in connection.execute("SELECT * FROM approvals")}
    gone = (
        f"approval {name} of run {one.run[:8]} is missing"
        for name, one in logged.approvals.items()
        if name not in asked and one.run in states
    )
    return [
        *audit.reported_breaks(connection),
        *_as_problems(_runs(connection, logged)),
        *_as_problems(_approvals(asked.values(), logged)),
        *_as_problems(gone),
        *_as_problems(_states(states, logged)),
        *_as_problems(_steps(connection, logged)),
        *_as_problems(_missing(states, logged)),
    ]


def _as_problems(texts: Iterable[str]) -> Iterator[Problem]:
    return (Problem(0, text) for text in texts)


def _runs(connection: Connection, logged: _Logged) -> Iterator[str]:
    """Yield changes of runs' constant columns and results, and wrong numbers of steps."""
    for row in connection.execute(_RUNS):
        run, name = logged.runs.get(row.id, _Run()), row.id[:8]
        asked_for = audit.seal(row) if run.plan is None else run.plan
        if (asked_for, run.made or audit.seal_made(row)) != (audit.seal(row), audit.seal_made(row)):
            yield f"the request, the plan or the tools of run {name} were changed"
        if run.result and digest(row.result) != run.result:
            yield f"the result of run {name} differs from its digest in the log"
        there = connection.value("SELECT count(*) FROM steps WHERE run_id = :run", {"run": row.id})
        if row.steps is not None and there != row.steps:
            yield f"run {name} has {there} steps, its plan {row.steps}"


def _approvals(rows: Iterable[Record], logged: _Logged) -> Iterator[str]:
    """Yield the first difference between each approval and the log."""
    for row in rows:
        if row.run_id in logged.away:
            continue
        one = logged.approvals.get(row.id, _Approval(""))
        if one.status != row.status:
            recorded = f"{one.status} in the log" if one.status else "not in the log"
            yield f"approval {row.id} is {row.status}, but {recorded}"
        elif one.by != (row.decided_by or ""):
            yield f"approval {row.id} was answered by {one.by or 'nobody'}, not by {row.decided_by}"
        elif one.request and one.request != audit.seal_request(row):
            yield f"the request of approval {row.id} differs from its digest in the log"
        elif _answered(row) != (one.reason, one.modifications):
            yield f"the answer to approval {row.id} differs from the log"


def _answered(row: Record) -> tuple[Any, Any]:
    return audit.redact(row.reason or ""), audit.redact(_kept(row.modifications))


def _states(states: Mapping[str, str], logged: _Logged) -> Iterator[str]:
    for run, there in states.items():
        if run in logged.away:
            continue
        state = logged.runs.get(run, _Run()).state
        if run not in logged.known:
            yield f"run {run[:8]} is {there}, but not in the log"
        elif state != there:
            yield f"run {run[:8]} is {there}, but {state} in the log"


def _steps(connection: Connection, logged: _Logged) -> Iterator[str]:
    for row in connection.execute("SELECT * FROM steps"):
        if row.run_id in logged.away:
            continue
        step = logged.steps.get((row.run_id, row.step_index), _Step(StepStatus.PENDING, ""))
        which = f"step {row.step_index} of run {row.run_id[:8]}"
        if row.run_id in logged.known and step.status != row.status:
            yield f"{which} is {row.status}, but {step.status} in the log"
        elif step.seal and step.seal != audit.seal_step(row):
            yield f"{which} differs from its digest in the log"


def _missing(states: Mapping[str, str], logged: _Logged) -> Iterator[str]:
    missing = len(logged.known - states.keys()) + logged.missing
    if missing > logged.pruned:
        yield f"{missing} run(s) of the log are missing, but only {logged.pruned} were pruned"


def _as_row(event: Mapping[str, Any]) -> SimpleNamespace:
    """Return an exported event as a row."""
    return SimpleNamespace(**{**event, "data": canonical(event["data"])})


def _kept(text: str | None) -> Any:
    """Return the value of a JSON column, its text if it is not JSON."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text

"""Runs, their steps and checkpoints. Every method is one transaction, including its audit events."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aishell.codec import canonical, digest, plain
from aishell.commands import command
from aishell.errors import StateError, UnknownNameError
from aishell.models import RunState, Shift, StepStatus, Subject, now
from aishell.state import anchor, audit, backlog, history, holds
from aishell.state.audit import newest_seal
from aishell.state.connection import Connection, Record, beginning, find_by_beginning, marks
from aishell.state.store import Store
from aishell.telemetry.logs import log_detail, log_warning

_RUN = "id = :run"
_STEP = "run_id = :run AND step_index = :step"
_OF_WORKFLOW = "SELECT id, workflow FROM workflow_runs WHERE id LIKE :beginning ESCAPE '/' LIMIT 2"
#: Why a run did not start whose id was already chosen.
_UNBEGUN = """SELECT reason FROM workflow_stages WHERE run_id LIKE :beginning ESCAPE '/' AND reason <> ''
    UNION ALL SELECT reason FROM schedule_runs WHERE run_id LIKE :beginning ESCAPE '/' AND reason <> '' LIMIT 1"""

#: State -> the states that may follow it (model.md, States). Any other transition raises.
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.IDLE: frozenset({RunState.PLANNING}),
    RunState.PLANNING: frozenset({RunState.EXECUTING, RunState.FAILED, RunState.CANCELLED}),
    RunState.EXECUTING: frozenset(
        {
            RunState.CHECKPOINTING,
            RunState.COMPLETED,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.PAUSED,
            RunState.WAITING_APPROVAL,
        }
    ),
    RunState.CHECKPOINTING: frozenset({RunState.EXECUTING}),
    RunState.WAITING_APPROVAL: frozenset({RunState.EXECUTING, RunState.PAUSED, RunState.CANCELLED, RunState.FAILED}),
    RunState.PAUSED: frozenset({RunState.EXECUTING, RunState.CANCELLED}),
    RunState.FAILED: frozenset({RunState.EXECUTING}),
    RunState.COMPLETED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
RESUMABLE = frozenset(
    {RunState.EXECUTING, RunState.WAITING_APPROVAL, RunState.PAUSED, RunState.PLANNING, RunState.FAILED}
)
#: A run in one of these states has ended; a failed one may be resumed.
ENDED = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})


def check_transition(old: RunState, new: RunState) -> None:
    """Raise StateError if a run in state `old` may not become `new`."""
    if new not in TRANSITIONS[old]:
        raise StateError(f"a run cannot change from {old.value} to {new.value}")


class Runs:
    """The runs in a store; each is written by its owner."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(
        self,
        *,
        run_id: str,
        owner: str,
        plan: Mapping[str, Any],
        tools: Mapping[str, str],
        request: Mapping[str, Any],
        happened: Iterable[tuple[str, Mapping[str, Any]]] = (),
        facts: backlog.PlannedWork | None = None,
    ) -> None:
        """Record a run with its plan and all steps pending (checkpoint `plan_created`). `happened`: earlier events.

        `facts`: the run for the backlog.
        """
        self._first_anchor()
        task = plan["task"]
        with self.store.write() as connection:
            run = {
                "id": run_id,
                "task_id": task["task_id"],
                "parent_id": task.get("parent_task_id"),
                "agent": task["agent"],
                "target": task["target"],
                "engine": request["engine"],
                "state": RunState.PLANNING,
                "requested_by": request["requested_by"],
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "owner": owner,
                "created_at": now(),
                "request": canonical(audit.redact(request)),
                "plan": canonical(plan),
                "plan_digest": request["plan_digest"],
                "tools": canonical(tools),
                "pause_requested": 0,
                "cancel_requested": 0,
            }
            connection.insert("runs", run)
            pending = {"run_id": run_id, "status": StepStatus.PENDING, "attempt": 0}
            steps = ((step["index"], step["id"], step["tool"]) for step in plan["steps"])
            rows = [{**pending, "step_index": index, "step_id": id_, "tool": tool} for index, id_, tool in steps]
            connection.insert("steps", *rows)
            if facts is not None:
                backlog.begin(connection, run_id, facts)
            self._checkpoint(connection, run_id, task["task_id"], "plan_created", None, len(rows))
            data = {
                "from": RunState.IDLE,
                "to": RunState.PLANNING,
                "plan": run["plan_digest"],
                "by": run["requested_by"],
                "seal": audit.seal(run),
                "made": audit.seal_made(run),
            }
            audit.append(connection, "state_changed", data, run_id=run_id)
            audit.append_all(connection, happened, run_id=run_id)

    def change_state(
        self,
        run_id: str,
        owner: str,
        new: RunState,
        *,
        reason: str = "",
        result: Mapping[str, Any] | None = None,
        happened: Iterable[tuple[str, Mapping[str, Any]]] = (),
        reopened: Mapping[int, StepStatus] = MappingProxyType({}),
    ) -> RunState:
        """Move a run to another state; return the old one. Raises StateError for an illegal transition.

        `reopened`: steps that are now tried again, and their new status.
        """
        with self.store.write() as connection:
            old = RunState(self._row(connection, run_id).state)
            self._claim(connection, run_id, owner)
            audit.append_all(connection, happened, run_id=run_id)
            if new != old:
                check_transition(old, new)
                data = {"from": old, "to": new, "reason": reason}
                if result is not None:
                    data["result"] = digest(canonical(result))
                audit.append(connection, "state_changed", data, run_id=run_id)
            values = {"state": new, "ended_at": now() if new in ENDED else None}
            if result is not None:
                values["result"] = canonical(result)
            connection.update("runs", _RUN, {"run": run_id}, values)
            for index, status in reopened.items():
                cleared = {"status": status, "error": None, "reason": None, "cause": None}
                data = {"status": status, "seal": self._set_step(connection, run_id, index, cleared)}
                audit.append(connection, "step_reopened", data, run_id=run_id, step_index=index)
        return old

    def claim(self, run_id: str, owner: str) -> None:
        """Become the owner of a run, whose lock is held: an earlier process can no longer write."""
        with self.store.write() as connection:
            values = {"owner": owner, "pid": os.getpid(), "host": socket.gethostname(), "pause_requested": 0}
            connection.update("runs", _RUN, {"run": run_id}, values)
        log_detail("run_claimed", run_id=run_id)

    def step_started(
        self,
        run_id: str,
        owner: str,
        index: int,
        values: Mapping[str, Any],
        *,
        task_id: str,
        total: int,
        subject: Subject | None = None,
        before: Callable[[Connection], Iterable[tuple[str, Mapping[str, Any]]]] = lambda connection: (),
    ) -> None:
        """Record the intent to run a step, durably, before anything is sent.

        `subject`: by which the step is counted. `before`: called in the transaction for further events; if it raises,
        the step has not started. Raises HeldError if the target is on hold.
        """
        with self.store.write() as connection:
            self._claim(connection, run_id, owner)
            hold = holds.of_run(connection, run_id)
            if hold is not None:
                raise hold.refusal()
            audit.append_all(connection, before(connection), run_id=run_id, step_index=index)
            started = {"status": StepStatus.STARTED, "started_at": now(), "progress": None, **values}
            data = {
                "attempt": values.get("attempt"),
                "digest": values.get("digest"),
                "params": json.loads(values.get("params") or "{}"),
                "seal": self._set_step(connection, run_id, index, started),
            }
            self._checkpoint(connection, run_id, task_id, f"step_{index}_started", index, total)
            if subject is not None:
                data["subject"] = plain(subject)
            audit.append(connection, "step_started", data, run_id=run_id, step_index=index)

    def step_ended(
        self,
        run_id: str,
        owner: str,
        index: int,
        values: Mapping[str, Any],
        *,
        task_id: str,
        total: int,
        happened: Iterable[tuple[str, Mapping[str, Any]]] = (),
        objects: Iterable[Mapping[str, Any]] = (),
        cost: Mapping[str, Any] | None = None,
        shift: tuple[backlog.PlannedWork, Shift] | None = None,
        subject: Subject | None = None,
    ) -> str | None:
        """Record a step's outcome and all that goes with it in one transaction; return another process's stop request.

        `cost`: a row for `history.remember`; `shift`: the change to the backlog; `subject`: of a failed step.
        """
        status = values["status"]
        name = {StepStatus.DONE: "completed", StepStatus.FAILED: "failed"}.get(status, "skipped")
        with self.store.write() as connection:
            stop_request = self._claim(connection, run_id, owner)
            seal = self._set_step(connection, run_id, index, {"ended_at": now(), **values})
            connection.insert("table_history", *objects)
            if cost is not None:
                history.remember(connection, cost)
            if shift is not None:
                backlog.change(connection, run_id, *shift)
            if status is not StepStatus.IN_DOUBT:
                self._checkpoint(connection, run_id, task_id, f"step_{index}_{name}", index, total)
            audit.append_all(connection, happened, run_id=run_id, step_index=index)
            data = {
                "status": status,
                **{name: values.get(name) for name in ("error", "reason", "seconds")},
                "seal": seal,
            }
            if subject is not None:
                data["subject"] = plain(subject)
            audit.append(connection, f"step_{name}", data, run_id=run_id, step_index=index)
        return stop_request

    def checkpoint_step(
        self,
        run_id: str,
        owner: str,
        index: int,
        checkpoint: str,
        happened: Iterable[tuple[str, Mapping[str, Any]]] = (),
    ) -> str | None:
        """Record the progress of a batched step, and what was sent; return another process's stop request, if any."""
        with self.store.write() as connection:
            stop_request = self._claim(connection, run_id, owner)
            self._set_step(connection, run_id, index, {"reached": checkpoint})
            audit.append_all(connection, happened, run_id=run_id, step_index=index)
        return stop_request

    def add_events(
        self,
        run_id: str,
        index: int,
        happened: Iterable[tuple[str, Mapping[str, Any]]],
        objects: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Record audit events of a step, and the history of its finished objects, in one transaction."""
        with self.store.write() as connection:
            connection.insert("table_history", *objects)
            audit.append_all(connection, happened, run_id=run_id, step_index=index)

    def event(
        self, kind: str, data: Mapping[str, Any], *, run_id: str | None = None, step_index: int | None = None
    ) -> None:
        """Record a single audit event."""
        with self.store.write() as connection:
            audit.append(connection, kind, data, run_id=run_id, step_index=step_index)

    def workflow_completed(self, run_id: str, owner: str, task_id: str, total: int) -> None:
        with self.store.write() as connection:
            self._claim(connection, run_id, owner)
            self._checkpoint(connection, run_id, task_id, "workflow_completed", None, total)

    def request(self, run_id: str, what: str) -> None:
        """Ask the process that owns a run to `pause` or `cancel` it before its next step."""
        column = {"pause": "pause_requested", "cancel": "cancel_requested"}[what]
        with self.store.write() as connection:
            connection.update("runs", _RUN, {"run": run_id}, {column: 1})
            audit.append(connection, "state_changed", {"requested": what, "by": who()}, run_id=run_id)

    def settle(self, run_id: str, what: str) -> None:
        """Carry out a request for a run that no process drives; the caller holds the run's lock."""
        new = {"pause": RunState.PAUSED, "cancel": RunState.CANCELLED}[what]
        with self.store.write() as connection:
            old = RunState(self._row(connection, run_id).state)
            ended = now() if new is RunState.CANCELLED else None
            # Whatever its process was doing when it ended, nothing continues it.
            values = {"state": new, "ended_at": ended, "pause_requested": 0, "cancel_requested": 0}
            connection.update("runs", _RUN, {"run": run_id}, values)
            audit.append(connection, "state_changed", {"from": old, "to": new, "by": who()}, run_id=run_id)

    def requested(self, run_id: str) -> str | None:
        """Return another process's stop request for this run: `cancel`, `pause` or None."""
        with self.store.read() as connection:
            return _stop_request(self._row(connection, run_id))

    def held(self, run_id: str) -> holds.Hold | None:
        """Return the hold on a run's next step."""
        with self.store.read() as connection:
            return holds.of_run(connection, run_id)

    def find(self, run_id: str) -> Record:
        """Return a run by id or unambiguous prefix. Raises UnknownNameError and AmbiguousNameError."""
        with self.store.read() as connection:
            row = find_by_beginning(connection, "runs", "run", run_id)
            if row is not None:
                return row
            known = connection.all("SELECT id FROM runs ORDER BY created_at DESC LIMIT 12")
            unknown = UnknownNameError("run", run_id, [run.id[:8] for run in known])
            place = {"beginning": beginning(run_id)}
            if run_id and (workflow := connection.first(_OF_WORKFLOW, place)) is not None:  # the ledger shows such ids
                show = command("workflows", "show", workflow.id[:8])
                unknown.hint = f"it is a run of the workflow {workflow.workflow}: `{show}` lists its runs"
            elif run_id and (unbegun := connection.first(_UNBEGUN, place)) is not None:
                unknown.hint = f"it did not begin: {unbegun.reason}"
            raise unknown

    def begun(self, run_id: str | None) -> Record | None:
        """Return the run of an id that was chosen in advance, None if it has not started."""
        return self.store.first(f"SELECT * FROM runs WHERE {_RUN}", {"run": run_id})  # noqa: S608  our own

    def recent(
        self, *, limit: int = 50, target: str | None = None, states: Iterable[str] | None = None
    ) -> list[Record]:
        """Return runs, newest first."""
        wanted, values = marks(states or ())
        among = f"state IN ({wanted})" if states is not None else "true"
        sql = f"""SELECT * FROM runs WHERE (:target IS NULL OR target = :target) AND {among}
            ORDER BY created_at DESC LIMIT :limit"""  # noqa: S608  nothing but marks
        return self.store.all(sql, {**values, "target": target, "limit": limit})

    def count(self) -> int:
        """Return the number of runs in the store."""
        return int(self.store.value("SELECT count(*) FROM runs"))

    def steps(self, run_id: str) -> list[Record]:
        return self.store.all("SELECT * FROM steps WHERE run_id = :run ORDER BY step_index", {"run": run_id})

    def checkpoints(self, run_id: str) -> list[Record]:
        return self.store.all("SELECT * FROM checkpoints WHERE run_id = :run ORDER BY id", {"run": run_id})

    def events(self, run_id: str) -> list[Record]:
        return self.store.all("SELECT * FROM events WHERE run_id = :run ORDER BY id", {"run": run_id})

    def is_unchanged(self, row: Record) -> bool:
        """Whether a run is unchanged since its creation, by the audit log."""
        sql = "SELECT data FROM events WHERE run_id = :run AND type = 'state_changed' ORDER BY id LIMIT 1"
        made = audit.read(self.store.value(sql, {"run": row.id}) or "")
        seals = {"plan": row.plan_digest, "seal": audit.seal(row), "made": audit.seal_made(row)}
        return "plan" in made and all(made.get(name, seal) == seal for name, seal in seals.items())

    def is_sealed(self, run_id: str) -> bool:
        """Whether events of a run were moved out of the log."""
        with self.store.read() as connection:
            return run_id in newest_seal(connection).runs

    def others_ran(self, run_id: str) -> bool:
        """Whether another run has committed a batch on the same target since this run's last batch."""
        sql = """SELECT EXISTS (SELECT 1 FROM events AS e JOIN runs AS other ON other.id = e.run_id
                JOIN runs AS own ON own.id = :run AND own.target = other.target
            WHERE e.type = 'batch_committed' AND e.run_id <> :run
              AND e.id > (SELECT max(id) FROM events WHERE run_id = :run AND type = 'batch_committed'))"""
        return bool(self.store.value(sql, {"run": run_id}))

    def objects(self, run_id: str, index: int) -> list[Record]:
        """Return what earlier attempts of a step recorded about its objects."""
        sql = f"SELECT * FROM table_history WHERE {_STEP} ORDER BY id"  # noqa: S608  our own
        return self.store.all(sql, {"run": run_id, "step": index})

    def head(self) -> tuple[int, str]:
        with self.store.read() as connection:
            return audit.head(connection)

    def check_anchor(self) -> str | None:
        """Return a mismatch of the log with the head that the last run left, None without one; record it as an event.

        Call it before adding events: after a cut tail, their numbers are reused.
        """
        kept = anchor.read(anchor.path_of(self.store.path))
        with self.store.read() as connection:
            problems = [*audit.missing_anchor(connection, kept), *audit.verify_anchor(connection, kept)]
        if not problems:
            return None
        found = {"found": problems[0].text, "anchor": asdict(kept) if kept else None, "by": who()}
        self.event(audit.BROKEN, found)
        return problems[0].text

    def _first_anchor(self) -> None:
        """Write an anchor before the very first run, so that a missing one proves removal. Raises StateError."""
        path = anchor.path_of(self.store.path)
        if anchor.read(path) is not None:
            return
        with self.store.read() as connection:
            if not audit.tells_of_runs(connection):
                anchor.write(path, *audit.head(connection))

    def drop_anchor(self) -> str:
        """Write the head of the log to the file beside the store for the next run; return it. Raises StateError."""
        number, newest = self.head()
        anchor.write(anchor.path_of(self.store.path), number, newest)
        return newest

    def tool_statistics(self) -> list[dict[str, Any]]:
        """Return per tool: number of calls, share that succeeded, mean seconds."""
        sql = """SELECT tool, count(*) AS calls, avg(status = :done) AS success_rate, avg(seconds) AS mean_seconds
            FROM steps WHERE status IN (:done, :failed) GROUP BY tool ORDER BY tool"""
        rows = self.store.all(sql, {"done": StepStatus.DONE, "failed": StepStatus.FAILED})
        return [dict(row) for row in rows]

    def _row(self, connection: Connection, run_id: str) -> Record:
        row = connection.first(f"SELECT * FROM runs WHERE {_RUN}", {"run": run_id})  # noqa: S608  our own
        if row is None:
            raise StateError(f"run {run_id} is no longer in the state store")
        return row

    def _claim(self, connection: Connection, run_id: str, owner: str) -> str | None:
        """Check that we still own the run; return another process's stop request: `cancel`, `pause` or None.

        In an immediate transaction reading is enough: the owner cannot change before it ends. A row of `runs` holds its
        whole plan, which each UPDATE would rewrite (0.2 ms with 200 steps).
        """
        row = connection.first(
            "SELECT cancel_requested, pause_requested FROM runs WHERE id = :run AND owner = :owner",
            {"run": run_id, "owner": owner},
        )
        if row is None:
            log_warning("run_lost", run_id=run_id)
            raise StateError(
                f"run {run_id} is now driven by another process",
                hint=f"see `{command('runs', 'show', run_id[:8])}`",
            )
        return _stop_request(row)

    def _set_step(self, connection: Connection, run_id: str, index: int, values: Mapping[str, Any]) -> str:
        """Update a step's columns; return the seal of its row after that."""
        place = {"run": run_id, "step": index}
        connection.update("steps", _STEP, place, values)
        row = connection.first(f"SELECT * FROM steps WHERE {_STEP}", place)  # noqa: S608  our own
        return audit.seal_step(row) if row is not None else ""

    def _checkpoint(
        self, connection: Connection, run_id: str, task_id: str, name: str, index: int | None, total: int
    ) -> None:
        checkpoint = {
            "run_id": run_id,
            "task_id": task_id,
            "name": name,
            "step_index": index,
            "total_steps": total,
            "version": 1,
            "created_at": now(),
        }
        connection.insert("checkpoints", checkpoint)


def result_of(run: Record) -> dict[str, Any]:
    """Return the result document of a run that has ended.

    The stored result of a cancelled run may predate the cancellation, so only its status is known.
    """
    if run.state == RunState.CANCELLED:
        return {"status": "cancelled"}
    return dict(json.loads(run.result)) if run.result else {"status": "failure"}


def _stop_request(row: Record) -> str | None:
    return "cancel" if row.cancel_requested else "pause" if row.pause_requested else None


def requesters() -> list[int]:
    """Return the uids behind this process, from the kernel: its own, and the one that logged in before a `sudo`."""
    found = {os.getuid()}
    with suppress(OSError, ValueError):  # a kernel without loginuid
        login = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
        found |= {login} - {2**32 - 1}  # no login, as for a service
    return sorted(found)


def who(uid: int | None = None) -> str:
    """Return the user as name@host, by default of this process. The uid is the kernel's; the environment is ignored."""
    import pwd

    uid = os.getuid() if uid is None else uid
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # no passwd entry, as in a bare container
        name = f"uid{uid}"
    return f"{name}@{socket.gethostname()}"

"""Runs, their steps and checkpoints: every method is one transaction, the audit events of what it tells included."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, delete, func, insert, select, update

from aishell.errors import StateError, UnknownNameError
from aishell.models import RunState, StepStatus, canonical, now
from aishell.state import audit
from aishell.state.schema import checkpoints, events, runs, steps, table_history
from aishell.state.store import Store
from aishell.state.transitions import check_transition

# Built once: compiling a statement costs more than running it.
_CLAIMED = (
    update(runs)
    .where(runs.c.id == bindparam("r"), runs.c.owner == bindparam("o"))
    .values(pid=bindparam("p"))
    .returning(runs.c.cancel_requested, runs.c.pause_requested)
)
_STEP = update(steps).where(steps.c.run_id == bindparam("r"), steps.c.step_index == bindparam("i"))
_CHECKPOINT = insert(checkpoints)


class Runs:
    """The runs in a store, written by the owner of each."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(
        self, *, run_id: str, owner: str, plan: Mapping[str, Any], tools: Mapping[str, str], request: Mapping[str, Any]
    ) -> None:
        """Record a run with its plan and all steps pending: the checkpoint `plan_created`."""
        task = plan["task"]
        with self.store.write() as connection:
            connection.execute(
                insert(runs).values(
                    id=run_id,
                    task_id=task["task_id"],
                    parent_id=task.get("parent_task_id"),
                    agent=task["agent"],
                    target=task["target"],
                    engine=request["engine"],
                    state=RunState.PLANNING,
                    requested_by=request["requested_by"],
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    owner=owner,
                    created_at=now(),
                    request=canonical(audit.redact(request)),
                    plan=canonical(plan),
                    plan_digest=request["plan_digest"],
                    tools=canonical(tools),
                )
            )
            rows = [
                {
                    "run_id": run_id,
                    "step_index": s["index"],
                    "step_id": s["id"],
                    "tool": s["tool"],
                    "status": StepStatus.PENDING,
                    "attempt": 0,
                }
                for s in plan["steps"]
            ]
            if rows:
                connection.execute(insert(steps), rows)
            self._checkpoint(connection, run_id, task["task_id"], "plan_created", None, len(rows))
            for old, new in ((RunState.IDLE, RunState.PLANNING),):
                audit.append(
                    connection,
                    "state_changed",
                    {"from": old, "to": new, "plan": request["plan_digest"], "by": request["requested_by"]},
                    run_id=run_id,
                )

    def change_state(
        self, run_id: str, owner: str, new: RunState, *, reason: str = "", result: Mapping[str, Any] | None = None
    ) -> RunState:
        """Move a run to another state; the state it had. Raises StateError for an illegal transition."""
        with self.store.write() as connection:
            old = RunState(self._row(connection, run_id).state)
            self._claim(connection, run_id, owner)
            if new != old:
                check_transition(old, new)
                audit.append(connection, "state_changed", {"from": old, "to": new, "reason": reason}, run_id=run_id)
            ended = now() if new in (RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED) else None
            values = {"state": new, "ended_at": ended}
            if result is not None:
                values["result"] = canonical(result)
            connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
        return old

    def claim(self, run_id: str, owner: str) -> None:
        """Become the owner of a run (its lock is held): an older process may write no more."""
        with self.store.write() as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id)
                .values(owner=owner, pid=os.getpid(), host=socket.gethostname(), pause_requested=0)
            )

    def step_started(
        self, run_id: str, owner: str, index: int, values: Mapping[str, Any], *, task_id: str, total: int
    ) -> None:
        """The intent to run a step, durable before anything is sent."""
        with self.store.write() as connection:
            self._claim(connection, run_id, owner)
            self._set_step(connection, run_id, index, {"status": StepStatus.STARTED, "started_at": now(), **values})
            self._checkpoint(connection, run_id, task_id, f"step_{index}_started", index, total)
            audit.append(
                connection,
                "step_started",
                {
                    "attempt": values.get("attempt"),
                    "digest": values.get("digest"),
                    "params": json.loads(values.get("params") or "{}"),
                },
                run_id=run_id,
                step_index=index,
            )

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
    ) -> str | None:
        """Outcome, checkpoint, history and audit events in one transaction; what another process asks of the run."""
        status = values["status"]
        name = {StepStatus.DONE: "completed", StepStatus.FAILED: "failed"}.get(status, "skipped")
        with self.store.write() as connection:
            asked = self._claim(connection, run_id, owner)
            self._set_step(connection, run_id, index, {"ended_at": now(), **values})
            for row in objects:
                connection.execute(insert(table_history), dict(row))
            if status is not StepStatus.IN_DOUBT:
                self._checkpoint(connection, run_id, task_id, f"step_{index}_{name}", index, total)
            for kind, data in happened:
                audit.append(connection, kind, data, run_id=run_id, step_index=index)
            told = {
                "status": status,
                "error": values.get("error"),
                "reason": values.get("reason"),
                "seconds": values.get("seconds"),
            }
            audit.append(
                connection,
                "step_completed" if status is StepStatus.DONE else f"step_{name}",
                told,
                run_id=run_id,
                step_index=index,
            )
        return asked

    def objects_ended(
        self,
        run_id: str,
        index: int,
        rows: list[dict[str, Any]],
        happened: Iterable[tuple[str, Mapping[str, Any]]],
    ) -> None:
        """Objects of a step are through: their history, and the statements sent for them."""
        with self.store.write() as connection:
            connection.execute(insert(table_history), rows)
            for kind, data in happened:
                audit.append(connection, kind, data, run_id=run_id, step_index=index)

    def batch_ended(
        self,
        run_id: str,
        owner: str,
        index: int,
        reached: str,
        happened: Iterable[tuple[str, Mapping[str, Any]]],
    ) -> str | None:
        """A batch is through: where the next begins, and what was sent; what another process asks of the run."""
        with self.store.write() as connection:
            asked = self._claim(connection, run_id, owner)
            self._set_step(connection, run_id, index, {"reached": reached})
            for kind, data in happened:
                audit.append(connection, kind, data, run_id=run_id, step_index=index)
        return asked

    def event(
        self, kind: str, data: Mapping[str, Any], *, run_id: str | None = None, step_index: int | None = None
    ) -> None:
        """An audit event on its own."""
        with self.store.write() as connection:
            audit.append(connection, kind, data, run_id=run_id, step_index=step_index)

    def workflow_completed(self, run_id: str, owner: str, task_id: str, total: int) -> None:
        with self.store.write() as connection:
            self._claim(connection, run_id, owner)
            self._checkpoint(connection, run_id, task_id, "workflow_completed", None, total)

    def request(self, run_id: str, what: str) -> None:
        """Ask the process that owns a run to `pause` or `cancel` before its next step."""
        column = {"pause": runs.c.pause_requested, "cancel": runs.c.cancel_requested}[what]
        with self.store.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values({column: 1}))
            audit.append(connection, "state_changed", {"requested": what, "by": who()}, run_id=run_id)

    def settle(self, run_id: str, what: str) -> None:
        """Carry out a request for a run that no process drives; the caller holds the run's lock."""
        new = {"pause": RunState.PAUSED, "cancel": RunState.CANCELLED}[what]
        with self.store.write() as connection:
            old = RunState(self._row(connection, run_id).state)
            ended = now() if new is RunState.CANCELLED else None
            # Whatever it was doing when its process went, nothing does it any more.
            values = {"state": new, "ended_at": ended, "pause_requested": 0, "cancel_requested": 0}
            connection.execute(update(runs).where(runs.c.id == run_id).values(**values))
            audit.append(connection, "state_changed", {"from": old, "to": new, "by": who()}, run_id=run_id)

    def prune(self, *, keep: int, older_than_days: int) -> int:
        """Remove finished runs beyond the newest `keep` that are older; events stay. How many were removed."""
        before = (datetime.now(UTC) - timedelta(days=older_than_days)).isoformat(timespec="microseconds")
        finished = runs.c.state.in_([RunState.COMPLETED, RunState.CANCELLED, RunState.FAILED])
        doubtful = select(steps.c.run_id).where(steps.c.status.in_([StepStatus.IN_DOUBT, StepStatus.STARTED]))
        newest = select(runs.c.id).where(finished).order_by(runs.c.created_at.desc()).limit(keep)
        old = runs.c.id.not_in(newest) & (runs.c.created_at < before) & runs.c.id.not_in(doubtful)
        with self.store.write() as connection:
            removed = connection.execute(delete(runs).where(finished, old)).rowcount
            audit.append(connection, "state_changed", {"pruned_runs": removed, "by": who()})
        return removed

    def requested(self, run_id: str) -> str | None:
        """What another process asked of this run: `cancel`, `pause` or nothing."""
        with self.store.read() as connection:
            return _asked(self._row(connection, run_id))

    def find(self, run_id: str) -> Row[Any]:
        """A run by id or by an unambiguous beginning of it. Raises UnknownNameError."""
        with self.store.read() as connection:
            rows = connection.execute(select(runs).where(runs.c.id.startswith(run_id, autoescape=True)).limit(2)).all()
            if len(rows) != 1 or not run_id:
                known = connection.execute(select(runs.c.id).order_by(runs.c.created_at.desc()).limit(12)).scalars()
                raise UnknownNameError("run" if not rows else "run (ambiguous)", run_id, [k[:8] for k in known])
            return rows[0]

    def recent(
        self, *, limit: int = 50, target: str | None = None, states: Iterable[str] | None = None
    ) -> list[Row[Any]]:
        """Runs, the newest first."""
        query = select(runs).order_by(runs.c.created_at.desc()).limit(limit)
        if target is not None:
            query = query.where(runs.c.target == target)
        if states is not None:
            query = query.where(runs.c.state.in_(list(states)))
        with self.store.read() as connection:
            return list(connection.execute(query))

    def count(self) -> int:
        """How many runs the store holds."""
        with self.store.read() as connection:
            return int(connection.execute(select(func.count()).select_from(runs)).scalar_one())

    def steps(self, run_id: str) -> list[Row[Any]]:
        with self.store.read() as connection:
            return list(connection.execute(select(steps).where(steps.c.run_id == run_id).order_by(steps.c.step_index)))

    def checkpoints(self, run_id: str) -> list[Row[Any]]:
        with self.store.read() as connection:
            return list(
                connection.execute(select(checkpoints).where(checkpoints.c.run_id == run_id).order_by(checkpoints.c.id))
            )

    def events(self, run_id: str) -> list[Row[Any]]:
        with self.store.read() as connection:
            return list(connection.execute(select(events).where(events.c.run_id == run_id).order_by(events.c.id)))

    def objects(self, run_id: str, index: int) -> list[Row[Any]]:
        """What earlier attempts of a step recorded of its objects."""
        query = select(table_history).where(table_history.c.run_id == run_id, table_history.c.step_index == index)
        with self.store.read() as connection:
            return list(connection.execute(query.order_by(table_history.c.id)))

    def head(self) -> tuple[int, str]:
        with self.store.read() as connection:
            return audit.head(connection)

    def tool_statistics(self) -> list[dict[str, Any]]:
        """Per tool: calls, share that succeeded, mean seconds."""
        ended = steps.c.status.in_([StepStatus.DONE, StepStatus.FAILED])
        good = func.sum(func.iif(steps.c.status == StepStatus.DONE, 1, 0))
        query = (
            select(
                steps.c.tool,
                func.count().label("calls"),
                good.label("succeeded"),
                func.avg(steps.c.seconds).label("mean_seconds"),
            )
            .where(ended)
            .group_by(steps.c.tool)
            .order_by(steps.c.tool)
        )
        with self.store.read() as connection:
            return [
                {
                    "tool": r.tool,
                    "calls": r.calls,
                    "success_rate": r.succeeded / r.calls,
                    "mean_seconds": r.mean_seconds,
                }
                for r in connection.execute(query)
            ]

    def _row(self, connection: Connection, run_id: str) -> Row[Any]:
        row = connection.execute(select(runs).where(runs.c.id == run_id)).first()
        if row is None:
            raise StateError(f"the run {run_id} is no longer in the state store")
        return row

    def _claim(self, connection: Connection, run_id: str, owner: str) -> str | None:
        """Make sure that the run is still ours; whether another process asked it to `cancel` or `pause`."""
        row = connection.execute(_CLAIMED, {"r": run_id, "o": owner, "p": os.getpid()}).first()
        if row is None:
            raise StateError(
                f"the run {run_id} is now driven by another process", hint="`aishell runs show` tells which"
            )
        return _asked(row)

    def _set_step(self, connection: Connection, run_id: str, index: int, values: Mapping[str, Any]) -> None:
        connection.execute(_step_update(tuple(values)), {"r": run_id, "i": index, **values})

    def _checkpoint(
        self, connection: Connection, run_id: str, task_id: str, name: str, index: int | None, total: int
    ) -> None:
        connection.execute(
            _CHECKPOINT,
            {
                "run_id": run_id,
                "task_id": task_id,
                "name": name,
                "step_index": index,
                "total_steps": total,
                "version": 1,
                "created_at": now(),
            },
        )


@cache
def _step_update(names: tuple[str, ...]) -> Update:
    return _STEP.values({name: bindparam(name) for name in names})


def _asked(row: Row[Any]) -> str | None:
    return "cancel" if row.cancel_requested else "pause" if row.pause_requested else None


def who() -> str:
    """The user of this process, as the audit names it: name@host."""
    import getpass

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in a bare container
        name = f"uid{os.getuid()}"
    return f"{name}@{socket.gethostname()}"

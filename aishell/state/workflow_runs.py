"""Runs of workflows, and the outcome of each stage on each target. Each method is a transaction with its event."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Mapping
from typing import Any

from aishell.codec import canonical, digest
from aishell.errors import UnknownNameError
from aishell.models import now
from aishell.state import audit
from aishell.state.audit import newest_seal
from aishell.state.connection import Connection, Record, find_by_beginning
from aishell.state.runs import who
from aishell.state.store import Store

#: A claimed row has a process that holds its lock. Its run keeps its id, unless another is given.
_CLAIM = """UPDATE workflow_stages SET status = 'running', attempts = attempts + (status <> 'waiting'), run_id = :run,
        pid = :pid, started_at = COALESCE(started_at, :now), ended_at = NULL, exit_code = NULL, outcome = NULL, reason = ''
    WHERE id = :id AND status IN ('pending', 'running', 'waiting', 'failed') RETURNING *"""
#: What to retry at a person's request: stages with unfinished work, and those skipped because of them.
_REOPEN = """UPDATE workflow_stages SET status = 'pending', reason = '', cause = NULL, attempts = 0
    WHERE workflow_id = :id AND (status = 'failed' OR status = 'done' AND exit_code <> 0
        OR status = 'skipped' AND cause <> 'condition')"""
#: The duration of an agent's newest completed run on a target.
_TOOK = """SELECT (julianday(ended_at) - julianday(created_at)) * 86400 FROM runs
    WHERE agent = :agent AND target = :target AND state = 'completed' ORDER BY created_at DESC LIMIT 1"""
#: A stage on a target, with its workflow's name and its agent. `run_ended`: its run has ended, with its own event.
_CLOSED = """SELECT s.*, w.workflow, replace(w.definition ->> ('$.stages."' || s.stage || '".agent'), '-', '_') AS agent,
        EXISTS (SELECT 1 FROM runs AS r WHERE r.id = s.run_id AND r.state IN ('completed', 'failed', 'cancelled')) AS run_ended
    FROM workflow_stages AS s JOIN workflow_runs AS w ON w.id = s.workflow_id WHERE s.id = :id"""


class WorkflowRuns:
    """The workflows in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(
        self,
        workflow_id: str,
        name: str,
        definition: Mapping[str, Any],
        placed: Collection[tuple[str, str]],
        options: Mapping[str, Any],
        until: str | None,
    ) -> None:
        """Record a workflow with all its stages pending. `placed`: pairs of a stage and a target."""
        row = {
            "id": workflow_id,
            "workflow": name,
            "definition": canonical(definition),
            "options": canonical(options),
            "status": "running",
            "until": until,
            "requested_by": who(),
            "host": socket.gethostname(),
            "created_at": now(),
        }
        pending = {"workflow_id": workflow_id, "status": "pending", "reason": "", "attempts": 0}
        stages = [{**pending, "stage": stage, "target": target} for stage, target in placed]
        with self.store.write() as connection:
            _log(connection, workflow_id, "begun", workflow=name, seal=_seal(row), by=who(), stages=list(placed))
            connection.insert("workflow_runs", {**row, "event": audit.head(connection)[0]})
            connection.insert("workflow_stages", *stages)

    def take_up(
        self, workflow_id: str, *, until: str | None, options: Mapping[str, Any] | None = None, again: bool = False
    ) -> None:
        """Resume a workflow. `again`: retry stages that failed, and those that were skipped because of them.

        `options`: override those that it started with.
        """
        with self.store.write() as connection:
            place = {"id": workflow_id}
            row = connection.first("SELECT * FROM workflow_runs WHERE id = :id", place)
            if row is None:
                raise UnknownNameError("workflow run", workflow_id, [])
            given = {**json.loads(row.options), **(options or {})}
            values = {"status": "running", "until": until, "ended_at": None, "exit_code": None}
            connection.update("workflow_runs", "id = :id", place, {**values, "options": canonical(given)})
            if again:
                connection.execute(_REOPEN, place)
            _log(connection, workflow_id, "resumed", by=who(), again=again, options=given)

    def find(self, workflow_id: str) -> Record:
        """Return a workflow run by id or unambiguous prefix. Raises UnknownNameError and AmbiguousNameError."""
        with self.store.read() as connection:
            row = find_by_beginning(connection, "workflow_runs", "workflow run", workflow_id)
            if row is None:
                known = connection.all("SELECT id FROM workflow_runs ORDER BY created_at DESC LIMIT 12")
                raise UnknownNameError("workflow run", workflow_id, [row.id[:8] for row in known])
            return row

    def there(self, workflow_id: str) -> bool:
        """Whether a workflow run with this id exists."""
        return self.store.value("SELECT 1 FROM workflow_runs WHERE id = :id", {"id": workflow_id}) is not None

    def names(self, ids: Collection[str]) -> dict[str, str]:
        """Return id -> workflow for those ids that are workflow runs."""
        sql = "SELECT id, workflow FROM workflow_runs WHERE id IN (SELECT value FROM json_each(:ids))"
        return {row.id: row.workflow for row in self.store.all(sql, {"ids": json.dumps(list(ids))})}

    def recent(self, name: str | None = None, *, limit: int = 20) -> list[Record]:
        """Return workflow runs, newest first."""
        sql = """SELECT * FROM workflow_runs WHERE (:name IS NULL OR workflow = :name)
            ORDER BY created_at DESC LIMIT :limit"""
        return self.store.all(sql, {"name": name, "limit": limit})

    def is_unchanged(self, row: Record) -> bool:
        """Whether a workflow run is unchanged since its creation, by the audit log."""
        sql = "SELECT data FROM events WHERE id = :event AND type = 'workflow_decided'"
        made = audit.read(self.store.value(sql, {"event": row.event}) or "")
        return made.get("workflow_id") == row.id and made.get("seal") == _seal(row)

    def is_sealed(self, row: Record) -> bool:
        """Whether a workflow run's first event was moved out of the log."""
        with self.store.read() as connection:
            return bool(row.event <= newest_seal(connection).through)

    def stages(self, workflow_id: str) -> list[Record]:
        """Return the rows of each stage on each target, in their original order."""
        return self.store.all("SELECT * FROM workflow_stages WHERE workflow_id = :id ORDER BY id", {"id": workflow_id})

    def stage(self, number: int) -> Record:
        """Return one of these rows. Raises UnknownNameError."""
        row = self.store.first("SELECT * FROM workflow_stages WHERE id = :id", {"id": number})
        if row is None:
            raise UnknownNameError("stage of a workflow", str(number), [])
        return row

    def output(self, workflow_id: str, stage: str, target: str) -> Mapping[str, Any] | None:
        """Return the output of a stage's run on a target, None without one or if the run was pruned."""
        sql = """SELECT r.result FROM workflow_stages AS s JOIN runs AS r ON r.id = s.run_id
            WHERE s.workflow_id = :id AND s.stage = :stage AND s.target = :target"""
        text = self.store.value(sql, {"id": workflow_id, "stage": stage, "target": target})
        return None if text is None else dict(json.loads(text)["output_data"])

    def seconds(self, agent: str, target: str) -> float | None:
        """Return the duration of an agent's last run on a target in seconds, None without one."""
        found = self.store.value(_TOOK, {"agent": agent, "target": target})
        return None if found is None else float(found)

    def claim(self, number: int, run_id: str) -> Record | None:
        """Claim a row for this process, which holds its lock; return it, or None if there is nothing left to do.

        Its run gets the id `run_id`: a process that takes the row over starts or resumes the same run.
        """
        with self.store.write() as connection:
            row = connection.first(_CLAIM, {"id": number, "run": run_id, "pid": os.getpid(), "now": now()})
            if row is not None:
                data = {"stage": row.stage, "target": row.target, "attempt": row.attempts, "run": row.run_id}
                _log(connection, row.workflow_id, "claimed", **data)
        return row

    def close(
        self,
        number: int,
        status: str,
        *,
        reason: str = "",
        cause: str | None = None,
        exit_code: int | None = None,
        outcome: str | None = None,
    ) -> None:
        """Record the outcome of a stage on a target."""
        values = {"status": status, "reason": reason, "cause": cause, "exit_code": exit_code, "outcome": outcome}
        with self.store.write() as connection:
            place = {"id": number}
            connection.update("workflow_stages", "id = :id", place, {**values, "pid": None, "ended_at": now()})
            row = connection.first(_CLOSED, place)
            if row is not None:
                data = {"workflow": row.workflow, "stage": row.stage, "agent": row.agent, "target": row.target}
                data |= {"run": row.run_id, "run_ended": bool(row.run_ended), "exit_code": exit_code}
                _log(connection, row.workflow_id, status, **data, outcome=outcome, reason=reason)

    def end(self, workflow_id: str, status: str, exit_code: int) -> None:
        """Record the end of a workflow run, with its result."""
        with self.store.write() as connection:
            values = {"status": status, "exit_code": exit_code, "ended_at": now()}
            connection.update("workflow_runs", "id = :id", {"id": workflow_id}, values)
            _log(connection, workflow_id, "ended", status=status, exit_code=exit_code)


def _seal(row: Mapping[str, Any] | Record) -> str:
    """Return the digest of a workflow's name and definition, which is in the log from the beginning."""
    return digest([row["workflow"], row["definition"]])


def _log(connection: Connection, workflow_id: str, decision: str, **data: Any) -> None:
    audit.append(connection, "workflow_decided", {"workflow_id": workflow_id, "decision": decision, **data})

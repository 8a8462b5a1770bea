"""The ledger of schedules: each nominal time is decided once and claimed by one process. Each method is a transaction.

The caller decides inside the transaction that records the decision, so no two processes decide the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aishell.commands import command
from aishell.errors import StateError, UnknownNameError
from aishell.models import now, timestamp
from aishell.state import audit
from aishell.state.connection import Connection, Record, marks
from aishell.state.runs import who
from aishell.state.store import Store

#: A row whose process was killed this often is not tried again.
MOST_ATTEMPTS = 3
#: How long a run that a person requested may take to start.
ASKED = timedelta(hours=1)
#: The reason of a row whose run a daemon paused at its shutdown: the next daemon resumes it.
SHUTDOWN = "paused by a shutdown"
#: A pending step's request that failed: rejected, expired without an answer, or approved but not used in time.
_OVER = """EXISTS (SELECT 1 FROM approvals AS a JOIN steps AS t ON t.run_id = a.run_id AND t.step_index = a.step_index
        WHERE a.run_id = r.id AND t.status = 'pending' AND (a.status = 'rejected'
            OR (a.status = 'expired' OR a.status IN ('pending', 'approved', 'modified') AND a.expires_at < :now)
                AND NOT EXISTS (SELECT 1 FROM approvals AS b WHERE b.run_id = a.run_id AND b.step_index = a.step_index
                    AND b.requested_at > a.requested_at)))"""
_ALIVE = """EXISTS (SELECT 1 FROM approvals AS a WHERE a.run_id = r.id AND a.expires_at >= :now
        AND a.status IN ({statuses}))"""
_USABLE, _ANSWERABLE = (
    _ALIVE.format(statuses=s) for s in ("'approved', 'modified'", "'pending', 'approved', 'modified'")
)
#: Whether to continue a waiting row. Within its window: with an answer, or if a person ended its run or a hold paused
#: it. After it: only to record the failure, and not while an answer is possible: a person may still resume it by hand.
_GOES_ON = f"""NOT EXISTS (
        SELECT 1 FROM runs AS r WHERE (r.id = s.run_id OR r.id IN (
            SELECT w.run_id FROM workflow_stages AS w WHERE w.workflow_id = s.run_id AND w.status = 'waiting'))
            AND (r.state = 'paused' AND s.until <= :now
            OR r.state = 'completed' AND EXISTS (SELECT 1 FROM approvals AS a WHERE a.run_id = r.id AND a.level = 'stage'
                AND a.status = 'pending' AND a.expires_at >= :now)
            OR r.state = 'waiting_approval' AND NOT CASE
                WHEN s.until <= :now THEN {_OVER} AND NOT {_ANSWERABLE} ELSE {_USABLE} OR {_OVER} END))"""  # noqa: S608  our own
#: The rows with work to do: due; waiting and ready to continue; running, perhaps without a process.
_OPEN = f"""SELECT * FROM schedule_runs AS s WHERE status IN ('due', 'running') OR status = 'waiting' AND {_GOES_ON}
    ORDER BY nominal_at, id"""  # noqa: S608  our own
_CLAIM = f"""UPDATE schedule_runs AS s SET status = 'running', attempts = attempts + (status <> 'waiting'),
        run_id = COALESCE(run_id, :run), pid = :pid, started_at = COALESCE(started_at, :now), ended_at = NULL,
        reason = iif(reason IN ('late', 'run-now'), reason, '')
    WHERE id = :id AND status IN ('due', 'running', 'waiting') AND (attempts < :most OR status = 'waiting')
        AND (until IS NULL OR until > :now OR status = 'waiting' AND {_GOES_ON})
        AND (SELECT count(*) FROM schedule_runs AS o WHERE o.status = 'running' AND o.id <> :id) < :limit
        AND NOT EXISTS (SELECT 1 FROM schedule_runs AS o
                        WHERE o.status = 'running' AND o.id <> :id AND o.target = s.target)
    RETURNING *"""  # noqa: S608  our own


@dataclass(frozen=True)
class Entry:
    """A nominal time and the decision on it. `status`: due | missed | skipped.

    `until`: when its work must end, None for no limit. `times`: how many times it stands for; `nominal` is the last.
    """

    nominal: datetime
    status: str
    reason: str = ""
    until: datetime | None = None
    times: int = 1


@dataclass(frozen=True)
class Pause:
    """A person's pause of a schedule from `since` on. `until` None: until it is resumed."""

    since: datetime
    by: str
    until: datetime | None = None
    reason: str = ""

    def holds(self, moment: datetime) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True)
class ScheduleState:
    """The stored state of a schedule: the time up to which its nominal times are decided, and its pause."""

    settled: datetime
    pause: Pause | None = None


Decide = Callable[[ScheduleState], Iterable[Entry]]


class ScheduleRuns:
    """The ledger in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def settle(
        self,
        name: str,
        timing: str,
        at: datetime,
        decide: Decide,
        *,
        targets: Collection[str],
        local: Callable[[datetime], str],
    ) -> list[Record]:
        """Decide the nominal times of a schedule up to `at`; return the rows written.

        Times count from the last one decided, or from now if the schedule is new or its `timing` has changed.
        """
        with self.store.write() as connection:
            row = connection.first("SELECT * FROM schedules WHERE name = :name", {"name": name})
            if row is None or row.timing != timing:
                self._begin(connection, name, timing, at, "first_seen" if row is None else "edited")
                return []
            known = _known(row)
            if known.settled > at:
                self._take_back(connection, name, at)
                return []
            written = [made for one in decide(known) for made in self._write(connection, name, one, targets, local)]
            if written:
                connection.update("schedules", "name = :name", {"name": name}, {"settled": written[-1].nominal_at})
            return written

    def _begin(self, connection: Connection, name: str, timing: str, at: datetime, decision: str) -> None:
        row = {"name": name, "timing": timing, "settled": timestamp(at)}
        again = "ON CONFLICT (name) DO UPDATE SET timing = excluded.timing, settled = excluded.settled"
        connection.insert("schedules", row, known=again)
        _log(connection, name, decision, timing=timing)

    def _take_back(self, connection: Connection, name: str, at: datetime) -> None:
        """Remove rows that have not started and whose time will come again, because the clock was set back."""
        gone = connection.execute(
            """DELETE FROM schedule_runs WHERE schedule = :name AND nominal_at > :at AND run_id IS NULL AND asked_by IS NULL""",
            {"name": name, "at": timestamp(at)},
        ).rowcount
        connection.update("schedules", "name = :name", {"name": name}, {"settled": timestamp(at)})
        _log(connection, name, "clock_put_back", at=timestamp(at), taken_back=gone)

    def _write(
        self,
        connection: Connection,
        name: str,
        one: Entry,
        targets: Collection[str],
        local: Callable[[datetime], str],
    ) -> list[Record]:
        nominal = timestamp(one.nominal)
        place = {"name": name, "nominal": nominal}
        there = "SELECT * FROM schedule_runs WHERE schedule = :name AND nominal_at = :nominal"
        if (before := connection.all(there, place)) != []:
            return before  # a person skipped it
        if one.status == "due":
            passed = """UPDATE schedule_runs SET status = 'missed', ended_at = :now,
                    reason = 'the next time came before it could begin' || iif(reason = '', '', ': ' || reason)
                WHERE schedule = :name AND status = 'due' AND asked_by IS NULL RETURNING *"""
            for row in connection.all(passed, {"name": name, "now": now()}):
                _log(connection, name, "missed", nominal=row.nominal_at, target=row.target, reason=row.reason)
        made = _row(name, one, local(one.nominal))
        rows = [{**made, "target": target} for target in (targets if one.status == "due" else ("",))]
        connection.insert("schedule_runs", *rows)
        _log(connection, name, one.status, nominal=nominal, reason=one.reason, targets=[r["target"] for r in rows])
        return connection.all(there, place)

    def ask(self, name: str, targets: Collection[str], at: datetime, local: str, until: datetime | None) -> list[int]:
        """Record a run that a person requests outside of the nominal times; return the ids of its rows."""
        row = _row(name, Entry(at, "due", "run-now", until), local, asked_by=who())
        with self.store.write() as connection:
            connection.insert("schedule_runs", *({**row, "target": target} for target in targets))
            _log(connection, name, "due", nominal=timestamp(at), reason="run-now", by=who(), targets=list(targets))
            there = "SELECT id FROM schedule_runs WHERE schedule = :name AND nominal_at = :at ORDER BY id"
            return [found.id for found in connection.all(there, {"name": name, "at": timestamp(at)})]

    def skip(self, name: str, nominal: datetime, local: str, reason: str) -> None:
        """Skip a future nominal time. Raises StateError if it is already decided."""
        why = f"skipped by {who()}{f': {reason}' if reason else ''}"
        row = {**_row(name, Entry(nominal, "skipped", why), local, asked_by=who()), "target": ""}
        with self.store.write() as connection:
            there = "SELECT status FROM schedule_runs WHERE schedule = :name AND nominal_at = :at"
            before = connection.value(there, {"name": name, "at": timestamp(nominal)})
            if before is not None:
                hint = f"see `{command('schedule', 'history')}`"
                raise StateError(f"the time {local} of {name} is already decided: {before}", hint=hint)
            connection.insert("schedule_runs", row)
            _log(connection, name, "skipped", nominal=timestamp(nominal), reason=why, by=who())

    def left_out(self, name: str) -> set[datetime]:
        """Return the nominal times of a schedule that people have skipped."""
        sql = "SELECT nominal_at FROM schedule_runs WHERE schedule = :name AND status = 'skipped' AND asked_by IS NOT NULL"
        return {datetime.fromisoformat(row.nominal_at) for row in self.store.all(sql, {"name": name})}

    def pause(self, name: str, timing: str, until: datetime | None, reason: str) -> None:
        """Pause a schedule until `until`, or until `resume`."""
        with self.store.write() as connection:
            if connection.first("SELECT 1 FROM schedules WHERE name = :name", {"name": name}) is None:
                self._begin(connection, name, timing, datetime.now(UTC), "first_seen")
            values = {"paused_at": now(), "paused_until": timestamp(until) if until else None, "paused_by": who()}
            connection.update("schedules", "name = :name", {"name": name}, {**values, "pause_reason": reason})
            _log(connection, name, "paused", until=values["paused_until"], reason=reason, by=who())

    def resume(self, name: str) -> bool:
        """End a pause; return whether there was one. The caller first settles the times that passed meanwhile."""
        with self.store.write() as connection:
            values = dict.fromkeys(("paused_at", "paused_until", "paused_by", "pause_reason"))
            there = connection.update("schedules", "name = :name AND paused_at IS NOT NULL", {"name": name}, values)
            if there:
                _log(connection, name, "resumed", by=who())
        return bool(there)

    def known(self) -> dict[str, ScheduleState]:
        """Return the stored state of each schedule, by name."""
        return {row.name: _known(row) for row in self.store.all("SELECT * FROM schedules")}

    def forget(self, configured: Collection[str]) -> None:
        """Remove unconfigured schedules. Their due rows become missed; one that is configured again counts as new."""
        wanted, values = marks(configured)
        gone = f"NOT IN ({wanted})" if configured else "IS NOT NULL"
        with self.store.write() as connection:
            sql = f"""UPDATE schedule_runs SET status = 'missed', reason = 'the schedule is no longer configured', ended_at = :now
                WHERE status = 'due' AND schedule {gone} RETURNING schedule, nominal_at, target"""  # noqa: S608  nothing but marks
            for row in connection.all(sql, {**values, "now": now()}):
                _log(connection, row.schedule, "missed", nominal=row.nominal_at, reason="no longer configured")
            connection.execute(f"DELETE FROM schedules WHERE name {gone}", values)  # noqa: S608

    def expire(self, at: datetime) -> list[Record]:
        """Close due rows whose window has closed, and requested ones that are too old; return these rows."""
        sql = """UPDATE schedule_runs SET ended_at = :now,
                status = iif(EXISTS (SELECT 1 FROM runs AS r WHERE r.id = run_id), 'failed', 'missed'),
                reason = iif(until <= :at, 'the window closed before it could begin', 'it could not begin in time')
                    || iif(reason = '', '', ': ' || reason)
            WHERE status = 'due' AND (until <= :at OR asked_by IS NOT NULL AND nominal_at <= :asked) RETURNING *"""
        with self.store.write() as connection:
            rows = connection.all(sql, {"now": now(), "at": timestamp(at), "asked": timestamp(at - ASKED)})
            for row in rows:
                data = {"nominal": row.nominal_at, "target": row.target, "run": row.run_id, "reason": row.reason}
                _log(connection, row.schedule, row.status, **data)
        return rows

    def open(self, at: datetime) -> list[Record]:
        """Return the open rows, oldest first, including running ones."""
        return self.store.all(_OPEN, {"now": timestamp(at)})

    def of_run(self, run_id: str) -> Record | None:
        """Return the row that started a run or the workflow of which it is a stage, None if no schedule did."""
        sql = """SELECT * FROM schedule_runs AS s WHERE s.run_id = :run OR s.run_id IN (
            SELECT w.workflow_id FROM workflow_stages AS w WHERE w.run_id = :run)"""
        return self.store.first(sql, {"run": run_id})

    def behind(self, run_id: str) -> Record | None:
        """Return the newest row of a run, or of the workflow run of which it is a stage."""
        sql = """SELECT * FROM schedule_runs
            WHERE run_id IN (:run, (SELECT parent_id FROM runs WHERE id = :run)) ORDER BY id DESC LIMIT 1"""
        return self.store.first(sql, {"run": run_id})

    def row(self, number: int) -> Record:
        """Return a row. Raises UnknownNameError."""
        row = self.store.first("SELECT * FROM schedule_runs WHERE id = :id", {"id": number})
        if row is None:
            raise UnknownNameError("run of a schedule", str(number), [])
        return row

    def claim(self, number: int, run_id: str, at: datetime, limit: int) -> Record | None:
        """Claim a row for this process, which holds its lock; return it, or None if it cannot run now.

        The row stores the id of its run: a process that takes it over starts or resumes the same run.
        """
        values = {
            "id": number,
            "run": run_id,
            "pid": os.getpid(),
            "now": timestamp(at),
            "most": MOST_ATTEMPTS,
            "limit": limit,
        }
        with self.store.write() as connection:
            row = connection.first(_CLAIM, values)
            if row is not None:
                data = {"nominal": row.nominal_at, "target": row.target, "attempt": row.attempts, "run": row.run_id}
                _log(connection, row.schedule, "claimed", **data)
        return row

    def expand(self, number: int, targets: Collection[str]) -> None:
        """Replace a claimed row of a whole server by a due row for each target, and close it, atomically."""
        with self.store.write() as connection:
            row = connection.first("SELECT * FROM schedule_runs WHERE id = :id", {"id": number})
            if row is None or row.status != "running":
                return
            same = ("schedule", "nominal_at", "local_at", "times", "until", "asked_by")
            made = {**{name: row[name] for name in same}, "status": "due", "attempts": 0, "decided_at": now()}
            made["reason"] = "run-now" if row.asked_by else ""
            rows = [{**made, "target": target} for target in targets]
            connection.insert("schedule_runs", *rows, known="ON CONFLICT DO NOTHING")
            summary = f"{len(rows)} database{'s' if len(rows) != 1 else ''}, a run each"
            done = {"status": "done", "reason": summary, "exit_code": 0, "outcome": "success"}
            connection.update(
                "schedule_runs", "id = :id", {"id": number}, {**done, "run_id": None, "pid": None, "ended_at": now()}
            )
            data = {"nominal": row.nominal_at, "target": row.target, "reason": summary, "targets": list(targets)}
            _log(connection, row.schedule, "ended", **data, exit_code=0, outcome="success")

    def beside(self, numbers: Collection[int]) -> set[int]:
        """Return the rows with the same nominal times as these."""
        wanted, values = marks(numbers)
        sql = f"""SELECT o.id FROM schedule_runs AS o JOIN schedule_runs AS s ON o.schedule = s.schedule
            AND o.nominal_at = s.nominal_at WHERE s.id IN ({wanted})"""  # noqa: S608  nothing but marks
        return {row.id for row in self.store.all(sql, values)}

    def shut_down(self, number: int) -> list[str]:
        """Mark a running row as paused by a shutdown; return the ids of its run and its workflow's running stages."""
        sql = "UPDATE schedule_runs SET reason = :reason WHERE id = :id AND status = 'running' RETURNING run_id"
        with self.store.write() as connection:
            row = connection.first(sql, {"id": number, "reason": SHUTDOWN})
            if row is None:
                return []
            at_work = "SELECT run_id FROM workflow_stages WHERE workflow_id = :run AND status = 'running'"
            return [str(row.run_id), *(stage.run_id for stage in connection.all(at_work, {"run": row.run_id}))]

    def put_back(self, number: int, reason: str) -> None:
        """Make a claimed row that could not start due again, without counting an attempt."""
        sql = """UPDATE schedule_runs SET status = 'due', reason = :reason, attempts = attempts - 1, pid = NULL
            WHERE id = :id AND status = 'running' RETURNING *"""
        with self.store.write() as connection:
            row = connection.first(sql, {"id": number, "reason": reason})
            if row is not None:
                _log(connection, row.schedule, "due", nominal=row.nominal_at, target=row.target, reason=reason)

    def note(self, number: int, reason: str) -> bool:
        """Record why a row does not start or continue; return whether the reason is new."""
        place = {"id": number}
        with self.store.write() as connection:
            where = "id = :id AND status IN ('due', 'waiting') AND reason <> :why"
            return bool(connection.update("schedule_runs", where, {**place, "why": reason}, {"reason": reason}))

    def stranded(self, at: datetime) -> list[Record]:
        """Return waiting rows with approved steps whose window has closed: only a person can resume them."""
        sql = f"""SELECT * FROM schedule_runs AS s WHERE status = 'waiting' AND until <= :now AND EXISTS (SELECT 1 FROM runs AS r
            WHERE (r.id = s.run_id OR r.id IN (SELECT w.run_id FROM workflow_stages AS w WHERE w.workflow_id = s.run_id))
                AND r.state = 'waiting_approval' AND {_USABLE})"""  # noqa: S608  our own
        return self.store.all(sql, {"now": timestamp(at)})

    def close(
        self, number: int, status: str, *, reason: str = "", exit_code: int | None = None, outcome: str | None = None
    ) -> None:
        """Record the outcome of a row: done | waiting | failed | missed."""
        values: Mapping[str, Any] = {"status": status, "reason": reason, "exit_code": exit_code, "outcome": outcome}
        with self.store.write() as connection:
            place = {"id": number}
            connection.update("schedule_runs", "id = :id", place, {**values, "pid": None, "ended_at": now()})
            row = connection.first("SELECT * FROM schedule_runs WHERE id = :id", place)
            if row is not None:
                data = {"nominal": row.nominal_at, "target": row.target, "run": row.run_id, "exit_code": exit_code}
                decision = "ended" if status == "done" else status
                _log(connection, row.schedule, decision, **data, outcome=outcome, reason=reason)

    def history(self, name: str | None = None, *, limit: int = 50) -> list[Record]:
        """Return the ledger, newest first."""
        sql = """SELECT * FROM schedule_runs WHERE (:name IS NULL OR schedule = :name)
            ORDER BY nominal_at DESC, id DESC LIMIT :limit"""
        return self.store.all(sql, {"name": name, "limit": limit})


def _row(schedule: str, one: Entry, local: str, asked_by: str | None = None) -> dict[str, Any]:
    """Return a ledger row for a nominal time, without target. `asked_by`: the person who requested or skipped it."""
    return {
        "schedule": schedule,
        "nominal_at": timestamp(one.nominal),
        "local_at": local,
        "status": one.status,
        "reason": one.reason,
        "times": one.times,
        "until": timestamp(one.until) if one.until else None,
        "asked_by": asked_by,
        "attempts": 0,
        "decided_at": now(),
    }


def _known(row: Record) -> ScheduleState:
    at, until = (datetime.fromisoformat(text) if text else None for text in (row.paused_at, row.paused_until))
    pause = Pause(at, row.paused_by or "", until, row.pause_reason or "") if at is not None else None
    return ScheduleState(datetime.fromisoformat(row.settled), pause)


def _log(connection: Connection, schedule: str, decision: str, **data: Any) -> None:
    audit.append(connection, "schedule_decided", {"schedule": schedule, "decision": decision, **data})

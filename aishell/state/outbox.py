"""The outbox: messages, decided once per rule and cause, delivered at least once. Every method is one transaction.

Causes are events of the audit log. Reading continues where the last look ended, and decisions are committed together
with the position: no kill makes a rule notify twice or miss an event (docs/decisions/0022-notifications.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from aishell.codec import canonical
from aishell.models import now, timestamp
from aishell.state import audit
from aishell.state.connection import Connection, Record, marks
from aishell.state.store import Store

MESSAGE, HEARTBEAT, DIGEST = "message", "heartbeat", "digest"
#: How long a message is reserved for the process that delivers it.
LEASE = timedelta(minutes=2)
#: The wait after the first attempt, which doubles up to the longest; and the age at which a message is given up, and at
#: which events no longer cause messages.
FIRST_WAIT, LONGEST_WAIT, GIVEN_UP = timedelta(seconds=30), timedelta(hours=1), timedelta(days=3)
#: How many events are judged in one transaction, so that other writers do not wait long.
_AT_A_TIME = 200
_HAPPENED = """SELECT e.id, e.type, e.at, e.data, e.run_id, e.step_index,
        r.agent, r.target, r.result, r.host,
        COALESCE((SELECT s.schedule FROM schedule_runs AS s WHERE s.run_id IN (e.run_id, e.fields ->> '$.workflow_id',
            (SELECT w.workflow_id FROM workflow_stages AS w WHERE w.run_id = e.run_id)) LIMIT 1), '') AS schedule,
        (SELECT a.status FROM approvals AS a WHERE a.id = e.fields ->> '$.approval') AS approval,
        (SELECT a.request FROM approvals AS a WHERE a.id = e.fields ->> '$.approval') AS request,
        (SELECT min(a.expires_at, COALESCE((SELECT s.until FROM schedule_runs AS s WHERE s.run_id = a.run_id OR s.run_id IN (
                SELECT w.workflow_id FROM workflow_stages AS w WHERE w.run_id = a.run_id)), a.expires_at))
            FROM approvals AS a WHERE a.id = e.fields ->> '$.approval') AS answer_by,
        NOT EXISTS (SELECT 1 FROM schedule_runs AS s
            WHERE s.schedule = e.fields ->> '$.schedule' AND s.nominal_at = e.fields ->> '$.nominal'
              AND NOT (s.status = 'done' AND s.outcome = 'success')) AS all_well
    FROM (SELECT *, CASE WHEN json_valid(data) THEN data ELSE 'null' END AS fields FROM events) AS e
        LEFT JOIN runs AS r ON r.id = e.run_id"""
_NEW = f"{_HAPPENED} WHERE e.id > :after AND e.at > :oldest AND e.type IN ({{types}}) ORDER BY e.id LIMIT {_AT_A_TIME}"
#: Expired approvals as events, because an expiry enters the log only when the run is resumed.
_EXPIRED = """SELECT a.id, 'approval_expired' AS type, a.expires_at AS at,
        json_object('approval', a.id, 'step', a.step_id) AS data, a.run_id, a.step_index, r.agent, r.target, r.result, r.host,
        COALESCE((SELECT s.schedule FROM schedule_runs AS s WHERE s.run_id IN (a.run_id,
            (SELECT w.workflow_id FROM workflow_stages AS w WHERE w.run_id = a.run_id)) LIMIT 1), '') AS schedule,
        a.status AS approval, 0 AS all_well
    FROM approvals AS a JOIN runs AS r ON r.id = a.run_id
    WHERE a.status IN ('pending', 'expired') AND a.expires_at > :since AND a.expires_at <= :now ORDER BY a.expires_at"""
_DUE = """SELECT * FROM outbox WHERE status = 'waiting' AND next_at <= :now ORDER BY
    CASE severity WHEN 'critical' THEN 0 ELSE 1 END, id"""


@dataclass(frozen=True)
class Notification:
    """A rule's message to its services, one per cause. `every`: the least time between two messages on a `subject`."""

    rule: str
    cause: str
    subject: str
    to: tuple[str, ...]
    severity: str
    title: str
    body: str
    every: timedelta | None = None
    kind: str = MESSAGE


@dataclass(frozen=True)
class IncidentState:
    """The state of a rule's condition for a subject: an incident is open as long as it `holds`.

    `about`: target, schedule and agent, if any. `body`: why it holds, or no longer does.
    """

    rule: str
    subject: str
    holds: bool
    severity: str
    title: str
    body: str
    to: tuple[str, ...] = ()
    every: timedelta | None = None
    about: Mapping[str, str] = field(default_factory=dict)


Judge = Callable[[Record], Iterable[Notification | IncidentState]]


class Outbox:
    """The outbox of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self) -> None:
        """Notify about events from now on, or since an earlier call."""
        if self.store.first("SELECT 1 FROM outbox_cursor") is not None:
            return
        with self.store.write() as connection:
            cursor = {"id": 1, "event": audit.head(connection)[0], "at": now()}
            connection.insert("outbox_cursor", cursor, known="ON CONFLICT (id) DO NOTHING")

    def stop(self) -> None:
        """Stop notifying: later events cause no messages."""
        if self.store.first("SELECT 1 FROM outbox_cursor") is None:
            return
        with self.store.write() as connection:
            connection.execute("DELETE FROM outbox_cursor")

    def decide(self, types: Collection[str], judge: Judge, at: datetime) -> int:
        """Judge all new events and newly expired approvals; return the number of new messages."""
        made, done = 0, False
        while not done:
            with self.store.write() as connection:
                more, done = self._look(connection, types, judge, at)
                made += more
        return made

    def _look(self, connection: Connection, types: Collection[str], judge: Judge, at: datetime) -> tuple[int, bool]:
        """Judge the next events; return the number of new messages, and whether no event is left."""
        cursor = connection.first("SELECT * FROM outbox_cursor")
        if cursor is None:
            return 0, True
        names, values = marks(types)
        newest = audit.head(connection)[0]
        values |= {"after": cursor.event, "oldest": timestamp(at - GIVEN_UP)}
        events = connection.all(_NEW.format(types=names), values)
        more = len(events) == _AT_A_TIME
        if more:
            position = {"event": events[-1].id}
        else:
            events += connection.all(_EXPIRED, {"since": cursor.at, "now": timestamp(at)})
            position = {"event": newest, "at": max(timestamp(at), cursor.at)}
        made = sum(self._write_down(connection, verdict, at) for event in events for verdict in judge(event))
        if any(position[name] != cursor[name] for name in position):
            connection.update("outbox_cursor", "id = :one", {"one": 1}, position)
        return made, not more and audit.head(connection)[0] == newest

    def _write_down(self, connection: Connection, verdict: Notification | IncidentState, at: datetime) -> int:
        if isinstance(verdict, IncidentState):
            return self._follow(connection, verdict, at)
        return put(connection, verdict, at)

    def watch(
        self, states: Iterable[IncidentState], rules: Collection[str], watched: Collection[str], at: datetime
    ) -> int:
        """Open and close incidents by their present states; return the number of new messages.

        `rules`: all rules; incidents of others are closed. `watched`: the rules whose subjects are all in `states`.
        """
        made, seen = 0, set[tuple[str, str]]()
        with self.store.write() as connection:
            for one in states:
                seen.add((one.rule, one.subject))
                made += self._follow(connection, one, at)
            for open_ in connection.all("SELECT * FROM incidents WHERE closed_at IS NULL"):
                gone = "the rule is no longer configured" if open_.rule not in rules else ""
                if not gone and open_.rule in watched and (open_.rule, open_.subject) not in seen:
                    gone = "the rule no longer applies to it"
                if gone:
                    _close(connection, open_, gone, at)
        return made

    def _follow(self, connection: Connection, one: IncidentState, at: datetime) -> int:
        place = {"rule": one.rule, "subject": one.subject}
        there = "SELECT * FROM incidents WHERE rule = :rule AND subject = :subject AND closed_at IS NULL"
        known = connection.first(there, place)
        if known is None:
            return self._open(connection, one, place, at) if one.holds else 0
        if not one.holds:
            _close(connection, known, one.body.partition("\n")[0], at)
            over = _about(one, f"incident {known.id} closed", f"over: {known.title}", "info")
            return put(connection, over, at) if _was_notified(connection, known) else 0
        if one.every is None:
            return 0
        times = int((at - datetime.fromisoformat(known.opened_at)) / one.every)
        cause = f"incident {known.id}, {times} times {one.every} later"
        still = _about(one, cause, f"still: {one.title}", one.severity)
        return put(connection, still, at) if times else 0

    def _open(self, connection: Connection, one: IncidentState, place: Mapping[str, str], at: datetime) -> int:
        row = {**place, "severity": one.severity, "title": one.title, "about": canonical(one.about)}
        row["opened_at"] = timestamp(at)
        connection.insert("incidents", row)
        number = connection.value("SELECT last_insert_rowid()")
        data = {"incident": number, **place, "severity": one.severity, "title": one.title, **one.about}
        audit.append(connection, "incident_opened", data)
        opened = _about(one, f"incident {number} opened", one.title, one.severity)
        return put(connection, replace(opened, every=one.every), at)

    def claim(self, held_back: Callable[[str], datetime | None], at: datetime, most: int) -> list[Record]:
        """Return messages that are due, reserved for LEASE, for the caller to deliver at once.

        `held_back`: returns until when messages of a severity are held back, or None.
        """
        claimed = list[Record]()
        with self.store.write() as connection:
            for row in connection.all(_DUE, {"now": timestamp(at)}):
                until = held_back(row.severity) if row.kind == MESSAGE else None
                if until is None and len(claimed) == most:
                    break
                values: dict[str, Any] = {"next_at": timestamp(until or at + LEASE)}
                if until is None:
                    values["attempts"] = row.attempts + 1
                    claimed.append(row)
                connection.update("outbox", "id = :id", {"id": row.id}, values)
        return claimed

    def sent(self, number: int) -> None:
        """Record that a message was delivered."""
        self._ended(number, {"status": "sent", "reason": None, "ended_at": now()}, "notification_sent")

    def untried(self, number: int, at: datetime) -> None:
        """Record that a message was not tried, which does not count as an attempt."""
        with self.store.write() as connection:
            sql = "UPDATE outbox SET attempts = attempts - 1, next_at = :at WHERE id = :id AND status = 'waiting'"
            connection.execute(sql, {"id": number, "at": timestamp(at)})

    def failed(self, number: int, reason: str, at: datetime, *, for_good: bool = False) -> None:
        """Record a failed attempt. It is repeated later, unless it failed `for_good` or the message is too old."""
        row = self.store.first("SELECT * FROM outbox WHERE id = :id", {"id": number})
        if row is None:
            return
        if for_good or at - datetime.fromisoformat(row.decided_at) > GIVEN_UP:
            self._ended(number, {"status": "failed", "reason": reason, "ended_at": now()}, "notification_failed")
            return
        wait = min(FIRST_WAIT * 2 ** min(row.attempts, 20), LONGEST_WAIT)
        self._ended(number, {"reason": reason, "next_at": timestamp(at + wait)}, "notification_failed")

    def _ended(self, number: int, values: Mapping[str, Any], event: str) -> None:
        with self.store.write() as connection:
            if not connection.update("outbox", "id = :id AND status = 'waiting'", {"id": number}, values):
                return  # another process, which took the message after LEASE, was faster
            row = connection.first("SELECT * FROM outbox WHERE id = :id", {"id": number})
            if row is not None:
                data = {"notification": number, "kind": row.kind, "rule": row.rule, "service": row.service}
                audit.append(
                    connection, event, {**data, "attempt": row.attempts, "status": row.status, "reason": row.reason}
                )

    def prune(self, keep: int) -> None:
        """Remove messages that were sent or given up, except the newest `keep`."""
        ended = "SELECT id FROM outbox WHERE status <> 'waiting' ORDER BY id DESC LIMIT -1 OFFSET :keep"
        if self.store.first(ended, {"keep": keep}) is None:
            return
        with self.store.write() as connection:
            connection.execute(f"DELETE FROM outbox WHERE id IN ({ended})", {"keep": keep})  # noqa: S608  our own

    def recent(self, *, limit: int, waiting: bool = False) -> list[Record]:
        """Return messages, newest first; `waiting`: only those not yet delivered."""
        sql = "SELECT * FROM outbox WHERE NOT :waiting OR status = 'waiting' ORDER BY id DESC LIMIT :limit"
        return self.store.all(sql, {"waiting": waiting, "limit": limit})

    def incidents(self, *, limit: int, every: bool = False) -> list[Record]:
        """Return open incidents, or `every` one, newest first."""
        sql = "SELECT * FROM incidents WHERE :every OR closed_at IS NULL ORDER BY id DESC LIMIT :limit"
        return self.store.all(sql, {"every": every, "limit": limit})

    def due(self, at: datetime) -> bool:
        """Whether there is anything to deliver."""
        return self.store.first(f"{_DUE} LIMIT 1", {"now": timestamp(at)}) is not None


def data_of(event: Record) -> dict[str, Any]:
    """Return the data of an event."""
    return audit.read(event.data)


def result_of(event: Record) -> dict[str, Any] | None:
    """Return the result of an event's run, None without one."""
    found: dict[str, Any] | None = json.loads(event.result) if event.result else None
    return found


def _about(one: IncidentState, cause: str, title: str, severity: str) -> Notification:
    return Notification(one.rule, cause, one.subject, one.to, severity, title, one.body)


def put(connection: Connection, message: Notification, at: datetime) -> int:
    """Put a message into the outbox, once for each service; return 1 if it is new, else 0."""
    if message.every is not None:
        after = timestamp(at - message.every)
        recent = """SELECT 1 FROM outbox WHERE kind = :kind AND rule = :rule AND subject = :subject AND decided_at > :after
            LIMIT 1"""
        values = {"kind": message.kind, "rule": message.rule, "subject": message.subject, "after": after}
        if connection.first(recent, values) is not None:
            return 0
    row = {
        "kind": message.kind,
        "rule": message.rule,
        "cause": message.cause,
        "subject": message.subject,
        "severity": message.severity,
        "title": audit.redact(message.title),
        "body": audit.redact(message.body),
        "status": "waiting",
        "attempts": 0,
        "decided_at": timestamp(at),
        "next_at": timestamp(at),
    }
    before = connection.total_changes
    rows = ({**row, "service": service} for service in dict.fromkeys(message.to))
    connection.insert("outbox", *rows, known="ON CONFLICT (kind, rule, cause, service) DO NOTHING")
    if connection.total_changes == before:
        return 0
    data = {"kind": message.kind, "rule": message.rule, "cause": message.cause, "to": message.to}
    audit.append(connection, "notification_decided", {**data, "severity": message.severity, "title": message.title})
    return 1


def _was_notified(connection: Connection, incident: Record) -> bool:
    """Whether a message about the open incident was made; otherwise its end is not announced."""
    sql = "SELECT 1 FROM outbox WHERE rule = :rule AND subject = :subject AND decided_at >= :opened LIMIT 1"
    place = {"rule": incident.rule, "subject": incident.subject, "opened": incident.opened_at}
    return connection.first(sql, place) is not None


def _close(connection: Connection, incident: Record, why: str, at: datetime) -> None:
    connection.update("incidents", "id = :id", {"id": incident.id}, {"closed_at": timestamp(at)})
    data = {"incident": incident.id, "rule": incident.rule, "subject": incident.subject, "title": incident.title}
    audit.append(connection, "incident_closed", {**data, "reason": why, **json.loads(incident.about)})

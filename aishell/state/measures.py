"""Metrics in conditions of rules: of targets, of schedules and of the site, as now in the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aishell.models import timestamp
from aishell.state.connection import Record
from aishell.state.store import Store

#: How long missed times count.
WEEK = timedelta(days=7)
_QUERIES = {
    "approval_waiting": """SELECT r.target, min(a.requested_at) AS since FROM approvals AS a JOIN runs AS r ON r.id = a.run_id
        WHERE a.status = 'pending' AND a.expires_at > :now GROUP BY r.target""",
    "backlog_items": "SELECT target, count(*) AS number FROM backlog GROUP BY target",
    "backlog_age": "SELECT target, min(since) AS since FROM backlog GROUP BY target",
    "backlog_forecast": "SELECT target, coalesce(sum(seconds), 0) AS number FROM backlog GROUP BY target",
    "schedule_lateness": """SELECT schedule, min(nominal_at) AS since FROM schedule_runs
        WHERE status = 'due' AND nominal_at <= :now GROUP BY schedule""",
    "notification_waiting": "SELECT '', min(decided_at) AS since FROM outbox WHERE status = 'waiting'",
    "runs_missed": """SELECT schedule, sum(times) AS number FROM schedule_runs
        WHERE status = 'missed' AND nominal_at > :week GROUP BY schedule""",
}
#: The value of a metric without rows.
_ABSENT = dict.fromkeys(("runs_missed", "backlog_items", "backlog_age", "backlog_forecast"), 0.0)


def measure(store: Store, metric: str, now: datetime) -> tuple[Mapping[str, float], float | None]:
    """Return a metric by subject (a target, a schedule, '' for the site), and its value for any other subject.

    Ages are in seconds.
    """
    stamps = {"now": timestamp(now), "week": timestamp(now - WEEK)}
    rows = store.all(_QUERIES[metric], stamps)
    return {row[0]: value for row in rows if (value := _value(row, now)) is not None}, _ABSENT.get(metric)


def _value(row: Record, now: datetime) -> float | None:
    if row.keys()[1] == "number":
        return float(row.number)
    return (now - datetime.fromisoformat(row.since)).total_seconds() if row.since else None

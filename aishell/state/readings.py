"""Reads of a store for other processes and monitoring: each in one transaction, without writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aishell.errors import StateError
from aishell.models import now
from aishell.state.breakers import Breaker, every
from aishell.state.connection import Record
from aishell.state.store import Store

_TOTALS = "SELECT metric, labels, value FROM totals ORDER BY metric, labels"
_WAITING = """SELECT r.target, count(*) AS waiting, min(a.requested_at) AS oldest FROM approvals AS a
    JOIN runs AS r ON r.id = a.run_id WHERE a.status = 'pending' AND a.expires_at >= :now GROUP BY r.target"""
#: The newest check of each whole target: SQLite takes the other columns from the row with the maximum.
_HEALTH = """SELECT r.target, s.run_id, s.output, max(s.ended_at) AS at FROM steps AS s JOIN runs AS r ON r.id = s.run_id
    WHERE s.tool = 'analyze_database_health' AND s.status = 'done' AND s.output IS NOT NULL
      AND json_extract(s.params, '$.tables') IS NULL
    GROUP BY r.target ORDER BY r.target"""
_UNBEGUN = """SELECT schedule, min(nominal_at) AS nominal_at FROM schedule_runs
    WHERE status = 'due' AND run_id IS NULL AND asked_by IS NULL GROUP BY schedule"""
#: The last nominal time of a schedule at which it succeeded on every target.
_SUCCEEDED = """SELECT schedule, max(ended) AS at FROM (
        SELECT schedule, max(ended_at) AS ended FROM schedule_runs WHERE status <> 'skipped'
        GROUP BY schedule, nominal_at HAVING min(status = 'done' AND outcome IS 'success')) GROUP BY schedule"""
_BACKLOG = """SELECT target, count(*) AS items, min(since) AS oldest, coalesce(sum(seconds), 0) AS seconds FROM backlog
    GROUP BY target"""
_UNDELIVERED = "SELECT count(*) FROM outbox WHERE status = 'waiting'"
_INCIDENTS = "SELECT severity, count(*) AS number FROM incidents WHERE closed_at IS NULL GROUP BY severity"
_STEPS = """SELECT step_index, step_id, tool, status, attempt, seconds, error, reason, reached, progress FROM steps
    WHERE run_id = :run ORDER BY step_index"""


@dataclass(frozen=True)
class MetricTotal:
    """A total with its labels."""

    metric: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Readings:
    """Rows by subject. Times are texts, ISO 8601 in UTC."""

    totals: tuple[MetricTotal, ...] = ()
    waiting: tuple[Record, ...] = ()  # target, waiting, oldest: pending approvals
    health: tuple[Record, ...] = ()  # target, run_id, output, at
    unbegun: Mapping[str, str] | None = None  # schedule -> the oldest nominal time that is due and has not started
    succeeded: Mapping[str, str] | None = None  # schedule -> when it last succeeded on all its targets
    backlog: tuple[Record, ...] = ()  # target, items, oldest, seconds
    undelivered: int = 0
    incidents: Mapping[str, int] | None = None  # severity -> number of open incidents
    breakers: tuple[Breaker, ...] = ()  # targets whose last connection failed


def read(store: Store) -> Readings:
    """Return the data of all metrics, from one transaction. Raises StateError."""
    with store.read() as connection:
        return Readings(
            totals=tuple(MetricTotal(row.metric, json.loads(row.labels), row.value) for row in connection.all(_TOTALS)),
            waiting=tuple(connection.all(_WAITING, {"now": now()})),
            health=tuple(connection.all(_HEALTH)),
            unbegun={row.schedule: row.nominal_at for row in connection.all(_UNBEGUN)},
            succeeded={row.schedule: row.at for row in connection.all(_SUCCEEDED)},
            backlog=tuple(connection.all(_BACKLOG)),
            undelivered=connection.value(_UNDELIVERED),
            incidents={row.severity: row.number for row in connection.all(_INCIDENTS)},
            breakers=tuple(every(connection)),
        )


def checks(store: Store) -> list[Record]:
    """Return the newest health check of each whole target: target, run_id, output, at."""
    return store.all(_HEALTH)


def follow(store: Store, run_id: str) -> tuple[Record, list[Record]]:
    """Return a run and its steps without large columns: plan, tools, outputs. Raises StateError if it was removed."""
    with store.read() as connection:
        run = connection.first("SELECT id, state, host, pid, result FROM runs WHERE id = :run", {"run": run_id})
        steps = connection.all(_STEPS, {"run": run_id})
    if run is None:
        raise StateError(f"the run {run_id[:8]} is no longer in the state store")
    return run, steps

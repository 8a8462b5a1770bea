"""The rows of a night, or of one run, read in one transaction. Times are texts in UTC."""

from __future__ import annotations

import json
from dataclasses import dataclass

from aishell.models import RunState, StepStatus
from aishell.state.connection import Connection, Record, marks
from aishell.state.runs import ENDED
from aishell.state.store import Store

#: As JSON, because SQLite limits the number of bound values.
_THESE = "(SELECT value FROM json_each(:runs))"
_RUNS = """SELECT id, agent, target, engine, state, requested_by, created_at, ended_at, result,
        json_extract(plan, '$.task.metadata.schedule') AS schedule, json_extract(plan, '$.task.input_data') AS input,
        json_extract(plan, '$.task.metadata.workflow') AS workflow, json_extract(plan, '$.task.metadata.stage') AS stage
    FROM runs WHERE """
_STEPS = """SELECT run_id, step_index, step_id, tool, status, attempt, params, output, error, reason, cause, approved_by,
        started_at, ended_at, seconds, reached FROM steps WHERE """
_OBJECTS = """SELECT run_id, target, object, tool, status, at, bytes_before, bytes_after,
        COALESCE(json_extract("after", '$.bytes_method'), json_extract("before", '$.bytes_method')) AS bytes_method
    FROM table_history WHERE """
#: The figures of each step that ended in the period, to be summed by night.
_EFFECTS = """SELECT ended_at, status, seconds, json_extract(output, '$.bytes_before') AS bytes_before,
        json_extract(output, '$.bytes_after') AS bytes_after, json_extract(output, '$.rows_deleted') AS rows_deleted
    FROM steps WHERE ended_at > :since AND ended_at <= :until ORDER BY ended_at"""
_STAGES = f"SELECT * FROM workflow_stages WHERE workflow_id IN {_THESE} ORDER BY id"  # noqa: S608  our own
_HOLDS = "SELECT * FROM holds ORDER BY target"
_INCIDENTS = "SELECT * FROM incidents WHERE closed_at IS NULL ORDER BY id"
#: Messages to each service that were given up in the period, or wait after a failed attempt.
_UNSENT = """SELECT service, status, count(*) AS number, min(decided_at) AS since, max(decided_at) AS at, max(reason) AS reason
    FROM outbox WHERE status = 'failed' AND ended_at > :since AND ended_at <= :until
        OR status = 'waiting' AND reason IS NOT NULL
    GROUP BY service, status ORDER BY service, status"""
#: The last event about a daemon, if it is a start.
_DAEMON = """SELECT * FROM (SELECT type, at, data FROM events WHERE type IN ('daemon_started', 'daemon_stopped')
    ORDER BY id DESC LIMIT 1) WHERE type = 'daemon_started'"""
_DATABASES = """SELECT r.target, s.ended_at AS at, json_extract(s.output, '$.database_bytes') AS value
    FROM steps AS s JOIN runs AS r ON r.id = s.run_id
    WHERE s.tool = 'analyze_database_health' AND s.ended_at > :since AND s.ended_at <= :until AND value IS NOT NULL
    ORDER BY s.ended_at"""
_BLOAT = """SELECT r.target, json_extract(s.params, '$.schema') AS "schema", json_extract(s.params, '$.table') AS "table",
        s.ended_at AS at, json_extract(s.output, '$.fragmentation_percent') AS value
    FROM steps AS s JOIN runs AS r ON r.id = s.run_id
    WHERE s.tool = 'analyze_table_fragmentation' AND s.ended_at > :since AND s.ended_at <= :until AND value IS NOT NULL
    ORDER BY s.ended_at"""


@dataclass(frozen=True)
class Rows:
    """Rows of `runs`, with their `steps`, the `objects` that these worked on, and open approval requests.

    `ledger`: nominal times that were missed or failed; `alarms`: events about tampering with the audit log; `workflows`
    that ran, with their `stages`; present `holds`, `incidents` and undelivered messages (`unsent`); `daemon`: the start
    of the last daemon, unless it was stopped in order.
    """

    runs: tuple[Record, ...] = ()
    steps: tuple[Record, ...] = ()
    objects: tuple[Record, ...] = ()
    approvals: tuple[Record, ...] = ()
    ledger: tuple[Record, ...] = ()
    alarms: tuple[Record, ...] = ()
    workflows: tuple[Record, ...] = ()
    stages: tuple[Record, ...] = ()
    holds: tuple[Record, ...] = ()
    incidents: tuple[Record, ...] = ()
    unsent: tuple[Record, ...] = ()
    daemon: Record | None = None


@dataclass(frozen=True)
class Past:
    """Many nights: the `effects` of each step, and measurements of databases, bloat and objects."""

    effects: tuple[Record, ...] = ()
    databases: tuple[Record, ...] = ()
    bloat: tuple[Record, ...] = ()
    objects: tuple[Record, ...] = ()


def night(store: Store, since: str, until: str, long_ago: str) -> tuple[Rows, Past]:
    """Return what was done after `since` until `until`, whatever is still open, and measurements since `long_ago`."""
    period = {"since": since, "until": until}
    over, states = marks(ENDED)
    during = f"""ended_at > :since AND ended_at <= :until OR created_at > :since AND created_at <= :until
        OR state NOT IN ({over}) AND created_at <= :until
        OR id IN (SELECT run_id FROM steps WHERE ended_at > :since AND ended_at <= :until)
        OR state = '{RunState.FAILED}' AND id IN (SELECT run_id FROM steps WHERE status = '{StepStatus.IN_DOUBT}')
        ORDER BY created_at"""  # noqa: S608  our own
    ledger = """SELECT * FROM schedule_runs WHERE status IN ('missed', 'failed')
        AND COALESCE(ended_at, decided_at) > :since AND COALESCE(ended_at, decided_at) <= :until ORDER BY nominal_at, id"""
    alarms = "SELECT id, at, data FROM events WHERE type = 'audit_broken' AND at > :since AND at <= :until ORDER BY id"
    at_work = """SELECT * FROM workflow_runs WHERE created_at <= :until AND (status = 'running' OR ended_at > :since)
        ORDER BY created_at"""
    worked = f"{_OBJECTS} status = 'ok' AND at > :since AND at <= :until ORDER BY id"
    with store.read() as connection:
        runs = connection.all(f"{_RUNS} {during}", {**period, **states})
        rows = Rows(
            tuple(runs),
            _steps(connection, runs),
            tuple(connection.all(worked, period)),
            _approvals(connection, runs),
            tuple(connection.all(ledger, period)),
            tuple(connection.all(alarms, period)),
            tuple(workflows := connection.all(at_work, period)),
            tuple(connection.all(_STAGES, _ids(workflows))),
            tuple(connection.all(_HOLDS)),
            tuple(connection.all(_INCIDENTS)),
            tuple(connection.all(_UNSENT, period)),
            connection.first(_DAEMON),
        )
        ago = {"since": long_ago, "until": until}
        found = (connection.all(sql, ago) for sql in (_EFFECTS, _DATABASES, _BLOAT, worked))
        return rows, Past(*map(tuple, found))


def of_run(store: Store, run_id: str) -> Rows:
    """Return the rows of one run."""
    wanted = {"run": run_id}
    with store.read() as connection:
        runs = connection.all(f"{_RUNS} id = :run", wanted)
        objects = connection.all(f"{_OBJECTS} status = 'ok' AND run_id = :run ORDER BY id", wanted)
        return Rows(tuple(runs), _steps(connection, runs), tuple(objects), _approvals(connection, runs))


def _steps(connection: Connection, runs: list[Record]) -> tuple[Record, ...]:
    return tuple(connection.all(f"{_STEPS} run_id IN {_THESE} ORDER BY run_id, step_index", _ids(runs)))


def _approvals(connection: Connection, runs: list[Record]) -> tuple[Record, ...]:
    """Return the newest request of each pending step, including expired ones."""
    sql = f"""SELECT * FROM approvals AS a WHERE run_id IN {_THESE} AND status = 'pending' AND requested_at =
        (SELECT max(requested_at) FROM approvals AS b WHERE b.run_id = a.run_id AND b.step_index = a.step_index)
        ORDER BY requested_at"""  # noqa: S608  our own
    return tuple(connection.all(sql, _ids([run for run in runs if run.state == RunState.WAITING_APPROVAL])))


def _ids(runs: list[Record]) -> dict[str, str]:
    return {"runs": json.dumps([run.id for run in runs])}

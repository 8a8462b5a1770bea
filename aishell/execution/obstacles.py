"""Why the server did not do what a step asked: who holds the lock, and which privileges the role lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aishell.errors import AishellError
from aishell.execution.target_context import Job
from aishell.models import Cause, Inventory, Row, Step, StepResult
from aishell.planning.leaving_out import as_allowed
from aishell.planning.privileges import privileges_of
from aishell.reporting.units import duration

_HOLDERS = "show_lock_holders"


def holders(job: Job, names: Mapping[str, Any]) -> str:
    """The sessions that hold locks on the table in `names`, as text; empty where none does or the server cannot tell."""
    table = names.get("table")
    if not table or not job.registry.has(_HOLDERS, job.known_server()):
        return ""
    try:
        found = job.read(_HOLDERS, {"schema": str(names.get("schema") or ""), "table": str(table)})
    except AishellError as error:
        return f"the lock holders could not be read: {error.message}"
    return held_by(next(iter(found.values())))


def held_by(rows: list[Row]) -> str:
    """`held by session 4711 (app, psql, 10.0.0.5), idle in transaction for 3 min 12 s: AccessExclusive; …`."""
    if not rows:
        return ""
    sessions = "; ".join(f"session {row['session']} ({row['who']}), {_activity(row)}: {row['modes']}" for row in rows)
    return f"held by {sessions}; end that session, or try again when it has ended"


def _activity(row: Row) -> str:
    activity = str(row["doing"] or "unknown")
    return activity if row["seconds"] is None else f"{activity} for {duration(float(row['seconds']))}"


def with_grants(job: Job, step: Step, result: StepResult) -> StepResult:
    """Add the GRANT statements, where known, to a result that failed for lack of privileges; return any other unchanged."""
    if result.cause is not Cause.PRIVILEGE:
        return result
    try:
        inventory = Inventory(job.known_server(), (), (), "", access=job.access())
    except AishellError:
        return result  # the server is gone or hides the role's privileges: its own message has to do
    wanted = replace(step, params=result.params)
    _, lacks = as_allowed(wanted, job.pick(step.tool).privileges, privileges_of(inventory))
    grants = dict.fromkeys(grant for one in lacks for grant in one.grants)
    if not grants:
        return result
    return replace(result, error=f"{result.error}; an administrator can allow it: {' '.join(grants)}")

"""Who is in the way of a lock that was not had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aishell.errors import AishellError
from aishell.execution.target_context import Job
from aishell.models import Row
from aishell.reporting.units import duration

_TOOL = "show_lock_holders"


def holders(job: Job, names: Mapping[str, Any]) -> str:
    """The sessions that hold the table that `names` names, for a person; empty where that cannot be asked or nobody does now."""
    table = names.get("table")
    if not table or not job.registry.has(_TOOL, job.known_server()):
        return ""
    try:
        found = job.read(_TOOL, {"schema": str(names.get("schema") or ""), "table": str(table)})
    except AishellError as error:
        return f"who holds it could not be asked: {error.message}"
    return told(next(iter(found.values())))


def told(rows: list[Row]) -> str:
    """`held by session 4711 (app, psql, 10.0.0.5), idle in transaction for 3 min 12 s: AccessExclusive; …`."""
    if not rows:
        return ""
    sessions = "; ".join(f"session {row['session']} ({row['who']}), {_doing(row)}: {row['modes']}" for row in rows)
    return f"held by {sessions}; end that session, or run this again when it has ended"


def _doing(row: Row) -> str:
    doing = str(row["doing"] or "unknown")
    return doing if row["seconds"] is None else f"{doing} for {duration(float(row['seconds']))}"

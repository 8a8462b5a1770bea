"""Calls of tools with a rate limit, counted over all runs of a site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aishell.errors import StepError
from aishell.state.connection import Connection
from aishell.state.store import Store

_SPAN = timedelta(minutes=1)


class TooManyCallsError(StepError):
    """The tool's rate limit is used up."""


def take(connection: Connection, tool: str, limit: int) -> None:
    """Count one more call, in the transaction that starts it. Raises TooManyCallsError after `limit` in a minute."""
    minute = _minute()
    # Calls in the future date from before the clock was set back.
    connection.execute("DELETE FROM tool_calls WHERE at <= :since OR at > :now", minute)
    if connection.value("SELECT count(*) FROM tool_calls WHERE tool = :tool", {"tool": tool}) >= limit:
        raise TooManyCallsError(f"{tool} ran {limit} times within a minute")
    connection.insert("tool_calls", {"tool": tool, "at": minute["now"]})


def within_a_minute(store: Store, tool: str) -> int:
    """Return how often a tool was called in the last minute."""
    sql = "SELECT count(*) FROM tool_calls WHERE tool = :tool AND at > :since AND at <= :now"
    return int(store.value(sql, {"tool": tool, **_minute()}))


def _minute() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"since": (now - _SPAN).isoformat(timespec="microseconds"), "now": now.isoformat(timespec="microseconds")}

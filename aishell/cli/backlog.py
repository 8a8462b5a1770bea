"""`aishell backlog`: work that did not fit into a window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.reporting.units import about, duration, printable
from aishell.state.connection import Record
from aishell.state.runs import who


@click.group(cls=LazyGroup)
def backlog() -> None:
    """Work that did not fit into a window. The next run of the same agent on the same target starts with it."""


@backlog.command(
    "list", epilog="Examples:  aishell backlog list --target shop   ·   aishell backlog list --output json"
)
@click.option("--target", metavar="T", help="Only items of this target.")
@click.option("--agent", metavar="A", help="Only items of this agent.")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, target: str | None, agent: str | None, output: str) -> None:
    """List every item with its age, its reason, the number of runs that left it undone, and its expected duration."""
    site = open_files(ctx)
    found = site.backlog.rows(target, agent.replace("-", "_") if agent else None) if site.state_path.exists() else []
    rows = [_row(row, output) for row in found]
    show_rows(rows, output, empty="the backlog is empty", least=("left_by", "agent", "age"))
    if output != "json" and rows:
        title(f"{len(found)} item(s), {_together([row.seconds for row in found])}")


def _row(row: Record, output: str) -> dict[str, Any]:
    age = (datetime.now(UTC) - datetime.fromisoformat(row.since)).total_seconds()
    age = max(0.0, age)  # the clock may have been put back
    item = row.columns("id target agent tool object")
    if output == "json":
        more = row.columns("reason since nights run_id")
        return {**item, **more, "age_seconds": round(age), "forecast_seconds": row.seconds}
    waits = {"forecast": about(row.seconds), "age": duration(age), "left_by": f"{row.nights} run(s)"}
    return {**item, "object": row.object or "the database", **waits, "reason": row.reason}


def _together(forecasts: Sequence[float | None]) -> str:
    known = [seconds for seconds in forecasts if seconds is not None]
    if not known:
        return "time unknown"
    unknown = len(forecasts) - len(known)
    return about(sum(known)) + (f", {unknown} of unknown length" if unknown else "")


@backlog.command(
    epilog="Examples:  aishell backlog drop 3   ·   aishell backlog drop 3 4 --reason 'the table is retired'"
)
@click.argument("numbers", metavar="ID...", nargs=-1, required=True, type=click.IntRange(1))
@click.option("--reason", default="", metavar="TEXT", help="Reason, for the audit log.")
@click.pass_context
def drop(ctx: click.Context, /, numbers: tuple[int, ...], reason: str) -> None:
    """Remove items. They return if a later plan includes them and its window leaves them undone."""
    for row in open_files(ctx).backlog.drop(numbers, who(), reason):
        name = row.object or "the database"
        say(f"dropped: {printable(row.tool)} of {printable(name)} on {printable(row.target)}")

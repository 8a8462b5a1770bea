"""`aishell hold` and `aishell release`: the emergency stop."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from aishell.cli.common import OUTPUT, open_files
from aishell.cli.console import write_json
from aishell.cli.daemon_client import SOCKET, Kind, document, documents
from aishell.cli.listing import show_rows
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import UsageError
from aishell.models import RunState, server_of
from aishell.reporting.units import printable
from aishell.state.runs import who

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles

#: The keys of a hold.
_HOLD: dict[str, Kind] = {"reason": str, "by": str, "since": datetime}


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell hold --reason 'disk replaced tonight'   ·   aishell hold --target shop --reason 'index damage'"
    "   ·   aishell hold   ·   aishell hold --socket /run/aishell/shop.sock --reason 'disk full'",
)
@click.option("--target", metavar="T", help="A target of config/targets.yaml (default: every target).")
@click.option(
    "--reason",
    metavar="TEXT",
    help="Reason, shown wherever the hold stops something. Without it, list the holds in force.",
)
@SOCKET
@OUTPUT
@click.pass_context
def hold(ctx: click.Context, /, target: str | None, reason: str | None, socket_: str | None, output: str) -> None:
    """Emergency stop: start no new step anywhere, or on one target, until `release`. Without options, list the holds.

    A running step finishes; its run then stops and can be resumed. New runs, `resume` and `apply` are refused (exit 5),
    and schedules wait. Dry runs are not affected.
    """
    from aishell.serving import control

    if reason is None:
        _list_holds(ctx, target, socket_, output)
        return
    if socket_:
        answer = document(socket_, "hold", keys=_HOLD, body={"reason": reason, "target": target})
        placed, new = control.read(answer), bool(answer.get("new"))
    else:
        site = open_files(ctx)
        placed, new = control.place(site, who(), reason, target)
    if output == "json":
        write_json(control.document(placed))
        return
    say(
        printable(
            placed.text if new else f"{placed.text}; that hold stays in force, and the new reason is not recorded"
        )
    )
    if not socket_:
        _working(site, target)
    say(f"`{placed.way_out}` lifts the hold")


def _list_holds(ctx: click.Context, target: str | None, socket_: str | None, output: str) -> None:
    from aishell.serving import control

    if target is not None:
        raise UsageError("a hold needs a reason", hint="add --reason TEXT")
    rows = documents(socket_, "hold", keys=_HOLD) if socket_ else control.held(open_files(ctx))
    if output != "json":
        rows = [{**row, "target": row["target"] or "(every target)"} for row in rows]
    show_rows(rows, output, empty="nothing is on hold", moments=("since",))


def _working(site: SiteFiles, target: str | None) -> None:
    """Print the runs that finish their current step first."""
    for row in site.runs.recent(limit=100, states=[RunState.EXECUTING]):
        if target not in (None, row.target, server_of(row.target)):
            continue
        say(printable(f"run {row.id[:8]} ({row.agent} on {row.target}) stops after its current step"))
        say(f"  → {command('runs', 'pause', row.id[:8])} also stops a batched step after its current batch")


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell release   ·   aishell release --target shop   ·   aishell hold"
    "   ·   aishell release --socket /run/aishell/shop.sock",
)
@click.option("--target", metavar="T", help="Lift the hold on this target (default: the hold on every target).")
@SOCKET
@click.pass_context
def release(ctx: click.Context, /, target: str | None, socket_: str | None) -> None:
    """Lift a hold. Resume the runs it stopped with `runs resume`; those of schedules resume by themselves in their window."""
    from aishell.serving import control
    from aishell.state.holds import stopped

    if socket_:
        gone = control.read(document(socket_, "hold", "release", keys=_HOLD, body={"target": target}))
        say(printable(f"released: {gone.lifted}"))
        return
    site = open_files(ctx)
    lifted = control.release(site, who(), target)
    say(printable(f"released: {lifted.lifted}"))
    left = site.held()
    for one in left:
        say(printable(f"still in force: {one.text}"))
    for row in site.runs.recent(limit=100, states=[RunState.PAUSED]):
        mine = target in (None, row.target, server_of(row.target))
        if mine and stopped(row) and not any(one.covers(row.target) for one in left):
            say(printable(f"run {row.id[:8]} ({row.agent} on {row.target}) was stopped by a hold"))
            say(f"  → {command('runs', 'resume', row.id[:8])}")

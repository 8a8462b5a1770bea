"""`aishell runs`: list, show, resume, pause, cancel, undo and prune runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import (
    OUTPUT,
    VERBOSE,
    execution_options,
    notifying,
    open_files,
    open_site,
    own_target,
    run_options,
    target_options,
    treat_sigterm_as_interrupt,
)
from aishell.cli.console import console, write_json
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.codec import plain
from aishell.commands import command
from aishell.errors import StateError
from aishell.models import RunState
from aishell.moments import at
from aishell.reporting.units import printable
from aishell.state.locks import FileLock, FileLockHeldError
from aishell.state.runs import RESUMABLE

if TYPE_CHECKING:
    from aishell.site_files import SiteFiles
    from aishell.state.connection import Record

#: Characters of an event's data in a table.
MAX_DATA = 160
#: The commands in modules of their own, as in `aishell.cli.main.COMMANDS`.
COMMANDS = {
    "report": ("aishell.cli.reports", "Report what a run found and did, as text, Markdown, JSON or HTML."),
    "watch": ("aishell.cli.watch", "Follow a run from elsewhere."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def runs() -> None:
    """Runs of this site. An id may be abbreviated as long as it is unambiguous."""


@runs.command(
    "list", epilog="Examples:  aishell runs list --target shop   ·   aishell runs list --state waiting_approval"
)
@click.option("--target", metavar="T", help="Only runs on this target.")
@click.option("--state", type=click.Choice([state.value for state in RunState]), help="Only runs in this state.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, target: str | None, state: str | None, limit: int, output: str) -> None:
    """List runs, newest first."""
    from aishell.serving import control

    found = control.runs(open_files(ctx), limit=limit, target=target, states=[state] if state else None)
    rows = found if output == "json" else [{**one, "run_id": one["run_id"][:8]} for one in found]
    show_rows(rows, output, empty="no runs yet", least=("requested_by", "status"), moments=("created_at",), limit=limit)


@runs.command(epilog="Example:  aishell runs show 3f2a")
@click.argument("run_id", metavar="ID")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, run_id: str, output: str) -> None:
    """Show one run: its steps and its result."""
    site = open_files(ctx)
    row = site.runs.find(run_id)
    steps = site.runs.steps(row.id)
    result = json.loads(row.result) if row.result else None
    if output == "json":
        head = row.columns("id agent target engine state created_at ended_at plan_digest")
        write_json({**head, "steps": [{**_step(one), **_how_far(one)} for one in steps], "result": result})
    else:
        _print(row, steps, result)


def _step(step: Record) -> dict[str, Any]:
    return {
        "index": step.step_index,
        "step": step.step_id,
        **step.columns("tool status attempt"),
        "seconds": round(step.seconds, 3) if step.seconds is not None else None,
        "approved_by": step.approved_by,
        "why": step.error or step.reason,
    }


def _how_far(step: Record) -> dict[str, Any]:
    """Of an unfinished step: `so_far`, the rows deleted in batches, and `progress`, as its server reports it."""
    from aishell.reporting.so_far import so_far
    from aishell.state.progress import progress_of

    known = {"so_far": so_far(step), "progress": progress_of(step)}
    return {name: value for name, value in known.items() if value is not None}


def _print(row: Record, steps: Sequence[Record], result: dict[str, Any] | None) -> None:
    """Print a run for people."""
    from aishell.cli import left_out
    from aishell.reporting.so_far import far

    title(f"run {row.id[:8]}  {row.agent} on {row.target}  {row.state}, by {row.requested_by}, {at(row.created_at)}")
    rows = [_step(one) for one in steps]
    show_rows(rows, "table", empty="no steps", least=("index", "attempt", "approved_by"))
    if result:
        title(result["reasoning"])
        left_out.show(console(), result["output_data"].get("left_out", ()))
        for waiting in result["output_data"].get("waiting", ()):
            say(f"waiting: {printable(waiting)}")
    for one in steps:
        if deleted := _how_far(one).get("so_far"):
            least = "at least " if deleted["at_least"] else ""
            say(f"{printable(one.step_id)} has deleted {least}{deleted['rows_deleted']:,} row(s) so far")
        elif text := far(one):
            say(f"{printable(one.step_id)} is at {printable(text)}")
    if RunState(row.state) in RESUMABLE:
        say(f"continue with: {command('runs', 'resume', row.id[:8])}")


@runs.command(epilog="Example:  aishell runs resume 3f2a --yes")
@click.argument("run_id", metavar="ID")
@execution_options
@click.option("--url", metavar="URL", help="The target's URL, if it held a password: passwords are not stored.")
@click.option(
    "--in-doubt",
    type=click.Choice(["retry", "done", "abort"]),
    help="How to settle a step in doubt, whose outcome is unknown.",
)
@OUTPUT
@VERBOSE
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    run_id: str,
    url: str | None,
    in_doubt: str | None,
    output: str,
    verbose: bool,
    **options: Any,
) -> None:
    """Resume a run where it stopped. Finished steps are not repeated; the database is checked for an interrupted one."""
    from aishell.cli.output import Screen
    from aishell.cli.run import driven
    from aishell.codec import plain

    site = open_site(ctx)
    treat_sigterm_as_interrupt()
    screen = Screen(output, verbose=verbose)
    row = site.runs.find(run_id)
    zone = site.settings.targets[row.target].zone if row.target in site.settings.targets else None
    start = partial(site.resume, row.id, url=url, in_doubt=in_doubt)
    with notifying(site):
        result = driven(screen, start, site.policy.prompt_seconds, zone, output=output, **options)
        if output == "json":
            write_json(plain(result))
    ctx.exit(result.exit_code)


@runs.command(epilog="Example:  aishell runs pause 3f2a")
@click.argument("run_id", metavar="ID")
@click.pass_context
def pause(ctx: click.Context, /, run_id: str) -> None:
    """Pause a run after the running step; `resume` continues it."""
    _request(open_files(ctx), run_id, "pause")


@runs.command(epilog="Example:  aishell runs cancel 3f2a")
@click.argument("run_id", metavar="ID")
@click.pass_context
def cancel(ctx: click.Context, /, run_id: str) -> None:
    """Cancel a run for good. The running step finishes; Ctrl-C in its terminal cancels that step too."""
    _request(open_files(ctx), run_id, "cancel")


def _request(site: SiteFiles, run_id: str, action: str) -> None:
    """Request `pause` or `cancel` of the process that drives a run; without one, change its state at once."""
    row = site.runs.find(run_id)
    if RunState(row.state) not in RESUMABLE:
        raise StateError(f"the run {row.id[:8]} is {row.state}; there is nothing to {action}")
    site.runs.request(row.id, action)
    try:
        lock = FileLock(site.run_lock(row.id), row.id)
    except FileLockHeldError:
        say(f"requested: the process of {row.id[:8]} will {action} after the running step")
        return
    try:
        site.runs.settle(row.id, action)
    finally:
        lock.release()
    say(f"run {row.id[:8]} is {'cancelled' if action == 'cancel' else 'paused'}")


@runs.command(epilog="Examples:  aishell runs undo 3f2a --dry-run   ·   aishell runs undo 3f2a")
@click.argument("run_id", metavar="ID")
@target_options
@run_options
@click.pass_context
def undo(ctx: click.Context, /, run_id: str, **options: Any) -> None:
    """Undo what a run did, as far as possible: last step first, in a new run.

    Previews and asks for approval like `run`. `aishell tools show` and the preview say what can be undone.
    """
    from aishell.cli.run import run_all
    from aishell.execution.rollback import archives, way_back
    from aishell.registry.header import read_tool
    from aishell.state.plans import load_plan

    site = open_site(ctx)
    row = site.runs.find(run_id)
    if RunState(row.state) in RESUMABLE - {RunState.FAILED}:
        raise StateError(f"the run {row.id[:8]} is {row.state}", hint=f"first: {command('runs', 'cancel', row.id[:8])}")
    texts: dict[str, str] = json.loads(row.tools)
    tools = {
        tool.name: tool for tool in (read_tool(text, source, source.split("/")[1]) for source, text in texts.items())
    }
    done = site.runs.steps(row.id)
    steps, left = way_back(load_plan(row.plan), done, tools)
    kept = archives(done, left)
    if not steps:
        loads = "; ".join(command("archives", "load", name) for name in kept)
        raise StateError(
            f"nothing of the run {row.id[:8]} can be undone" + (f": {', '.join(left)}" if left else ""),
            hint=f"restore the archived rows with {loads}" if loads else None,
        )
    own_target(options, row.target)
    if options["url"] is not None:
        options["environment"] = options["environment"] or json.loads(row.request)["environment"]
    ctx.exit(run_all(ctx, "undo", {"run": row.id, "steps": plain(steps), "left": left, "archives": kept}, **options))


@runs.command(epilog="Example:  aishell runs events 3f2a")
@click.argument("run_id", metavar="ID")
@OUTPUT
@click.pass_context
def events(ctx: click.Context, /, run_id: str, output: str) -> None:
    """Show the audit log of a run, with its statements."""
    site = open_files(ctx)
    rows: list[dict[str, Any]] = [
        {
            "id": row.id,
            "at": row.at[:23],
            "step": row.step_index,
            "type": row.type,
            "data": json.loads(row.data) if output == "json" else _cut(row.data),
        }
        for row in site.runs.events(site.runs.find(run_id).id)
    ]
    show_rows(rows, output, empty="no events")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DATA else f"{text[:MAX_DATA]}… ({len(text):,} characters, --output json)"


@runs.command(epilog="Example:  aishell runs checkpoints 3f2a")
@click.argument("run_id", metavar="ID")
@OUTPUT
@click.pass_context
def checkpoints(ctx: click.Context, /, run_id: str, output: str) -> None:
    """List the checkpoints of a run."""
    site = open_files(ctx)
    rows = [
        {"name": row.name, "created_at": row.created_at, "step": row.step_index, "of": row.total_steps}
        for row in site.runs.checkpoints(site.runs.find(run_id).id)
    ]
    show_rows(rows, output, empty="no checkpoints", moments=("created_at",))


@runs.command(epilog="Example:  aishell runs prune --keep 200 --older-than 90")
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="Keep the newest N finished runs (default: `keep_runs` in aishell.yaml).",
)
@click.option(
    "--older-than",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Keep runs that are not older than this (default: `keep_days` in aishell.yaml).",
)
@click.pass_context
def prune(ctx: click.Context, /, keep: int | None, older_than: int | None) -> None:
    """Remove old finished runs, never one that is pending, in doubt or running. The audit log stays complete.

    Records of the same age are removed too: ended rows of the schedule ledger, ended workflow runs without remaining stage
    runs, unused conversations, and the history of objects and nights. The newest history of each is kept, since the next plans
    use it.
    """
    from aishell.state.pruning import prune as pruned

    site = open_files(ctx)
    keep = site.settings.keep_runs if keep is None else keep
    gone = pruned(site.store, keep=keep, older_than_days=site.settings.keep_days if older_than is None else older_than)
    say(f"{gone.runs} run(s) removed")
    if gone.rows:
        workflows = f", {gone.workflows} run(s) of workflows" if gone.workflows else ""
        conversations = f", {gone.conversations} conversation(s)" if gone.conversations else ""
        say(
            f"and {gone.schedule_runs} row(s) of the ledger, {gone.objects} of object history, {gone.nights} of nights"
            f"{workflows}{conversations}"
        )

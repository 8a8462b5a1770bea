"""`aishell run workflow` and `aishell workflows`: stages over agents and targets, previewed, run, resumed and listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import (
    ALL,
    JOBS,
    LABEL,
    OUTPUT,
    SAFETY_LEVEL,
    TARGETS,
    VERBOSE,
    YES,
    before_command,
    chosen_targets,
    clock_time,
    ends,
    notifying,
    open_files,
    open_site,
    treat_sigterm_as_interrupt,
)
from aishell.cli.console import error_document, write_json
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup, ShowsExamples
from aishell.cli.output import Screen
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import AishellError, StateError, UsageError, worst
from aishell.models import new_id
from aishell.planning.variables import worded
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.cli.output import Screen
    from aishell.site import Site
    from aishell.state.connection import Record
    from aishell.workflows.workflows import Stage, Workflow

_COLOURS = {"success": "green", "preview": "cyan", "partial": "yellow", "waiting_approval": "yellow"}


@click.command(
    "workflow",
    cls=ShowsExamples,
    epilog="Examples:  aishell run workflow nightly --all --dry-run   ·   aishell run workflow nightly --label prod --yes   ·   "
    "aishell run workflow --resume 3f2a",
)
@click.argument("name", metavar="NAME", required=False)
@click.option("--resume", "again", metavar="ID", help="Resume a run of a workflow; failed stages are tried again.")
@TARGETS
@ALL
@LABEL
@click.option("--dry-run", is_flag=True, help="Preview every stage on every target; write nothing to them.")
@YES
@click.option("--until", metavar="HH:MM", callback=clock_time, help="End by this time, in the workflow's time zone.")
@click.option("--max-duration", type=click.FloatRange(min=0), metavar="SECONDS", help="Start no stage after this.")
@JOBS
@SAFETY_LEVEL
@OUTPUT
@VERBOSE
@click.option("--stage", "number", type=click.IntRange(1), hidden=True)
@click.pass_context
def workflow(
    ctx: click.Context, /, name: str | None, again: str | None, number: int | None, dry_run: bool, **options: Any
) -> None:
    """Run the stages of config/workflows/NAME.yaml, over agents and targets.

    Each stage on a target is a run in a process of its own; steps needing approval wait for `aishell approvals` (exit 3). After
    a kill, --resume continues where the workflow stopped; each stage runs once.
    """
    treat_sigterm_as_interrupt()
    if number is not None:
        ctx.exit(_work(open_site(ctx), number))
    if (name is None) == (again is None):
        raise UsageError("give the name of a workflow, or --resume ID", hint=f"see `{command('workflows', 'list')}`")
    if again is not None:
        ctx.exit(_resume(ctx, again, dry_run, options))
    site = open_site(ctx)
    chosen = site.workflow(str(name))
    placed = _placed(site, chosen, _targets(site, options))
    ctx.exit(preview(site, chosen, placed, options) if dry_run else begin(ctx, site, chosen, placed, options))


def begin(
    ctx: click.Context,
    site: Site,
    chosen: Workflow,
    placed: Sequence[tuple[str, str]],
    options: dict[str, Any],
    created: Callable[[str], None] | None = None,
) -> int:
    """Run a new workflow; the exit code. `placed`: (stage, target) pairs; `created` is called with its id."""
    workflow_id = new_id()
    kept = {key: options[key] for key in ("yes", "jobs", "safety_level") if options[key]}
    until = _until(chosen, options)
    with notifying(site):  # raises for wrong configuration before anything starts
        site.workflow_runs.begin(workflow_id, chosen.name, chosen.data, placed, kept, until)
        if created is not None:
            created(workflow_id)
        return _drive(ctx, site, workflow_id, options["output"])


def _targets(site: Site, options: dict[str, Any]) -> list[str] | None:
    """The named targets without duplicates, None if there are none. Raises UsageError for an unconfigured one."""
    named = chosen_targets(site, {**options, "url": None})
    if named == [None]:
        return None
    for target in named:
        if "://" in str(target):  # a URL may hold a password, and the task is stored
            raise UsageError(
                "a workflow runs on configured targets", hint="give the database a name in config/targets.yaml"
            )
        site.target(target)  # raises for an unknown target
    return [str(target) for target in site.servers.expand(list(dict.fromkeys(named)))]


def _placed(site: Site, chosen: Workflow, named: list[str] | None) -> list[tuple[str, str]]:
    """(stage, target) pairs, with one for each database of a whole server."""
    on: dict[str, list[str]] = {}
    for stage, target in chosen.placed(named, site.settings):
        on.setdefault(stage, []).append(target)
    return [(stage, str(target)) for stage, targets in on.items() for target in site.servers.expand(targets)]


def _resume(ctx: click.Context, again: str, dry_run: bool, options: dict[str, Any]) -> int:
    """Resume a workflow; the exit code."""
    from aishell.workflows.working import kept

    if dry_run or options["every"] or options["targets"] or options["label"] or options["safety_level"]:
        raise UsageError("--resume takes no other options", hint="leave out --dry-run, --safety-level and targets")
    site = open_site(ctx)
    row = site.workflow_runs.find(again)
    if row.status == "success":
        raise StateError(f"the workflow run {row.id[:8]} has succeeded; there is nothing to resume")
    added = {key: options[key] for key in ("yes", "jobs") if options[key]}
    until = _until(kept(row), options)

    def resumed() -> None:
        site.workflow_runs.take_up(row.id, until=until, options=added, again=True)

    with notifying(site):
        return _drive(ctx, site, row.id, options["output"], resumed)


def _until(chosen: Workflow, options: dict[str, Any]) -> str | None:
    """The deadline of a workflow, in the store's format."""
    given = [] if options["max_duration"] is None else [datetime.now(UTC) + timedelta(seconds=options["max_duration"])]
    until = ends(options["until"], None, chosen.zone)["until"]
    moment = min([*given, *([until] if until else [])], default=None)
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _drive(
    ctx: click.Context, site: Site, workflow_id: str, output: str, resumed: Callable[[], None] = lambda: None
) -> int:
    """Drive a workflow to its end and print the result; the exit code."""
    from aishell.processes import remove_old_logs
    from aishell.workflows.driving import LOGS, WorkflowDriver, log_of, result_of

    def print_stage(row: Record) -> None:
        text = f"{row.stage} {row.target}: {_outcome(row)}"
        say(printable(text), style=_COLOURS.get(row.outcome or ""), err=True)
        if row.exit_code:
            say(printable(f"  → {log_of(site, row.id)}"), err=True)

    say(f"workflow run {workflow_id[:8]}", err=True)
    _, code = WorkflowDriver(site, workflow_id, before_command(ctx, site), print_stage).drive(resumed)
    remove_old_logs(log_of(site, 0).parent, LOGS)
    result = result_of(site, workflow_id)
    if output == "json":
        write_json(result)
    else:
        print_result(result)
        if code:
            say(f"continue with: {command('run', 'workflow', '--resume', workflow_id[:8])}")
    return code


def _outcome(row: Record) -> str:
    """The outcome of a stage on a target, in a few words."""
    ended = f"{row.outcome} (exit {row.exit_code})" if row.outcome else row.status
    run = f" run {row.run_id[:8]}" if row.run_id and row.attempts else ""
    attempt = f", attempt {row.attempts}" if row.attempts > 1 else ""
    return f"{ended}{run}{attempt}{f': {row.reason}' if row.reason else ''}"


def print_result(result: Mapping[str, Any]) -> None:
    """Print a workflow's stages as a table, then its outcome."""
    rows = [
        {
            "stage": one["stage"],
            "target": one["target"],
            "status": one["outcome"] or one["status"],
            "exit_code": one["exit_code"],
            "run": one["run_id"][:8] if one["run_id"] else None,
            "reason": one["reason"],
        }
        for one in result["stages"]
    ]
    show_rows(rows, "table", empty="no stage runs on any target")
    say()
    text = f"{result['status']}  workflow {result['workflow']}  run {result['workflow_id'][:8]}"
    say(text, style=_COLOURS.get(result["status"], "red"))


def _work(site: Site, number: int) -> int:
    """Run one stage on one target, in the process that a driver starts for it."""
    from aishell.workflows.working import work

    screen = Screen("table")
    with screen.progress() as observer:
        result = work(site, number, observer)
    if result is None:
        say(f"there is nothing to do for stage {number} now")
        return 0
    screen.result(result)
    return result.exit_code


def preview(site: Site, chosen: Workflow, placed: Sequence[tuple[str, str]], options: dict[str, Any]) -> int:
    """Preview each stage on each target, as far as possible before the others have run; the exit code."""
    screen = Screen(options["output"], verbose=options["verbose"])
    codes, documents = [0], []
    for name, target in placed:
        stage = chosen.stage(name)
        if not screen.json:
            needs = f"  after {', '.join(stage.needs)}" if stage.needs else ""
            title(f"{name} on {target}{needs}{f'  only if {worded(stage.when)}' if stage.when else ''}")
        try:
            plan, why = _planned(site, screen, chosen, stage, target, options["safety_level"])
            code, error = 0, None
        except AishellError as caught:
            plan, why, code = None, caught.message, caught.exit_code
            error = error_document(caught)
            say(f"{printable(name)} on {printable(target)}: {printable(caught.message)}", style="red", err=True)
        if why and error is None and not screen.json:
            say(printable(why))
        codes.append(code)
        head = {"stage": name, "target": target, "agent": stage.agent, "needs": stage.needs, "when": stage.when}
        documents.append(
            {**head, "status": "preview" if code == 0 else "failure", "plan": plan, "reason": why, "error": error}
        )
    if screen.json:
        write_json(
            {"workflow_id": None, "workflow": chosen.name, "dry_run": True, "status": "preview", "stages": documents}
        )
    return worst(codes)


def _planned(
    site: Site, screen: Screen, chosen: Workflow, stage: Stage, target: str, safety_level: str | None
) -> tuple[Any, str | None]:
    """Print and return the plan of a stage on a target; without one, the reason."""
    from aishell.execution.preview import as_contract
    from aishell.workflows.working import foreseen

    known = foreseen(site, chosen, stage, target)
    if isinstance(known, str):
        return None, known
    with screen.working(f"inspecting {target}"):
        planned = site.plan(known, safety_level=safety_level, look_only=True)
    screen.preview(planned)
    return as_contract(planned), None


@click.group(cls=LazyGroup)
def workflows() -> None:
    """Workflows of this site; `aishell run workflow NAME` runs one. An id may be abbreviated as long as it is unambiguous."""


@workflows.command("list", epilog="Examples:  aishell workflows list   ·   aishell workflows list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List every workflow with its stages in order. Exit 2 if a file is invalid."""
    site = open_files(ctx)
    found = [(site.workflow(name), path) for name, path in sorted(site.workflow_files.items())]
    rows = [
        {
            "workflow": one.name,
            "stages": [stage.name for stage in one.stages]
            if output == "json"
            else " → ".join(s.name for s in one.stages),
            "description": one.description or None,
            "file": str(path),
        }
        for one, path in found
    ]
    show_rows(rows, output, empty="no workflows", least=("file", "description"))


@workflows.command(epilog="Examples:  aishell workflows history   ·   aishell workflows history nightly --limit 100")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@OUTPUT
@click.pass_context
def history(ctx: click.Context, /, name: str | None, limit: int, output: str) -> None:
    """List runs of workflows, newest first. One that has not ended and no longer has a process is `interrupted`."""
    site = open_files(ctx)
    found = site.workflow_runs.recent(name, limit=limit) if site.state_path.exists() else []
    rows = [
        {
            "workflow_id": row.id if output == "json" else row.id[:8],
            "workflow": row.workflow,
            "status": site.workflow_status(row),
            "exit_code": row.exit_code,
            "created_at": row.created_at[:19],
            "requested_by": row.requested_by,
        }
        for row in found
    ]
    show_rows(
        rows, output, empty="no workflow has run yet", least=("requested_by",), moments=("created_at",), limit=limit
    )


@workflows.command(epilog="Examples:  aishell workflows show 3f2a   ·   aishell workflows show 3f2a --output json")
@click.argument("workflow_id", metavar="ID")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, workflow_id: str, output: str) -> None:
    """Show one run of a workflow: each stage on each target, with its run."""
    from aishell.workflows.driving import result_of

    site = open_site(ctx)
    result = result_of(site, site.workflow_runs.find(workflow_id).id)
    if output == "json":
        write_json(result)
    else:
        print_result(result)

"""`aishell run`: inspect, preview, ask, execute, report."""

from __future__ import annotations

from datetime import time as clock
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import (
    chosen_targets,
    deadline,
    hear_sigterm,
    interactive,
    open_site,
    parse_inputs,
    run_options,
    target_options,
)
from aishell.cli.main import LazyGroup
from aishell.errors import AishellError
from aishell.models import RunResult, Task

if TYPE_CHECKING:
    from aishell.cli.output import Screen
    from aishell.execution.preview import Preview
    from aishell.site import Site

#: With several targets, the code of the worst (model.md, Exit codes).
PRECEDENCE = (130, 1, 6, 5, 3, 4, 2, 0)


class AgentGroup(LazyGroup):
    """`maintenance`, and every agent that an entry point brings."""

    noun = "agent"

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        if known is not None:
            return known
        from importlib.metadata import entry_points

        wanted = name.replace("-", "_")
        return custom(wanted) if any(point.name == wanted for point in entry_points(group="aishell.agents")) else None


@click.group(cls=AgentGroup)
def run() -> None:
    """Inspect a database, preview what would be done, ask for what is risky, and do it."""


@run.command(
    epilog="Examples:  aishell run maintenance --type full --dry-run   ·   aishell run maintenance --url sqlite:///shop.db --yes"
)
@click.option(
    "--type",
    "kind",
    default=None,
    metavar="TYPE",
    help="quick (statistics), standard (and vacuum), full (and indexes, rewrite, check), emergency.",
)
@click.option(
    "--table", "tables", multiple=True, metavar="T", help="Only these tables; globs and schema.table allowed."
)
@click.option("--all-tables", is_flag=True, help="Refresh the statistics of every table, stale or not.")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any input of the agent, e.g. fragmentation_threshold=40.",
)
@target_options
@run_options
@click.pass_context
def maintenance(
    ctx: click.Context,
    /,
    kind: str | None,
    tables: tuple[str, ...],
    all_tables: bool,
    pairs: tuple[str, ...],
    **options: Any,
) -> None:
    """Statistics, vacuum, index rebuilds, corruption check and report."""
    inputs = maintenance_inputs(kind, tables, all_tables, pairs)
    ctx.exit(run_all(ctx, "maintenance", inputs, **options))


def maintenance_inputs(
    kind: str | None, tables: tuple[str, ...], all_tables: bool, pairs: tuple[str, ...]
) -> dict[str, Any]:
    """The agent's inputs; an option goes before `--set` of the same key. Raises UnknownNameError for an unknown type."""
    from aishell.agents.maintenance import TYPES
    from aishell.errors import UnknownNameError

    inputs = parse_inputs(pairs)
    if kind is not None:
        inputs["maintenance_type"] = kind
    if tables:
        inputs["tables"] = list(tables)
    if all_tables:
        inputs["all_tables"] = True
    given = inputs.get("maintenance_type", "standard")
    if given not in TYPES:
        raise UnknownNameError("maintenance type", str(given), TYPES)
    return inputs


def custom(name: str) -> click.Command:
    """The command of an agent that an entry point brought: its inputs by `--set`."""

    @click.command(name)
    @click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="An input of the agent.")
    @target_options
    @run_options
    @click.pass_context
    def command(ctx: click.Context, /, pairs: tuple[str, ...], **options: Any) -> None:
        """An agent of this installation."""
        ctx.exit(run_all(ctx, name, parse_inputs(pairs), **options))

    return command


def run_all(
    ctx: click.Context,
    agent: str,
    inputs: dict[str, Any],
    *,
    targets: tuple[str, ...],
    every: bool,
    label: str | None,
    url: str | None,
    output: str,
    **options: Any,
) -> int:
    """Run a task on every chosen target, one after the other; the exit code."""
    from aishell.cli.console import write_json

    site = open_site(ctx)
    hear_sigterm()
    names = chosen_targets(site, targets, every, label, url)
    results: list[dict[str, Any]] = []
    codes: list[int] = []
    for name in names:
        try:
            result = run_one(site, Task(agent, name or "", input_data=inputs), output=output, **options)
        except AishellError as error:
            if len(names) == 1:
                raise
            results.append(failure(name or "", error))
            codes.append(error.exit_code)
            click.secho(f"{name}: {error.message}", fg="red", err=True)
        else:
            from aishell.execution.result import contract

            results.append(contract(result))
            codes.append(result.exit_code)
    if output == "json":
        write_json(results[0] if len(names) == 1 else {"runs": results})
    return next(code for code in PRECEDENCE if code in codes)


def failure(target: str, error: AishellError) -> dict[str, Any]:
    """The JSON of a target on which nothing could be begun."""
    described = {"type": type(error).__name__, "message": error.message, "step_id": None, "hint": error.hint}
    return {"run_id": None, "target": target, "status": "failure", "error": described}


def run_one(
    site: Site,
    task: Task,
    *,
    environment: str | None,
    dry_run: bool,
    safety_level: str | None,
    output: str,
    verbose: bool,
    **options: Any,
) -> RunResult:
    """Plan, preview and execute on one target."""
    from aishell.cli.output import Screen

    screen = Screen(output, verbose=verbose)
    with screen.working(f"inspecting {task.target}"):
        planned = site.plan(task, environment=environment, safety_level=safety_level, look_only=dry_run)
    screen.preview(planned)
    return site.preview_result(planned) if dry_run else execute(site, planned, screen, output=output, **options)


def execute(
    site: Site,
    planned: Preview,
    screen: Screen,
    *,
    yes: bool,
    non_interactive: bool,
    until: clock | None,
    max_duration: float | None,
    jobs: int | None,
    output: str,
) -> RunResult:
    """Run what was previewed, and show what became of it."""
    job = planned.job
    ends = deadline(until, max_duration, job.target.zone)
    approve = screen.approver(job.policy.prompt_seconds) if interactive(non_interactive, output) else None
    with screen.progress() as observer:
        result = site.run(
            planned, approve=approve, yes=yes, jobs=jobs, deadline=ends, observer=observer, on_created=screen.created
        )
    screen.result(result)
    return result

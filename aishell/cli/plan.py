"""`aishell plan` shows or saves what `aishell run` would do; `aishell apply` executes a saved plan if it is still valid."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from aishell.cli import run as runs
from aishell.cli.common import (
    ENVIRONMENT,
    chosen_targets,
    notifying,
    on_each,
    open_site,
    run_options,
    treat_sigterm_as_interrupt,
)
from aishell.cli.console import write_json
from aishell.cli.main import ShowsExamples
from aishell.cli.output import Screen
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import UsageError, worst
from aishell.models import Task
from aishell.moments import at
from aishell.reporting.units import printable

#: Options of `aishell run` that concern execution.
_EXECUTION = ("dry_run", "yes", "non_interactive", "until", "max_duration", "jobs", "discover")
_OUT = click.Option(
    ["--out"],
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the plan for `aishell apply`.",
)


def _options(command: click.Command) -> list[click.Parameter]:
    """The parameters of a command of `aishell run` except those for execution."""
    kept = [parameter for parameter in command.params if parameter.name not in _EXECUTION]
    at = next((n for n, parameter in enumerate(kept) if parameter.name == "output"), len(kept))
    return [*kept[:at], _OUT, *kept[at:]]


class PlanGroup(runs.AgentGroup):
    """The commands of `aishell run`, without the options for execution."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        return planning(known) if isinstance(known, runs.AgentCommand) else known


@click.group(cls=PlanGroup)
def plan() -> None:
    """Inspect a database and plan what `aishell run` would do. Nothing is written to the target."""


def planning(known: runs.AgentCommand) -> click.Command:
    """The `aishell plan` command for a command of `aishell run`."""
    shown = (one.replace("aishell run ", "aishell plan ") for one in known.agent.examples if "--discover" not in one)
    examples = [re.sub(r" --(dry-run|yes|until \S+)", "", one) for one in shown]
    epilog = f"Examples:  {'   ·   '.join(examples)}" if examples else None

    @click.command(known.name, cls=ShowsExamples, params=_options(known), help=known.help, epilog=epilog)
    @click.pass_context
    def command(ctx: click.Context, /, **options: Any) -> None:
        ctx.exit(plan_all(ctx, known.agent.type, known.taken(options), **options))

    return command


def plan_all(
    ctx: click.Context,
    agent: str,
    inputs: dict[str, Any],
    *,
    environment: str | None,
    safety_level: str | None,
    out: Path | None,
    output: str,
    verbose: bool,
    planner: str | None = None,
    **options: Any,
) -> int:
    """Plan a task for every chosen target, print the plans and save one to `out`; the exit code."""
    from aishell.codec import plain
    from aishell.execution import saved_plan

    site = open_site(ctx)
    names = site.servers.expand(chosen_targets(site, options))
    if out is not None and len(names) > 1:
        raise UsageError("--out saves the plan of one target", hint="plan each target into a file of its own")
    screen = Screen(output, verbose=verbose)

    def work(name: str) -> tuple[dict[str, Any], int]:
        task = Task(agent, name, input_data=inputs)
        with screen.working(f"inspecting {name or 'the default target'}"):
            planned = site.plan(
                task, environment=environment, safety_level=safety_level, look_only=True, planner=planner or "rules"
            )
            if out is not None:
                planned = saved_plan.freeze(planned)
        screen.preview(planned)
        if out is not None:
            saved_plan.write(planned.plan, out)
            name = printable(out)
            say(f"saved to {name}; execute it with: {command('apply', name)}", err=True)
        return plain(site.preview_result(planned)), 0

    return worst(on_each(names, work, runs.failure, output))


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell apply shop.plan --dry-run   ·   aishell apply shop.plan --yes --until 05:30",
)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", metavar="URL", help="The target's URL, if it held a password: passwords are not saved.")
@ENVIRONMENT
@run_options
@click.pass_context
def apply(
    ctx: click.Context,
    /,
    file: Path,
    url: str | None,
    environment: str | None,
    dry_run: bool,
    safety_level: str | None,
    output: str,
    verbose: bool,
    **options: Any,
) -> None:
    """Preview and execute a plan that `aishell plan --out` saved.

    Refused if one of its tables no longer exists, was replaced or has grown, or if a tool has changed (exit 1), and if other
    users could have written the file (exit 2). Asks for approval like `run`.
    """
    from aishell.codec import plain
    from aishell.execution import saved_plan

    site = open_site(ctx)
    treat_sigterm_as_interrupt()
    site.trust.check(file)  # a plan decides what is run, like a site
    plan = saved_plan.read(file)
    screen = Screen(output, verbose=verbose)
    if not dry_run:
        site.refuse_held(url or plan.task.target, environment=environment)
    with screen.working("checking that the plan is still valid"):
        planned = site.present(plan, url=url, environment=environment, safety_level=safety_level, look_only=dry_run)
    if output == "table":
        say(f"plan of {at(plan.created_at)}; it is still valid")
        say()
    screen.preview(planned)
    with nullcontext() if dry_run else notifying(site):
        result = (
            site.preview_result(planned) if dry_run else runs.execute(site, planned, screen, output=output, **options)
        )
        if output == "json":
            write_json(plain(result))
    ctx.exit(result.exit_code)

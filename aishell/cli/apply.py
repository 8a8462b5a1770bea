"""`aishell apply`: execute a saved plan, if the database is still what it was made for."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from aishell.cli.common import ENVIRONMENT, hear_sigterm, notifying, open_site, run_options
from aishell.cli.console import write_json
from aishell.cli.main import ShowsExamples
from aishell.cli.output import Screen
from aishell.cli.run import execute
from aishell.cli.streams import say
from aishell.moments import at


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

    Refused when a table of it is gone, was replaced or has grown, or a tool was changed (exit 1), and when others than you could
    have written the file (exit 2). Asks like `run`.
    """
    from aishell.execution import saved_plan
    from aishell.execution.result import contract

    site = open_site(ctx)
    hear_sigterm()
    site.trust.check(file)  # a plan says what is run, as a site does
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
        result = site.preview_result(planned) if dry_run else execute(site, planned, screen, output=output, **options)
        if output == "json":
            write_json(contract(result))
    ctx.exit(result.exit_code)

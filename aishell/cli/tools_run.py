"""`aishell tools run`: one tool, as a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import assigned, open_site, run_options, target_options
from aishell.cli.main import ShowsExamples
from aishell.cli.run import run_all

if TYPE_CHECKING:
    from aishell.models import RunResult


@click.command(
    "run",
    cls=ShowsExamples,
    epilog="Examples:  aishell tools run inspect_tables --target shop   ·   "
    "aishell tools run rebuild_fragmented_indexes --param schema=public --param table=orders --dry-run",
)
@click.argument("name")
@click.option(
    "--param",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the tool, read as YAML; `aishell tools show NAME` lists them.",
)
@target_options
@run_options
@click.pass_context
def run(ctx: click.Context, /, name: str, pairs: tuple[str, ...], **options: Any) -> None:
    """Run one tool: checked, previewed, approved, executed, verified and recorded as a step of any other run.

    What it returns is shown at the end, and is `output_data.output` in JSON.
    """
    tool = open_site(ctx).registry().variants(name.replace("-", "_"))[0].name
    inputs = {"tool": tool, "params": assigned("--param", pairs)}
    ctx.exit(run_all(ctx, "one_tool", inputs, then=_show, **options))


def _show(result: RunResult) -> None:
    """What the tool returned: its lists of rows as tables, all else a line each."""
    from aishell.cli.console import console
    from aishell.cli.listing import show_rows, title
    from aishell.reporting.units import printable

    output: Mapping[str, Any] = result.output_data.get("output") or {}
    tables = {key: value for key, value in output.items() if _rows(value)}
    for key in output.keys() - tables.keys():
        console().print(printable(f"{key}: {output[key]}"), markup=False)
    for key, rows in tables.items():
        title(key.replace("_", " "))
        show_rows(rows, "table", empty="")


def _rows(value: Any) -> bool:
    """Whether a value is rows of the same columns."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(row, Mapping) and row.keys() == value[0].keys() for row in value)
    )

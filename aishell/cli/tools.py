"""`aishell tools`: what aishell can do to a database, in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, open_site
from aishell.cli.main import LazyGroup
from aishell.errors import UnknownNameError
from aishell.models import CAPABILITIES, CATEGORIES, Risk

if TYPE_CHECKING:
    from aishell.registry.tool import Tool

ENGINES = ("postgresql", "mysql", "sqlite")


@click.group(cls=LazyGroup)
def tools() -> None:
    """Every operation is a file in tools/, with its risk, its lock and its SQL."""


@tools.command("list", epilog="Example:  aishell tools list --engine postgresql --max-risk low")
@click.option("--category", metavar="C", help="One of " + ", ".join(sorted(CATEGORIES)) + ".")
@click.option("--max-risk", metavar="R", help="At most this risk: " + ", ".join(Risk) + ".")
@click.option(
    "--capability", "capabilities", multiple=True, metavar="C", help="Only tools that need no other than these."
)
@click.option("--engine", type=click.Choice(ENGINES))
@OUTPUT
@click.pass_context
def list_(
    ctx: click.Context,
    /,
    category: str | None,
    max_risk: str | None,
    capabilities: tuple[str, ...],
    engine: str | None,
    output: str,
) -> None:
    """Tools by category, risk, capability and engine."""
    from aishell.cli.listing import show_rows

    for kind, value, known in (("category", category, CATEGORIES), ("risk", max_risk, list(Risk))):
        if value is not None and value not in known:
            raise UnknownNameError(kind, value, known)
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise UnknownNameError("capability", capability, CAPABILITIES)
    found: dict[str, list[Tool]] = {}
    for tool in (
        open_site(ctx)
        .registry()
        .find_tools(
            category=category,
            max_risk=Risk(max_risk) if max_risk else None,
            capabilities=capabilities or None,
            engine=engine,
        )
    ):
        found.setdefault(tool.name, []).append(tool)
    rows = [
        {
            "tool": name,
            "risk": max((t.risk_level for t in variants), key=lambda risk: risk.rank).value,
            "category": variants[0].category,
            "engines": ", ".join(sorted({t.engine for t in variants})),
            "runs": variants[0].runs,
            "what it does": variants[0].description.split(". ")[0].rstrip(".") + ".",
        }
        for name, variants in sorted(found.items())
    ]
    show_rows(rows, output, empty="no tool is like that")


@tools.command(epilog="Example:  aishell tools show optimize_table --engine postgresql")
@click.argument("name")
@click.option("--engine", type=click.Choice(ENGINES))
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, name: str, engine: str | None, output: str) -> None:
    """A tool's contract and its SQL, per engine and variant."""
    from aishell.cli.console import write_json
    from aishell.cli.listing import title

    variants = [t for t in open_site(ctx).registry().variants(name) if engine is None or t.engine in (engine, "common")]
    if not variants:
        raise UnknownNameError("engine for this tool", str(engine), ENGINES)
    if output == "json":
        write_json([_described(tool) for tool in variants])
        return
    for tool in variants:
        title(f"{tool.source}  {tool.risk_level} risk, lock {tool.lock}, runs {tool.runs}")
        click.echo(tool.text.rstrip() + "\n")


def _described(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "source": tool.source,
        "description": tool.description,
        "category": tool.category,
        "risk_level": tool.risk_level,
        "required_capabilities": tool.required_capabilities,
        "parameters_schema": tool.parameters_schema,
        "returns_schema": tool.returns_schema,
        "implementation": tool.implementation or tool.runs,
        "requires_approval": tool.requires_approval,
        "max_execution_time": tool.max_execution_time,
        "rate_limit": tool.rate_limit,
        "examples": tool.examples,
        "lock": tool.lock,
        "idempotent": tool.idempotent,
        "transaction": tool.transaction,
        "statements": {block.name: block.text for block in tool.blocks.values()},
    }


@tools.command(epilog="Example:  aishell tools check my-site/tools")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.pass_context
def check(ctx: click.Context, /, folder: Path | None) -> None:
    """Load a folder of tools; name file and line of everything that is wrong (exit 2)."""
    from aishell.registry.registry import check_folders
    from aishell.safety.locks import contradiction

    folders = (folder,) if folder is not None else open_site(ctx).places.tools
    good, problems = check_folders(folders, contradiction)
    for problem in problems:
        click.secho(problem, fg="red", err=True)
    click.echo(f"{good} tool files are good" + (f", {len(problems)} are not" if problems else ""))
    ctx.exit(2 if problems else 0)


@tools.command(epilog="Example:  aishell tools stats --output json")
@OUTPUT
@click.pass_context
def stats(ctx: click.Context, /, output: str) -> None:
    """Calls, success rate and mean time of every tool that ran here."""
    from aishell.cli.listing import show_rows

    rows = [
        {**row, "success_rate": round(row["success_rate"], 3), "mean_seconds": round(row["mean_seconds"] or 0, 3)}
        for row in open_site(ctx).runs.tool_statistics()
    ]
    show_rows(rows, output, empty="no tool ran yet")

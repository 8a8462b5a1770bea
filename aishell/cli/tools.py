"""`aishell tools`: list tools with their contracts and SQL, check tool files, run one tool, show statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import OUTPUT, assigned, open_site, run_options, target_options
from aishell.cli.console import console, write_json
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.streams import say
from aishell.engines import PROFILES
from aishell.errors import ToolFileError, UsageError
from aishell.models import CAPABILITIES, CATEGORIES, Risk
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.models import RunResult
    from aishell.registry.tool import Tool
    from aishell.site import Site

ENGINES = tuple(PROFILES)
_ORDER = ("common", *ENGINES)


@click.group(cls=LazyGroup)
def tools() -> None:
    """The operations of aishell: every statement that changes a database comes from one of these."""


@tools.command("list", epilog="Examples:  aishell tools list --max-risk low   ·   aishell tools list --engine sqlite")
@click.option("--category", type=click.Choice(sorted(CATEGORIES)), help="Only this category.")
@click.option("--max-risk", type=click.Choice([risk.value for risk in Risk]), help="Only tools up to this risk.")
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    type=click.Choice(sorted(CAPABILITIES)),
    help="Only tools that need no other capabilities than these; may be repeated.",
)
@click.option("--engine", type=click.Choice(ENGINES), help="Only tools for this engine.")
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
    """List tools by name, with the highest risk of their variants."""
    from aishell.cli.tool_text import write_list

    found = (
        open_site(ctx)
        .registry()
        .find_tools(
            category=category,
            max_risk=Risk(max_risk) if max_risk else None,
            capabilities=capabilities or None,
            engine=engine,
        )
    )
    by_name: dict[str, list[Tool]] = {}
    for tool in found:
        by_name.setdefault(tool.name, []).append(tool)
    rows = [_summary(variants) for variants in by_name.values()]
    if output == "table":
        described = [
            {**row, "described": _described(variants)} for row, variants in zip(rows, by_name.values(), strict=True)
        ]
        write_list(described)
    else:
        show_rows(rows, output, empty="")


def _summary(variants: list[Tool]) -> dict[str, Any]:
    """Variants as one row: the highest risk, all capabilities, the description of the first engine."""
    first = min(variants, key=_place)
    engines = {tool.engine for tool in variants}
    return {
        "name": first.name,
        "risk_level": max((tool.risk_level for tool in variants), key=lambda risk: risk.rank),
        "category": first.category,
        "engines": list(ENGINES) if "common" in engines else [engine for engine in ENGINES if engine in engines],
        "required_capabilities": sorted(frozenset.union(*(tool.required_capabilities for tool in variants))),
        "description": first.description,
        "sources": list(dict.fromkeys(tool.source for tool in variants)),
    }


def _described(variants: list[Tool]) -> str:
    """The engine of the description shown, if those of other engines differ; else empty."""
    alike = len({tool.engine for tool in variants}) == 1 or len({tool.description for tool in variants}) == 1
    return "" if alike else min(variants, key=_place).engine


@tools.command(epilog="Example:  aishell tools show optimize_table --engine postgresql")
@click.argument("name")
@click.option("--engine", type=click.Choice(ENGINES), help="Only the variants for this engine.")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, name: str, engine: str | None, output: str) -> None:
    """Show a tool's contract, its schemas and, for every engine and variant, its SQL and file."""
    from aishell.cli.tool_text import contract, write

    variants = variants_of(open_site(ctx), name, engine)
    if output == "json":
        write_json({"name": variants[0].name, "variants": [contract(tool) for tool in variants]})
        return
    write(variants)


def variants_of(site: Site, name: str, engine: str | None) -> list[Tool]:
    """The variants of a tool, or those for an engine. Raises UnknownNameError, and UsageError if there are none."""
    everywhere = site.registry().variants(name.replace("-", "_"))
    variants = [tool for tool in everywhere if engine in (None, tool.engine) or tool.engine == "common"]
    if not variants:
        known = ", ".join(sorted({tool.engine for tool in everywhere}))
        raise UsageError(f"the tool {everywhere[0].name!r} does not exist for {engine}", hint=f"it exists for {known}")
    return sorted(variants, key=_place)


def _place(tool: Tool) -> tuple[int, str]:
    return _ORDER.index(tool.engine), tool.source


@tools.command(epilog="Examples:  aishell tools check   ·   aishell tools check my-site/tools")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@OUTPUT
@click.pass_context
def check(ctx: click.Context, /, folder: Path | None, output: str) -> None:
    """Check every file in a folder of tools; errors name file and line. Exit 2 if there is one.

    DIR has a subfolder per engine and is checked like a site's own tools, together with the built-in ones. Without DIR all
    tools of the site are checked.
    """
    folders = [folder] if folder is not None else list(open_site(ctx).places.tools)
    good, problems = _checked(folders)
    if folder is not None and not good and not problems:
        raise UsageError(f"there is no tool in {folder}", hint="put tools into subfolders named after their engines")
    if output == "json":
        found = [{"path": p.path, "line": p.line, "message": p.message.partition(f":{p.line}: ")[2]} for p in problems]
        write_json({"tools": good, "problems": found})
    else:
        for problem in problems:
            say(printable(problem.message), style="red")
        say(f"{good} tool file(s) load" + (f", {len(problems)} do not" if problems else ""))
    ctx.exit(2 if problems else 0)


def _checked(folders: Sequence[Path]) -> tuple[int, list[ToolFileError]]:
    from aishell.locations import built_in
    from aishell.registry.registry import Registry
    from aishell.registry.registry import check as check_folder
    from aishell.safety.locks import contradiction

    shipped = built_in("tools")
    beside = [f for f in (shipped,) if all(f.resolve() != folder.resolve() for folder in folders)]
    registry = Registry.load(beside, lock_check=contradiction)
    good, problems = 0, list[ToolFileError]()
    for folder in folders:
        loaded, wrong = check_folder(folder, registry)
        good, problems = good + loaded, [*problems, *wrong]
    return good, problems


@tools.command(epilog="Example:  aishell tools stats --output json")
@OUTPUT
@click.pass_context
def stats(ctx: click.Context, /, output: str) -> None:
    """Show calls, success rate and mean duration of each tool, over the runs in the state store."""
    site = open_site(ctx)
    rows = site.runs.tool_statistics() if site.state_path.exists() else []
    if output == "table":
        rows = [
            {**row, "success_rate": f"{row['success_rate']:.0%}", "mean_seconds": f"{row['mean_seconds'] or 0:.2f}"}
            for row in rows
        ]
    show_rows(rows, output, empty="no tool has run yet")


@tools.command(
    "run",
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
def run_(ctx: click.Context, /, name: str, pairs: tuple[str, ...], **options: Any) -> None:
    """Run one tool: checked, previewed, approved, executed, verified and recorded like any other step.

    Its result is printed at the end, and is `output_data.output` in JSON.
    """
    from aishell.cli.run import run_all

    tool = open_site(ctx).registry().variants(name.replace("-", "_"))[0].name
    inputs = {"tool": tool, "params": assigned("--param", pairs)}
    ctx.exit(run_all(ctx, "one_tool", inputs, then=_show, **options))


def _show(result: RunResult) -> None:
    """Print the tool's result: lists of rows as tables, everything else on a line."""
    output: Mapping[str, Any] = result.output_data.get("output") or {}
    tables = {key: value for key, value in output.items() if _is_rows(value)}
    for key in output.keys() - tables.keys():
        console().print(printable(f"{key}: {output[key]}"))
    for key, rows in tables.items():
        title(key.replace("_", " "))
        show_rows(rows, "table", empty="")


def _is_rows(value: Any) -> bool:
    """Whether a value is a list of rows with the same columns."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(row, Mapping) and row.keys() == value[0].keys() for row in value)
    )

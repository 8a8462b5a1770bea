"""`aishell run log-cleanup --discover`: list the tables that look like logs, for people or as JSON. Changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import chosen_targets, on_each, open_site
from aishell.cli.console import console, error_document
from aishell.codec import plain
from aishell.commands import on
from aishell.errors import AishellError, UsageError
from aishell.models import Task
from aishell.reporting.units import in_days, printable, size

if TYPE_CHECKING:
    from aishell.agents.log_cleanup.discovery import Bucket, Candidate
    from aishell.cli.run import AgentCommand
    from aishell.cli.styled import Console
    from aishell.services.log_discovery import Discovery
    from aishell.site import Site

#: The agent's inputs that choose tables or go into the suggested command.
USED = ("table", "tables", "date_column", "retention_days")
#: Levels of the histogram's bars, for Unicode and for other terminals.
BARS, PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"


def add(command: AgentCommand) -> None:
    """Add `--discover` to the command of the agent."""
    run = command.callback
    option = click.Option(
        ["--discover"],
        is_flag=True,
        help="Only list tables that look like logs, with age, growth and disk use; change nothing.",
    )
    at = next(number for number, parameter in enumerate(command.params) if parameter.name == "targets")
    command.params.insert(at, option)

    @click.pass_context
    def callback(ctx: click.Context, /, discover: bool, **options: Any) -> None:
        if discover:
            ctx.exit(discover_all(ctx, command.taken(options), **options))
        ctx.invoke(run, **options)  # type: ignore[arg-type]  # a command that is built has one

    command.callback = callback


def discover_all(
    ctx: click.Context, inputs: dict[str, Any], *, environment: str | None, output: str, **options: Any
) -> int:
    """Search every chosen target; the exit code. Raises UsageError for an input that only a clean-up uses."""
    unused = [name for name in inputs if name not in USED]
    if unused:
        raise UsageError(f"{unused[0]} has no effect with --discover", hint=f"leave out {unused[0]} or --discover")
    site = open_site(ctx)

    def work(name: str) -> tuple[Any, int]:
        found = _discovered(site, name, inputs, environment)
        if output != "json":
            show(console(), found)
        return plain(found), 0

    def failed(name: str, error: AishellError) -> dict[str, Any]:
        return {"target": name, "error": error_document(error)}

    return max(on_each(site.servers.expand(chosen_targets(site, options)), work, failed, output, "targets"))


def _discovered(site: Site, name: str, inputs: dict[str, Any], environment: str | None) -> Discovery:
    from aishell.agents.log_cleanup.discovery import RETENTION_DAYS
    from aishell.services.log_discovery import discover

    with site.job(Task("log_cleanup", name, input_data=inputs), environment=environment, look_only=True) as job:
        # Without the password and the stars that mask it: the driver's own files and variables may hold it.
        url = str(replace(job.database.credentials.url, password=None))
        place = on(url if "://" in name else job.target.name)
        return discover(
            job,
            [*([inputs["table"]] if "table" in inputs else []), *inputs.get("tables", ())],
            date_column=inputs.get("date_column"),
            retention_days=inputs.get("retention_days", RETENTION_DAYS),
            place=place,
        )


def show(out: Console, found: Discovery) -> None:
    """Each table in a few lines, then the disk."""
    draws = _draws()
    title = f"{found.target}  {found.engine}: {len(found.candidates)} table(s) look like logs"
    out.print(printable(title), style="bold")
    for candidate in found.candidates:
        out.print()
        _candidate(out, candidate, draws)
    if found.not_measured:
        out.print()
        out.print(f"{found.not_measured} more table(s) may be logs; the likeliest:", style="dim")
        out.print(f"  {printable(found.next_command)}", style="green", soft_wrap=True)
    disk = found.disk
    free = f"{size(disk.free_bytes)} free" if disk.free_bytes is not None else f"unknown: {disk.unknown}"
    growth = disk.growth_bytes_per_day
    full = "" if disk.days_until_full is None else f"; full in {in_days(disk.days_until_full)}"
    out.print()
    out.print(f"disk: {free}; {_grown(growth, len(found.candidates), disk.growth_unknown)}{full}")


def _grown(growth: float, tables: int, unknown: int) -> str:
    """The growth of all tables together, and how many of them have an unknown growth."""
    if not tables:
        return "no table was found"
    if unknown == tables:
        return "growth of these tables unknown"
    without = f", without {unknown} of unknown growth" if unknown else ""
    return (f"these tables grow by {size(growth)} a day" if growth else "these tables do not grow") + without


def _candidate(out: Console, one: Candidate, draws: bool) -> None:
    rows = "rows unknown" if one.rows is None else f"about {one.rows:,} rows"
    name = printable(f"{one.schema}.{one.table}")
    space = "size unknown" if one.bytes is None else size(one.bytes)
    out.print(f"{name}  {rows}, {space}  score {one.score}", style="bold cyan")
    out.print(f"  {printable('; '.join(one.reasons))}", style="dim")
    if one.age_histogram and "age_histogram" not in one.unknown:
        bars = histogram(one.age_histogram, draws)
        methods = ", ".join(dict.fromkeys(bucket.method for bucket in one.age_histogram))
        out.print(f"  age    {one.oldest}  |{bars}|  {one.newest}  ({methods})")
    if one.rows_per_day is not None:
        out.print(f"  growth {_growth(one, one.rows_per_day)}")
    for why in dict.fromkeys(one.unknown.values()):
        names = ", ".join(name.replace("_", " ") for name, reason in one.unknown.items() if reason == why)
        out.print(f"  unknown: {names}: {printable(why)}", style="yellow")
    if one.command:
        out.print(f"  {printable(one.command)}", style="green", soft_wrap=True)


def _growth(one: Candidate, rows: float) -> str:
    full = f"; alone it fills the disk in {in_days(one.days_until_full)}" if one.days_until_full is not None else ""
    word = "at most " if one.bytes_method == "at most" else ""
    space = f" and {word}{size(one.bytes_per_day)}" if one.bytes_per_day is not None else ""
    return f"{rows:,.{1 if rows < 10 else 0}f} rows{space} a day ({one.growth_method}){full}"


def histogram(buckets: Sequence[Bucket], draws: bool) -> str:
    """A bar for each interval, its height by the number of rows; a single row is visible."""
    levels = BARS if draws else PLAIN_BARS
    most = max((bucket.rows or 0 for bucket in buckets), default=0)
    top = len(levels) - 1
    return "".join(levels[-(-(bucket.rows or 0) * top // most) if most else 0] for bucket in buckets)


def _draws() -> bool:
    """Whether standard output can encode the bars."""
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

"""`aishell digest`: one report of a night, over all targets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.reports import deliver, report_options
from aishell.errors import UsageError
from aishell.moments import given


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell digest   ·   aishell digest -o night.html   ·   aishell digest --since 7d --format markdown",
)
@click.option(
    "--since",
    default="24h",
    show_default=True,
    metavar="WHEN",
    help="Start of the report: an age (12h, 7d), or a day or time in UTC (2026-11-22, '2026-11-22 18:00').",
)
@report_options
@click.pass_context
def digest(ctx: click.Context, /, since: str, form: str | None, out: Path | None) -> None:
    """Report on one night over all targets: what needs a person, what was done, how it compares.

    Made from state.db alone; no database is contacted. Open matters are listed whenever they began.
    """
    from aishell.digest import night_of
    from aishell.reporting import pages
    from aishell.reporting.night import document

    site, until = open_files(ctx), datetime.now(UTC)
    night = night_of(site, moment(since, until), until)
    deliver(pages.digest(night), document(night), form, out)


def moment(text: str, now: datetime) -> datetime:
    """When `--since` is, in UTC: a duration before `now`, a day or a time. Raises UsageError."""
    from aishell.scheduling.times import seconds

    hint = "write a duration (12h, 7d), a day, or a day and a time: '2026-11-22 18:00'"
    try:
        begin = now - timedelta(seconds=seconds(text))
    except OverflowError as error:
        raise UsageError(f"--since {text!r} is before all times", hint=hint) from error
    except ValueError:
        begin = given(text, of="--since", hint=hint)
    if begin >= now:
        raise UsageError(f"--since {text!r} is not over yet", hint=hint)
    return begin

"""`aishell runs report`: what one run found and did, for a person."""

from __future__ import annotations

from pathlib import Path

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.reports import deliver, report_options


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell runs report 3f2a   ·   aishell runs report 3f2a --format html -o run.html",
)
@click.argument("run_id", metavar="ID")
@report_options
@click.pass_context
def report(ctx: click.Context, /, run_id: str, form: str | None, out: Path | None) -> None:
    """Report what a run found and did, step by step, with sizes before and after, and what needs a person."""
    from datetime import UTC, datetime

    from aishell.reporting import pages
    from aishell.reporting.gathering import gather_run
    from aishell.reporting.night import document
    from aishell.state.locks import is_held

    site = open_files(ctx)
    now = datetime.now(UTC)
    row = site.runs.find(run_id)
    told = gather_run(site.store, row.id, now, running=lambda one: is_held(site.run_lock(one)))
    deliver(pages.run_report(told, now.isoformat()), document(told), form, out)

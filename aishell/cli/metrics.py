"""`aishell metrics`: print the metrics, without a daemon."""

from __future__ import annotations

from pathlib import Path

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say_lines
from aishell.errors import UsageError
from aishell.files import write_whole


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell metrics   ·   aishell metrics --output /var/lib/prometheus/node-exporter/aishell.prom",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file for node-exporter's textfile collector: replaced atomically, mode 0644.",
)
@click.pass_context
def metrics(ctx: click.Context, /, output: Path | None) -> None:
    """Print metrics of runs, steps, backups, approvals, schedules, holds and health in Prometheus' text format.

    They are read from state.db and the configuration. No database is contacted, and only FILE is written.
    """
    from aishell.metrics import exposition

    text = exposition(open_files(ctx)).decode()
    if output is None:
        say_lines(text.removesuffix("\n"))
        return
    try:
        write_whole(output, text, mode=0o644)  # the collector ignores the temporary file by its name
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}",
            hint="choose an existing folder that this user can write to",
        ) from error

"""`aishell metrics`: what monitors read, without a daemon."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import click

from aishell.cli.common import open_files
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.errors import UsageError


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
    """Runs, steps, backups, approvals, schedules, holds and health in Prometheus' text format.

    Read from state.db and the configuration; no database is contacted, and nothing but FILE is written.
    """
    from aishell.metrics import exposition

    text = exposition(open_files(ctx))
    if output is None:
        for line in text.decode().splitlines():
            say(line)
    else:
        _replace(output, text)


def _replace(path: Path, text: bytes) -> None:
    """Put a file in the place of another, whole. Its name does not end like those that the collector looks for until then."""
    unfinished: str | None = None
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        Path(unfinished).replace(path)
    except OSError as error:
        if unfinished is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(unfinished).unlink()
        raise UsageError(
            f"{path} cannot be written: {error.strerror}",
            hint="name a folder that is there and that this user may write",
        ) from error

"""What the commands that report share: formats, and where a report goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.streams import say, say_lines
from aishell.errors import UsageError
from aishell.files import write_whole

if TYPE_CHECKING:
    from aishell.reporting.page import Page


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """In which format, and where to."""
    for option in reversed(
        (
            click.option(
                "--format",
                "form",
                type=click.Choice(["text", "markdown", "json", "html"]),
                help="Format (default: by the ending of FILE, else text). html is a single self-contained page.",
            ),
            click.option(
                "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE."
            ),
        )
    ):
        command = option(command)
    return command


def deliver(page: Page, document: dict[str, Any], form: str | None, out: Path | None) -> None:
    """Print a report, or write it to a file, mode 0600. Raises UsageError where that cannot be written."""
    from aishell.reporting.formats import JSON, meant, written
    from aishell.reporting.units import printable

    form = form or meant(out)
    if out is not None:
        _write(out, written(form, page, document))
        say(f"written: {printable(out)}")
    elif form == JSON:
        from aishell.cli.console import write_json

        write_json(document)
    else:
        say_lines(written(form, page, document).removesuffix("\n"))


def _write(path: Path, text: str) -> None:
    """Whole or not at all: names and errors of databases are for their owner."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"the report cannot be written to {path}: {error.strerror}") from error

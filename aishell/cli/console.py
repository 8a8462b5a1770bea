"""Standard output and standard error: plain when piped, one JSON document when asked for."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from aishell.models import Sent, plain
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from rich.console import Console


def write_json(document: Any) -> None:
    """The one document on standard output; in letters that every encoding has where the terminal's is not Unicode."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(json.dumps(plain(document), ensure_ascii=not unicode, indent=2))


def console(*, stderr: bool = False) -> Console:
    """A console that keeps to NO_COLOR, and to 110 columns when nobody sees it. `:bug:` in a name stays what it is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        emoji=False,
        soft_wrap=not stream.isatty(),
        width=None if stream.isatty() else 110,
    )


def sql_lines(sent: Sent) -> list[str]:
    """A statement as it can be printed: the lines of the tool's file, with every name and value exactly as it is."""
    return (sent.shown or printable(sent.sql)).split("\n")

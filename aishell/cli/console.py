"""Output of more than a line: JSON documents, and text laid out by rich; plain when piped."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from aishell.cli.streams import passing
from aishell.codec import plain
from aishell.errors import AishellError
from aishell.models import Sent
from aishell.reporting.units import printable, visible_json

if TYPE_CHECKING:
    from aishell.cli.styled import Console


def write_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document on standard output, in ASCII where its encoding is not Unicode."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    passing(sys.stdout)(visible_json(json.dumps(plain(document), ensure_ascii=not unicode, indent=indent)) + "\n")


def error_document(error: AishellError) -> dict[str, Any]:
    """The `error` of a document."""
    return {"type": type(error).__name__, "message": error.message, "step_id": None, "hint": error.hint}


def console(*, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR, and has 110 columns when it is not a terminal."""
    from aishell.cli.styled import Console

    return Console(sys.stderr if stderr else sys.stdout)


def sql_lines(sent: Sent) -> list[str]:
    """A statement for printing: the lines of the tool's file, with every name and value unchanged.

    Its note comes before it as a comment.
    """
    lines = (sent.shown or printable(sent.sql)).split("\n")
    return [f"-- {printable(sent.note)}:", *lines] if sent.note else lines

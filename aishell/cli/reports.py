"""What the commands that report share: formats, and where a report goes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.streams import say, say_lines
from aishell.errors import UsageError

if TYPE_CHECKING:
    from aishell.reporting.page import Page

#: Format -> how the names of its files end.
ENDINGS = {"text": (".txt", ".text"), "markdown": (".md", ".markdown"), "json": (".json",), "html": (".html", ".htm")}


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """In which format, and where to."""
    for option in reversed(
        (
            click.option(
                "--format",
                "form",
                type=click.Choice([*ENDINGS]),
                help="text when not given, or as the name of FILE ends. html: one page that needs nothing else.",
            ),
            click.option(
                "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it to FILE."
            ),
        )
    ):
        command = option(command)
    return command


def deliver(
    page: Callable[[], Page], document: Callable[[], dict[str, Any]], form: str | None, out: Path | None
) -> None:
    """Print a report, or write it to a file, mode 0600. Raises UsageError where that cannot be written."""
    form = form or _meant(out)
    if form == "json" and out is None:
        from aishell.cli.console import write_json

        write_json(document())
        return
    text = written(form, page, document)
    if out is None:
        say_lines(text.removesuffix("\n"))
        return
    _write(out, text)
    from aishell.reporting.units import printable

    say(f"written: {printable(out)}")


def written(form: str, page: Callable[[], Page], document: Callable[[], dict[str, Any]]) -> str:
    """A report in one of the formats."""
    from aishell.reporting import html, plain_page

    if form == "json":
        import json

        return json.dumps(document(), ensure_ascii=True, indent=2) + "\n"
    render = {"text": plain_page.text, "markdown": plain_page.markdown, "html": html.html}
    return render[form](page())


def _meant(out: Path | None) -> str:
    if out is None:
        return "text"
    return next((form for form, endings in ENDINGS.items() if out.suffix.lower() in endings), "text")


def _write(path: Path, text: str) -> None:
    """Whole or not at all: names and errors of databases are for their owner."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UsageError(f"the report cannot be written to {path}: {error.strerror}") from error

"""A report in Markdown, as a terminal shows it."""

from __future__ import annotations

from itertools import groupby

from rich.markdown import Markdown
from rich.text import Text

from aishell.cli.styled import Console
from aishell.reporting.units import holds_command

#: Columns that no line of a report has.
_WIDE = 10_000


def show(out: Console, report: str) -> None:
    """Print it laid out; a line with a command is left to the terminal to wrap, so that it is copied as the one line it is."""
    for pasted, lines in groupby(report.split("\n"), holds_command):
        if pasted:
            for line in lines:
                out.print(_unbroken(out, line), soft_wrap=True)
        else:
            out.print(Markdown("\n".join(lines)))


def _unbroken(out: Console, line: str) -> Text:
    """A line of Markdown, laid out on one line."""
    segments = out.render(Markdown(line), out.options.update(width=_WIDE))
    text = Text.assemble(*((one.text.strip("\n"), one.style or "") for one in segments))
    text.rstrip()
    return text

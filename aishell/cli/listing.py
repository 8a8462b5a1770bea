"""Rows for people: a table on a terminal, aligned text when piped, a JSON list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.cli.console import console, write_json
from aishell.cli.streams import say
from aishell.reporting.units import holds_command, printable


def show_rows(rows: Sequence[Mapping[str, Any]], output: str, *, empty: str) -> None:
    """Print rows of the same columns."""
    if output == "json":
        write_json(list(rows))
        return
    if not rows:
        say(printable(empty))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for number, name in enumerate(rows[0]):
        table.add_column(
            name.replace("_", " "), overflow="fold", no_wrap=number == 0
        )  # an id or a name is copied whole
    for row in rows:
        table.add_row(*(Text("" if value is None else printable(value)) for value in row.values()))
    out = console()
    if not out.is_terminal or any(holds_command(str(value)) for row in rows for value in row.values()):
        out.width = 1000  # a line per row for whoever reads a pipe, or pastes a command from it
    out.print(table)


def title(text: str) -> None:
    """A line above or below a table."""
    console().print(printable(text), style="bold", markup=False)

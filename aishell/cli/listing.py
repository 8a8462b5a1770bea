"""Rows as a table if it fits the terminal, else as one block per row; aligned text when piped; or a JSON list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from aishell.cli.console import console, write_json
from aishell.cli.streams import say
from aishell.moments import at
from aishell.reporting.units import cells, holds_command, printable

if TYPE_CHECKING:
    from aishell.cli.styled import Console

#: Blanks between two columns.
GAP = 2
#: A column is wrapped to this width at the least; below it, blocks are easier to read.
NARROWEST = 24

Row = Mapping[str, str]


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    output: str,
    *,
    empty: str,
    least: Sequence[str] = (),
    moments: Sequence[str] = (),
    limit: int | None = None,
) -> None:
    """Print rows that have the same columns. Words are never broken, so that ids and names can be copied whole.

    On a terminal, empty columns are left out; if the rest is too wide, those in `least` are dropped, in order.
    `moments`: columns that hold timestamps. `limit`: the maximum queried; a note is printed if it was reached.
    """
    if output == "json":
        write_json(list(rows))
        return
    if not rows:
        say(printable(empty))
        return
    shown = [{name: _cell(value, name in moments) for name, value in row.items()} for row in rows]
    out = console()
    if len(rows) == limit:
        say(f"the newest {limit}; use --limit for more", style="dim", err=True)
    if out.is_terminal:
        _fitted_table(out, shown, least)
    else:
        _table(out, shown, _natural(shown))


def _fitted_table(out: Console, rows: Sequence[Row], least: Sequence[str]) -> None:
    """Print a table without empty columns and as many of `least` as necessary; else blocks."""
    first, *others = rows[0]
    filled = [first, *(name for name in others if any(row[name] for row in rows))]
    for left in range(len(least) + 1):
        names = [name for name in filled if name not in least[:left]]
        kept = [{name: row[name] for name in names} for row in rows]
        widths = fitted(kept, out.width)
        if widths is not None:
            _table(out, kept, widths)
            if gone := [name.replace("_", " ") for name in filled if name in least[:left]]:
                out.print(f"not shown: {', '.join(gone)} (use a wider terminal or --output json)", style="dim")
            return
    _blocks(out, rows)


def _cell(value: Any, moment: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return printable(", ".join(map(str, value)))
    return at(value) if moment else printable(value)


def title(text: str) -> None:
    """Print a line above or below a table."""
    console().print(printable(text), style="bold")


def fitted(rows: Sequence[Row], width: int) -> dict[str, int] | None:
    """The width of each column with which all fit into `width` and no word is broken; None if that is impossible.

    The widest columns are wrapped first; rows with a command are not wrapped.
    """
    widths = _natural(rows)
    least = {name: min(most, max(NARROWEST, _longest_word(rows, name))) for name, most in widths.items()}
    over = sum(widths.values()) + GAP * (len(widths) - 1) - width
    if over <= 0:
        return widths
    if any(holds_command(text) for row in rows for text in row.values()):
        return None
    for _ in range(over):
        name = max((one for one in widths if widths[one] > least[one]), key=widths.__getitem__, default=None)
        if name is None:
            return None
        widths[name] -= 1
    return widths


def wrapped(text: str, width: int) -> Iterator[str]:
    """A text in lines of at most `width` cells; a longer word has a line of its own."""
    line = ""
    for blank, word in re.findall(r"(^ *| +)([^ ]*)", text):
        longer = f"{line}{blank}{word}"
        if line and cells(longer) > width:
            yield line
            line = word
        else:
            line = longer
    yield line


def _natural(rows: Sequence[Row]) -> dict[str, int]:
    """The width of each column without wrapping."""
    return {name: max(cells(name), *(cells(row[name]) for row in rows)) for name in rows[0]}


def _longest_word(rows: Sequence[Row], name: str) -> int:
    return max(
        cells(word) for text in (name.replace("_", " "), *(row[name] for row in rows)) for word in text.split(" ")
    )


def _table(out: Console, rows: Sequence[Row], widths: Mapping[str, int]) -> None:
    _line(out, {name: name.replace("_", " ") for name in widths}, widths, style="dim")
    for row in rows:
        _line(out, row, widths)


def _line(out: Console, row: Row, widths: Mapping[str, int], *, style: str = "") -> None:
    """Print a row, in as many lines as its longest cell takes."""
    for line in zip_longest(*(wrapped(row[name], width) for name, width in widths.items()), fillvalue=""):
        padded = (f"{cell}{' ' * (width - cells(cell))}" for cell, width in zip(line, widths.values(), strict=True))
        out.print((" " * GAP).join(padded).rstrip(), style=style, soft_wrap=True)


def _blocks(out: Console, rows: Sequence[Row]) -> None:
    """Print one block per row: the first column, and below it the others that are not empty."""
    first, *others = rows[0]
    width = max(map(cells, others), default=0) + 2 * GAP
    for number, row in enumerate(rows):
        if number:
            out.print()
        out.print(row[first], style="bold", soft_wrap=True)
        for name in others:
            if row[name]:
                entry(out, f"{' ' * GAP}{name.replace('_', ' ')}", row[name], width)


def entry(out: Console, name: str, text: str, indent: int, *, style: str = "dim", words: str = "") -> None:
    """Print a name and its text from column `indent` on, or below it if a word does not fit.

    Commands, and everything that is piped, are left to the terminal to wrap.
    """
    from rich.text import Text

    whole = holds_command(text) or not out.is_terminal
    if name and not whole and indent + max(map(cells, text.split(" "))) > out.width:
        out.print(Text(name, style), soft_wrap=True)
        name, indent = "", 2 * GAP
    lines = [text] if whole else wrapped(text, out.width - indent)
    for number, line in enumerate(lines):
        left = "" if number else name
        out.print(Text.assemble((f"{left}{' ' * (indent - cells(left))}", style), (line, words)), soft_wrap=True)

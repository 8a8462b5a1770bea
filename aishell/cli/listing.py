"""Rows for people: a table where it fits into the terminal, else a block a row; aligned text when piped; a JSON list."""

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

#: Between two columns.
GAP = 2
#: A column of sentences is wrapped at its words down to this; narrower, and blocks are easier to read.
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
    """Print rows of the same columns. No word is ever broken: an id or a name is copied whole.

    On a terminal, columns that say nothing are left out; where the rest is too wide, those in `least` go, the first one first.
    `moments`: columns of moments. `limit`: how many were looked for; where there are so many, standard error says so.
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
    """A table without the columns that say nothing, and without as many of `least` as it takes; else blocks."""
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
    """A line above or below a table."""
    console().print(printable(text), style="bold")


def fitted(rows: Sequence[Row], width: int) -> dict[str, int] | None:
    """How wide each column is, so that all fit into `width` and no word is broken; None where that cannot be.

    What is too wide is wrapped at its words, the widest column first; of a row with a command nothing is.
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
    """A text in lines of at most `width` cells; a word that is longer stays whole on a line of its own."""
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
    """The width of each column as it is."""
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
    """A row, in as many lines as its longest cell takes."""
    for line in zip_longest(*(wrapped(row[name], width) for name, width in widths.items()), fillvalue=""):
        padded = (f"{cell}{' ' * (width - cells(cell))}" for cell, width in zip(line, widths.values(), strict=True))
        out.print((" " * GAP).join(padded).rstrip(), style=style, soft_wrap=True)


def _blocks(out: Console, rows: Sequence[Row]) -> None:
    """A block a row: its first column, and below it what the others say, if anything."""
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
    """A name, and its text from column `indent` on; below it where a word does not fit beside it.

    A command is left to the terminal to wrap, and so is everything that is piped.
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

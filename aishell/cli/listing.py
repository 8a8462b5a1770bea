"""Rows for people: a table where it fits into the terminal, else a block a row; aligned text when piped; a JSON list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from aishell.cli.console import console, write_json
from aishell.cli.streams import say
from aishell.reporting.units import holds_command, printable

if TYPE_CHECKING:
    from aishell.cli.styled import Console

#: Between two columns.
GAP = 2
#: A column of sentences is wrapped at its words down to this; narrower, and blocks are easier to read.
NARROWEST = 24

Row = Mapping[str, str]


def show_rows(
    rows: Sequence[Mapping[str, Any]], output: str, *, empty: str, least: Sequence[str] = (), limit: int | None = None
) -> None:
    """Print rows of the same columns. No word is ever broken: an id or a name is copied whole.

    On a terminal, columns that say nothing are left out; where the rest is too wide, those in `least` go, the first one first.
    `limit`: how many were looked for; where there are so many, standard error says that there may be more.
    """
    if output == "json":
        write_json(list(rows))
        return
    if not rows:
        say(printable(empty))
        return
    shown = [{name: "" if value is None else printable(value) for name, value in row.items()} for row in rows]
    out = console()
    if len(rows) == limit:
        say(f"the newest {limit}; use --limit for more", style="dim", err=True)
    if not out.is_terminal:
        _table(out, shown, _natural(shown))
        return
    names = [name for number, name in enumerate(rows[0]) if number == 0 or any(row[name] for row in shown)]
    for left in (None, *least):
        names = [name for name in names if name != left]
        kept = [{name: row[name] for name in names} for row in shown]
        widths = fitted(kept, out.width)
        if widths is not None:
            _table(out, kept, widths)
            break
    else:
        _blocks(out, shown)
        return
    gone = [name.replace("_", " ") for name in least if name not in names and any(row[name] for row in shown)]
    if gone:
        out.print(f"not shown: {', '.join(gone)} (use a wider terminal or --output json)", style="dim")


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
        if line and _cells(longer) > width:
            yield line
            line = word
        else:
            line = longer
    yield line


def _natural(rows: Sequence[Row]) -> dict[str, int]:
    """The width of each column as it is."""
    return {name: max(_cells(name), *(_cells(row[name]) for row in rows)) for name in rows[0]}


def _longest_word(rows: Sequence[Row], name: str) -> int:
    return max(
        _cells(word) for text in (name.replace("_", " "), *(row[name] for row in rows)) for word in text.split(" ")
    )


def _table(out: Console, rows: Sequence[Row], widths: Mapping[str, int]) -> None:
    _line(out, {name: name.replace("_", " ") for name in widths}, widths, style="dim")
    for row in rows:
        _line(out, row, widths)


def _line(out: Console, row: Row, widths: Mapping[str, int], *, style: str = "") -> None:
    """A row, in as many lines as its longest cell takes."""
    for cells in zip_longest(*(wrapped(row[name], width) for name, width in widths.items()), fillvalue=""):
        padded = (f"{cell}{' ' * (width - _cells(cell))}" for cell, width in zip(cells, widths.values(), strict=True))
        out.print((" " * GAP).join(padded).rstrip(), style=style, soft_wrap=True)


def _blocks(out: Console, rows: Sequence[Row]) -> None:
    """A block a row: its first column, and below it what the others say, if anything."""
    first, *others = rows[0]
    width = max(map(_cells, others), default=0) + 2 * GAP
    for number, row in enumerate(rows):
        if number:
            out.print()
        out.print(row[first], style="bold", soft_wrap=True)
        for name in others:
            if row[name]:
                entry(out, f"{' ' * GAP}{name.replace('_', ' ')}", row[name], width)


def entry(out: Console, name: str, text: str, indent: int, *, style: str = "dim", words: str = "") -> None:
    """A name, and what is said of it from column `indent` on; below it where a word does not fit beside it.

    A command is left to the terminal to wrap.
    """
    from rich.text import Text

    if name and indent + max(map(_cells, text.split(" "))) > out.width and not holds_command(text):
        out.print(Text(name, style), soft_wrap=True)
        name, indent = "", 2 * GAP
    lines = [text] if holds_command(text) else wrapped(text, out.width - indent)
    for number, line in enumerate(lines):
        left = "" if number else name
        out.print(Text.assemble((f"{left}{' ' * (indent - _cells(left))}", style), (line, words)), soft_wrap=True)


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)

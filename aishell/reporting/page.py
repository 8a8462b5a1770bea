"""A report as blocks without layout: its contents are defined once, for text, Markdown and HTML. Pure.

Texts are unchanged; each renderer makes them safe to show, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: The most rows of a table, bars of a plot and small plots of a trend; the rest is counted.
MAX_ROWS, MAX_BARS, MAX_TRENDS = 60, 12, 8


@dataclass(frozen=True)
class Paragraph:
    """One or more sentences. `good`: they say that nothing is wrong."""

    text: str
    good: bool = False


@dataclass(frozen=True)
class Fact:
    """A key figure and its name. `alarming`: it needs attention."""

    value: str
    name: str
    alarming: bool = False


@dataclass(frozen=True)
class KeyFacts:
    """Figures side by side."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Item:
    """A line of a list: its kind, its text, and a command to paste."""

    mark: str
    text: str
    place: str = ""
    command: str | None = None


@dataclass(frozen=True)
class Items:
    """A list whose every line needs action."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class ReportTable:
    """`numbers`: the indexes of right-aligned columns. `more`: how many rows were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    more: int = 0

    @classmethod
    def of(cls, columns: str, rows: Sequence[tuple[str, ...]], *numbers: int, most: int = MAX_ROWS) -> ReportTable:
        """Build a table. `columns`: their names, separated by `|`."""
        return cls(tuple(columns.split("|")), tuple(rows[:most]), frozenset(numbers), max(0, len(rows) - most))


@dataclass(frozen=True)
class Bar:
    """A label, and a value for each series; None has no bar."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Bars:
    """Horizontal bars. `show` formats a value; `limit`: the position and label of a line."""

    bars: tuple[Bar, ...]
    show: Callable[[float], str]
    series: tuple[str, ...] = ()
    limit: tuple[float, str] | None = None


@dataclass(frozen=True)
class SmallPlot:
    """A small plot: (time, value), oldest first. `columns`: daily sums rather than measurements."""

    label: str
    points: tuple[tuple[str, float], ...]
    show: Callable[[float], str]
    columns: bool = False


@dataclass(frozen=True)
class SmallPlots:
    """Small plots side by side, each with its own scale from 0."""

    lines: tuple[SmallPlot, ...]


@dataclass(frozen=True)
class Figure:
    """A plot, described in words (`about`) and by a table. `points`: all its figures, if the table has only some."""

    title: str
    about: str
    plot: Bars | SmallPlots
    table: ReportTable
    points: ReportTable | None = None


@dataclass(frozen=True)
class Verbatim:
    """A text of several lines, unchanged."""

    title: str
    text: str


Block = Paragraph | KeyFacts | Items | ReportTable | Figure | Verbatim


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it; `level` 2 or 3."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 2


@dataclass(frozen=True)
class Page:
    """A report. `foot`: the source of its figures."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    foot: str

"""A report as blocks, laid out by nobody yet: what is said stands here once, for text, Markdown and HTML. Pure.

Texts are as they came: each renderer makes them safe to show, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Rows of a table, bars of a plot and small plots of a trend; the rest is counted.
MAX_ROWS, MAX_BARS, MAX_TRENDS = 60, 12, 8


@dataclass(frozen=True)
class Paragraph:
    """One sentence or more. `good`: it says that nothing is wrong."""

    text: str
    good: bool = False


@dataclass(frozen=True)
class Fact:
    """A figure that one looks for first, and what it is. `alarming`: it needs a look."""

    value: str
    name: str
    alarming: bool = False


@dataclass(frozen=True)
class KeyFacts:
    """Figures side by side."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Item:
    """A line of a list: what kind of thing it is, what is said, and a command to paste."""

    mark: str
    text: str
    place: str = ""
    command: str | None = None


@dataclass(frozen=True)
class Items:
    """A list whose every line asks for something."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class ReportTable:
    """`numbers`: the columns, from 0, that are aligned at the right. `more`: rows that were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    more: int = 0

    @classmethod
    def of(cls, columns: str, rows: Sequence[tuple[str, ...]], *numbers: int, most: int = MAX_ROWS) -> ReportTable:
        """`columns`: their names, with `|` between them."""
        return cls(tuple(columns.split("|")), tuple(rows[:most]), frozenset(numbers), max(0, len(rows) - most))


@dataclass(frozen=True)
class Bar:
    """A label, and a value for each series; None is drawn as no bar."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Bars:
    """Horizontal bars. `show` writes a value; `limit`: where a line is drawn, and what it is."""

    bars: tuple[Bar, ...]
    show: Callable[[float], str]
    series: tuple[str, ...] = ()
    limit: tuple[float, str] | None = None


@dataclass(frozen=True)
class SmallPlot:
    """A small plot: (moment, value), the oldest first. `columns`: sums of days rather than measurements."""

    label: str
    points: tuple[tuple[str, float], ...]
    show: Callable[[float], str]
    columns: bool = False


@dataclass(frozen=True)
class SmallPlots:
    """Small plots beside each other, each with a scale of its own that begins at 0."""

    lines: tuple[SmallPlot, ...]


@dataclass(frozen=True)
class Figure:
    """A plot, the same in words (`about`) and in a table. `points`: every figure of it, where the table holds a choice."""

    title: str
    about: str
    plot: Bars | SmallPlots
    table: ReportTable
    points: ReportTable | None = None


@dataclass(frozen=True)
class Verbatim:
    """A text of several lines, as it is."""

    title: str
    text: str


Block = Paragraph | KeyFacts | Items | ReportTable | Figure | Verbatim


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; `level` 2 or 3."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 2


@dataclass(frozen=True)
class Page:
    """A report. `foot`: where its figures come from."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    foot: str

"""Plots as inline SVG, drawn in the colours of the page. Each says in words what it shows. Pure.

A plot is narrow enough that its letters can be read on a phone, and is scaled as a whole.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from aishell.reporting.markup import cut, element
from aishell.reporting.page import Bar, Bars, Line, Lines
from aishell.reporting.units import few

#: Units of the drawing; a letter takes about 7.
WIDTH, LABEL, THICK, GAP = 420, 18, 13, 10
#: What is kept at the right for the value behind the longest bar.
VALUE = 96
_SMALL, _TOP, _BOTTOM, _HEIGHT = 240, 42, 96, 114
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def drawn(plot: Bars | Lines, title: str) -> list[Element]:
    """The drawings of a figure."""
    return [bars(plot, title)] if isinstance(plot, Bars) else [line(one, title) for one in plot.lines]


def bars(plot: Bars, title: str) -> Element:
    """Horizontal bars, each below its label."""
    values = [value for bar in plot.bars for value in bar.values if value is not None]
    most = max([*values, plot.limit[0] if plot.limit else 0.0, 0.0]) or 1.0
    scale = (WIDTH - VALUE) / most
    parts, y = list[Element](), 0.0
    for bar in plot.bars:
        parts.append(_bar(bar, plot, y, scale))
        y += LABEL + THICK * len(bar.values) + GAP
    if plot.limit is not None:
        x = plot.limit[0] * scale
        parts.append(element("line", class_="limit", x1=x, x2=x, y1=0, y2=y))
        parts.append(element("text", plot.limit[1], class_="small", x=x + 4, y=y + 8))
        y += GAP
    said = [f"{bar.label}: {', '.join(_words(bar, plot))}" for bar in plot.bars]
    return _svg(f"{title}. {few(said, 12)}", WIDTH, y, parts)


def _bar(bar: Bar, plot: Bars, y: float, scale: float) -> Element:
    parts = [element("title", f"{bar.label}: {', '.join(_words(bar, plot))}")]
    parts.append(element("text", cut(bar.label, 56), x=0, y=y + LABEL - 5))
    for number, value in enumerate(bar.values):
        top = y + LABEL + THICK * number
        width = max(1.0, value * scale) if value is not None else 0.0
        kind = "before" if number == 0 and len(bar.values) > 1 else "after"
        over = plot.limit is not None and value is not None and value > plot.limit[0]
        parts.append(
            element("rect", class_=f"{kind} over" if over else kind, x=0, y=top, width=width, height=THICK - 2)
        )
        shown = "none" if value is None else plot.show(value)
        parts.append(
            element("text", shown, class_="alarm small" if value is None else "small", x=width + 5, y=top + 10)
        )
    return element("g", *parts)


def _words(bar: Bar, plot: Bars) -> list[str]:
    shown = ["none" if value is None else plot.show(value) for value in bar.values]
    return [f"{name} {value}" for name, value in zip(plot.series, shown, strict=True)] if plot.series else shown


def line(one: Line, title: str) -> Element:
    """A small plot over days, from 0 on."""
    values = [value for _, value in one.points]
    low, high = min(0.0, *values), max(0.0, *values) or 1.0
    left, right = 4.0, _SMALL - 4.0

    def x(at: str) -> float:
        first, last = _day(one.points[0][0]), _day(one.points[-1][0])
        return left + (right - left) * (_day(at) - first) / ((last - first) or 1.0)

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low)

    ends = f"{one.show(values[0])} → {one.show(values[-1])}"
    ends = f"last {one.show(values[-1])}, most {one.show(max(values))}" if one.columns else ends
    parts = [
        element("text", cut(one.label, 34), class_="name", x=0, y=14),
        element("text", ends, class_="small", x=0, y=31),
        element("line", class_="axis", x1=left, x2=right, y1=y(0.0), y2=y(0.0)),
    ]
    if one.columns:
        room = (right - left) / len(values)
        for number, value in enumerate(values):
            top = min(y(value), y(0.0))
            width, height = max(1.0, min(room - 2, 24.0)), max(1.0, abs(y(value) - y(0.0)))
            kind = "after" if number == len(values) - 1 else "before"
            parts.append(element("rect", class_=kind, x=left + room * number, y=top, width=width, height=height))
    else:
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in one.points)
        parts.append(element("polyline", class_="line", points=path))
        parts += [element("circle", class_="dot", cx=x(at), cy=y(value), r=2.5) for at, value in one.points]
    parts.append(element("text", _date(one.points[0][0]), class_="small", x=0, y=_HEIGHT - 3))
    parts.append(element("text", _date(one.points[-1][0]), class_="small", x=_SMALL, y=_HEIGHT - 3, text_anchor="end"))
    said = f"{one.label}: {ends}, {_date(one.points[0][0])} to {_date(one.points[-1][0])}"
    return _svg(f"{title}. {said}", _SMALL, _HEIGHT, parts)


def _svg(said: str, width: float, height: float, parts: list[Element]) -> Element:
    """A drawing, with what it says for those who do not see it."""
    return element(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img", aria_label=said
    )


def _day(at: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(at).timestamp()


def _date(at: str) -> str:
    """`22 Nov`."""
    return f"{int(at[8:10])} {_MONTHS[int(at[5:7]) - 1]}"

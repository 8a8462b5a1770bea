"""A report as one self-contained HTML page: no scripts or resources; light and dark, for paper and phones. Pure.

Elements are built as a tree, never by joining text. Every incoming text is shown exactly, as on a terminal, and the
output is ASCII, so that no encoding can change it. Plots are inline SVG in the page's colours; each has a description
in words, and is narrow enough that its text is readable on a phone.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from xml.etree.ElementTree import Element, tostring

from aishell.reporting.page import (
    Bar,
    Bars,
    Block,
    Figure,
    Items,
    KeyFacts,
    Page,
    Paragraph,
    ReportTable,
    Section,
    SmallPlot,
    Verbatim,
)
from aishell.reporting.units import exact, few, printable, visible

#: Nothing is loaded or run, whatever a name in the page contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
#: The most columns of a table whose rows are not laid out as blocks on a phone.
NARROW = 3
#: Longer words in a cell may be broken anywhere.
LONG = 32
#: Units of the drawing; a letter takes about 7.
WIDTH, LABEL, THICK, GAP = 420, 18, 13, 10
#: The space at the right for the value of the longest bar.
VALUE = 96
_SMALL, _TOP, _BOTTOM, _HEIGHT = 240, 42, 96, 114
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def html(page: Page) -> str:
    """Return the whole document, in ASCII."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{page.title}, {page.subtitle}"),
        _stylesheet(_css()),
    )
    body = element(
        "body",
        element("header", element("h1", page.title), element("p", page.subtitle)),
        element("main", *(_section(one) for one in page.sections)),
        element("footer", page.foot),
    )
    return _written(element("html", head, body, lang="en"))


@cache
def _css() -> str:
    return files("aishell.reporting").joinpath("page.css").read_text(encoding="utf-8")


def _section(section: Section) -> Element:
    return element(
        "section", element(f"h{section.level}", section.title), *(_block(one, section) for one in section.blocks)
    )


def _block(block: Block, section: Section) -> Element:
    match block:
        case Paragraph():
            return element("p", block.text, class_="good" if block.good else None)
        case KeyFacts():
            facts = (
                element(
                    "div", element("dt", one.name), element("dd", one.value), class_="alarm" if one.alarming else None
                )
                for one in block.facts
            )
            return element("dl", *facts)
        case Items():
            return _items(block)
        case ReportTable():
            return _table(block, section.title)
        case Figure():
            return _figure(block)
        case Verbatim():
            return element(
                "details", element("summary", block.title), element("pre", Shown(visible(block.text, lines=True)))
            )


def _items(block: Items) -> Element:
    lines = [
        element(
            "li",
            element("span", one.mark, class_="mark"),
            element("span", one.place, class_="place"),
            element("div", one.text),
            element("code", Shown(printable(one.command))) if one.command else None,
        )
        for one in block.items
    ]
    return element("ul", *lines, class_="needs")


def _figure(figure: Figure) -> Element:
    caption = element("figcaption", element("strong", figure.title), element("small", figure.about))
    table = _table(figure.table, figure.title)
    if isinstance(figure.plot, Bars):
        left = element("div", _legend(figure.plot), _bars(figure.plot, figure.title))
        return element("figure", caption, element("div", left, table, class_="beside"))
    drawings = [_line(one, figure.title) for one in figure.plot.lines]
    points = figure.points
    every = (
        None if points is None else element("details", element("summary", "Every figure"), _table(points, figure.title))
    )
    return element("figure", caption, element("div", *drawings, class_="small-plots"), table, every)


def _legend(plot: Bars) -> Element | None:
    """Return the legend: the upper, grey bar is before."""
    if len(plot.series) < 2:
        return None
    named = zip(("before", "after"), plot.series, strict=True)
    return element("p", *(element("span", element("i", class_=kind), name) for kind, name in named), class_="legend")


def _table(table: ReportTable, title: str) -> Element:
    """Return a table with explicit roles: laid out in blocks, it would not be a table for screen readers."""
    names = [
        element("th", one, scope="col", role="columnheader", class_=_kind(table, n))
        for n, one in enumerate(table.columns)
    ]
    rows = [element("tr", *(_cell(table, n, text) for n, text in enumerate(row)), role="row") for row in table.rows]
    if table.more:
        text = f"… and {table.more:,} more; --format json has them all"
        rows.append(element("tr", element("td", text, colspan=len(table.columns), role="cell"), role="row"))
    return element(
        "table",
        element("caption", title, class_="hidden"),
        element("thead", element("tr", *names, role="row"), role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        role="table",
        class_="wide" if len(table.columns) > NARROW else None,
    )


def _cell(table: ReportTable, number: int, text: str) -> Element:
    kind = "long" if max(map(len, text.split(" "))) > LONG else _kind(table, number)
    if number == 0:
        return element("th", text, scope="row", role="rowheader", class_=kind)
    return element("td", text, role="cell", class_=kind, data_name=table.columns[number])


def _kind(table: ReportTable, number: int) -> str | None:
    return "number" if number in table.numbers else None


def _bars(plot: Bars, title: str) -> Element:
    """Return horizontal bars, each below its label."""
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
    text = [f"{bar.label}: {', '.join(_words(bar, plot))}" for bar in plot.bars]
    return _svg(f"{title}. {few(text, 12)}", WIDTH, y, parts)


def _bar(bar: Bar, plot: Bars, y: float, scale: float) -> Element:
    parts = [element("title", f"{bar.label}: {', '.join(_words(bar, plot))}")]
    parts.append(element("text", _cut(bar.label, 56), x=0, y=y + LABEL - 5))
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


def _line(one: SmallPlot, title: str) -> Element:
    """Return a small plot over days, starting at 0."""
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
        element("text", _cut(one.label, 34), class_="name", x=0, y=14),
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
    text = f"{one.label}: {ends}, {_date(one.points[0][0])} to {_date(one.points[-1][0])}"
    return _svg(f"{title}. {text}", _SMALL, _HEIGHT, parts)


def _svg(text: str, width: float, height: float, parts: list[Element]) -> Element:
    """Return a drawing, with its description for screen readers."""
    return element(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img", aria_label=text
    )


def _day(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _date(at: str) -> str:
    """Return `22 Nov`."""
    return f"{int(at[8:10])} {_MONTHS[int(at[5:7]) - 1]}"


class Shown(str):
    """A text that is safe to show unchanged, including blanks and line ends."""


def _cut(text: str, most: int) -> Shown:
    """Return a text in its shown form, cut to `most` characters."""
    shown = exact(text)
    return Shown(shown if len(shown) <= most else f"{shown[: most - 1]}…")


def element(tag: str, *children: Element | str | None, **attributes: object) -> Element:
    """Return an element with its children. `class_` is `class`, `_` in names is `-`; None attributes are left out."""
    named = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Element(tag, {name: _safe(value) for name, value in named.items() if value is not None})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + _safe(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + _safe(child)
    return made


def _stylesheet(css: str) -> Element:
    """Return the style sheet. Raises ValueError for characters that would be escaped: browsers do not unescape it."""
    if set(css) & set("<>&") or not css.isascii():
        raise ValueError("a style sheet holds no mark-up, and ASCII alone")
    made = Element("style")
    made.text = css
    return made


def _written(root: Element) -> str:
    """Return the whole document.

    XML serialisation also escapes `<` in attributes. Void elements of HTML get no end tag; no text can contain one.
    """
    text = tostring(root, encoding="us-ascii", short_empty_elements=False).decode("ascii")
    return f"<!doctype html>\n{text.replace('></meta>', '>')}\n"


def _safe(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value) if isinstance(value, Shown) else exact(str(value))

"""A report as one HTML page that needs nothing else: no script, no resource, in light and dark, on paper and on a phone. Pure."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from xml.etree.ElementTree import Element

from aishell.reporting import plots
from aishell.reporting.markup import command_text, element, lines_text, stylesheet, written
from aishell.reporting.page import Bars, Block, Facts, Figure, Items, Page, Paragraph, Section, Table, Verbatim

#: Nothing is loaded and nothing runs, whatever a name in the page says.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
#: With more columns than that, a row is a block of its own on a phone.
NARROW = 3
#: Words of a cell that are longer may be broken anywhere.
LONG = 32


def html(page: Page) -> str:
    """The whole document, in ASCII."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{page.title}, {page.subtitle}"),
        stylesheet(_css()),
    )
    body = element(
        "body",
        element("header", element("h1", page.title), element("p", page.subtitle)),
        element("main", *(_section(one) for one in page.sections)),
        element("footer", page.foot),
    )
    return written(element("html", head, body, lang="en"))


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
        case Facts():
            facts = (
                element(
                    "div", element("dt", one.name), element("dd", one.value), class_="alarm" if one.alarming else None
                )
                for one in block.facts
            )
            return element("dl", *facts)
        case Items():
            return _items(block)
        case Table():
            return _table(block, section.title)
        case Figure():
            return _figure(block)
        case Verbatim():
            return element("details", element("summary", block.title), element("pre", lines_text(block.text)))


def _items(block: Items) -> Element:
    lines = [
        element(
            "li",
            element("span", one.mark, class_="mark"),
            element("span", one.place, class_="place"),
            element("div", one.text),
            element("code", command_text(one.command)) if one.command else None,
        )
        for one in block.items
    ]
    return element("ul", *lines, class_="needs")


def _figure(figure: Figure) -> Element:
    caption = element("figcaption", element("strong", figure.title), element("small", figure.about))
    drawings = plots.drawn(figure.plot, figure.title)
    table = _table(figure.table, figure.title)
    if isinstance(figure.plot, Bars):
        left = element("div", _legend(figure.plot), *drawings)
        return element("figure", caption, element("div", left, table, class_="beside"))
    points = figure.points
    every = (
        None if points is None else element("details", element("summary", "Every figure"), _table(points, figure.title))
    )
    return element("figure", caption, element("div", *drawings, class_="small-plots"), table, every)


def _legend(plot: Bars) -> Element | None:
    """Which bar is which: the upper, grey one is before."""
    if len(plot.series) < 2:
        return None
    named = zip(("before", "after"), plot.series, strict=True)
    return element("p", *(element("span", element("i", class_=kind), name) for kind, name in named), class_="legend")


def _table(table: Table, title: str) -> Element:
    """Roles are said, since a table that is laid out in blocks is none for a screen reader any more."""
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


def _cell(table: Table, number: int, text: str) -> Element:
    kind = "long" if max(map(len, text.split(" "))) > LONG else _kind(table, number)
    if number == 0:
        return element("th", text, scope="row", role="rowheader", class_=kind)
    return element("td", text, role="cell", class_=kind, data_name=table.columns[number])


def _kind(table: Table, number: int) -> str | None:
    return "number" if number in table.numbers else None

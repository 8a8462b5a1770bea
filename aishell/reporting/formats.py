"""The formats of a report: plain text and Markdown, with tables for plots; HTML and JSON. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from aishell.reporting import html
from aishell.reporting.page import Block, Figure, Items, KeyFacts, Page, Paragraph, ReportTable, Section, Verbatim
from aishell.reporting.units import cells, exact, literal, printable, visible

TEXT, MARKDOWN, JSON, HTML = "text", "markdown", "json", "html"
#: Format -> suffixes of its files.
ENDINGS = {TEXT: (".txt", ".text"), MARKDOWN: (".md", ".markdown"), JSON: (".json",), HTML: (".html", ".htm")}
#: The columns of sentences, and the most of a table; commands are never wrapped.
WIDTH, WIDEST = 100, 110
_GAP = "  "


def written(form: str, page: Page, document: Mapping[str, Any]) -> str:
    """Return a report in one of the formats, with a final newline. HTML and JSON are ASCII."""
    if form == JSON:
        return json.dumps(document, indent=2) + "\n"
    render = {TEXT: text, MARKDOWN: markdown, HTML: html.html}
    return render[form](page)


def meant(path: PurePath | None) -> str:
    """Return the format for a file's suffix; text by default."""
    end = path.suffix.lower() if path is not None else ""
    return next((form for form, endings in ENDINGS.items() if end in endings), TEXT)


def text(page: Page) -> str:
    """Return plain text, with a final newline."""
    lines = [exact(page.title), exact(page.subtitle)]
    for section in page.sections:
        title = exact(section.title)
        lines += ["", title if section.level > 2 else title.upper(), ""]
        for number, block in enumerate(section.blocks):
            lines += [*([""] if number else []), *_text(block)]
    return "\n".join([*lines, "", *_wrapped(page.foot)]) + "\n"


def _text(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield from _wrapped(block.text)
        case KeyFacts():
            width = max(len(exact(one.value)) for one in block.facts)
            yield from (f"{exact(one.value):>{width}}  {exact(one.name)}" for one in block.facts)
        case Items():
            for number, one in enumerate(block.items):
                if number:
                    yield ""
                yield f"! {exact(one.mark)}{f' ({exact(one.place)})' if one.place else ''}"
                yield from _wrapped(one.text, "  ")
                if one.command:
                    yield f"  → {printable(one.command)}"
        case ReportTable():
            yield from _aligned(block)
        case Figure():
            yield exact(block.title)
            yield from _wrapped(block.about)
            yield from _aligned(block.table)
        case Verbatim():
            yield f"{block.title}; not repeated here"


def _aligned(table: ReportTable) -> Iterator[str]:
    """Yield aligned columns, or a block per row if they do not fit. Empty columns are left out."""
    kept = [n for n, _ in enumerate(table.columns) if n == 0 or any(row[n] for row in table.rows)]
    rows = [[exact(row[n]) for n in kept] for row in table.rows]
    names = [table.columns[n] for n in kept]
    widths = [max(map(cells, column)) for column in zip(names, *rows, strict=True)]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= WIDEST:
        sides = [n in table.numbers for n in kept]
        yield from (_GAP.join(map(_padded, row, widths, sides)).rstrip() for row in (names, *rows))
    else:
        yield from (line for row in rows for line in _block(names, row))
    if table.more:
        yield f"… and {table.more:,} more"


def _block(names: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    yield row[0]
    for name, cell in zip(names[1:], row[1:], strict=True):
        if cell:
            yield from _fill(f"{name}: {cell}", _GAP)


def _padded(cell: str, width: int, number: bool) -> str:
    blanks = " " * (width - cells(cell))
    return f"{blanks}{cell}" if number else f"{cell}{blanks}"


def _wrapped(words: str, before: str = "") -> list[str]:
    return _fill(exact(words), before)


def _fill(shown: str, before: str = "") -> list[str]:
    """Wrap a text; one with a command to paste stays on one line."""
    if "`aishell " in shown:
        return [f"{before}{shown}"]
    wrapper = textwrap.TextWrapper(
        WIDTH, initial_indent=before, subsequent_indent=before, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.wrap(shown) or [""]


def markdown(page: Page) -> str:
    """Return CommonMark with tables, with a final newline."""
    lines = [f"# {_marked(page.title)}", "", _marked(page.subtitle)]
    for section in page.sections:
        lines += ["", f"{'#' * section.level} {_marked(section.title)}"]
        for block in section.blocks:
            lines += ["", *_markdown(block, section)]
    return "\n".join([*lines, "", "---", "", _marked(page.foot)]) + "\n"


def _markdown(block: Block, section: Section) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _marked(block.text)
        case KeyFacts():
            yield from (f"- **{_marked(one.value)}** {_marked(one.name)}" for one in block.facts)
        case Items():
            for one in block.items:
                yield f"- **{_marked(one.mark)}**{f' ({_marked(one.place)})' if one.place else ''}: {_marked(one.text)}"
                if one.command:
                    yield f"  {code(printable(one.command))}"
        case ReportTable():
            yield from _rows(block, _marked)
        case Figure():
            yield f"{'#' * (section.level + 1)} {_marked(block.title)}"
            yield from ("", _marked(block.about), "", *_rows(block.table, _marked))
        case Verbatim():
            yield from (f"> {visible(line)}".rstrip() for line in block.text.split("\n"))


def _rows(table: ReportTable, cell: Callable[[str], str]) -> Iterator[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    yield row([cell(name) for name in table.columns])
    yield row(["---:" if n in table.numbers else "---" for n, _ in enumerate(table.columns)])
    yield from (row([cell(one) for one in line]) for line in table.rows)
    if table.more:
        yield from ("", f"… and {table.more:,} more")


def code(shown: str) -> str:
    """Return a code span for any text: its fence is longer than any run of backticks in the text."""
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    blank = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def _marked(words: str) -> str:
    return literal(exact(words))

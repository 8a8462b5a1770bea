"""Figures and names for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Seconds.
DAY = 86_400
_UNUSUAL = re.compile(r"[^\x20-\x7e]")
_UNUSUAL_BUT_LINES = re.compile(r"[^\x20-\x7e\n]")
#: Printable, says Unicode, and nothing is seen of them: joiners, fillers, variation selectors, the blank of Braille.
_UNSEEN = frozenset(
    map(
        chr,
        (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10),
         *range(0xE0100, 0xE01F0)),
    )
)  # fmt: skip

#: The pieces of a definition's text: what is quoted, a comment, or code. What MariaDB runs in a comment is code.
_PIECE = re.compile(
    r"""(?P<quoted>`[^`]*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|--[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/|[^-`'"#/]+|.""",
    re.DOTALL,
)

#: What CommonMark and its tables read as mark-up within a line. A code of `printable` and a `_` inside of a word are none.
_MARKS = re.compile(r"[\\`*~|]|\](?=\()|<(?!U\+[0-9A-F]{4,6}>)|&(?=[#A-Za-z])|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
#: What begins a list, a heading, a quotation or the definition of a link.
_BEGINNINGS = re.compile(r"^(\s*)([-+>#=\[]|(\d{1,9})([.)])(?!\S))")

_COMMAND = re.compile(r"(?<!\. )aishell ")


def size(number: float | None) -> str:
    """Bytes: `12.3 MB`; `-` when not known."""
    if number is None:
        return "-"
    value, sign = abs(float(number)), "-" if number < 0 else ""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:
            return f"{sign}{value:.0f} {unit}" if unit == "bytes" else f"{sign}{value:.1f} {unit}"
        value /= 1024
    return f"{sign}{value:.1f} TB"


def gain(before: float, after: float) -> str:
    """What became of bytes: `12.3 MB reclaimed`, `72.0 kB more than before`."""
    return f"{size(before - after)} reclaimed" if after <= before else f"{size(after - before)} more than before"


def duration(seconds: float | None) -> str:
    """Seconds: `0.2 s`, `3 min 20 s`, `2 h 5 min`; `-` when not known."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float | None) -> str:
    """Seconds that are expected: `about 0.2 s`, `less than 0.1 s`; `unknown` where nothing tells them."""
    if seconds is None:
        return "unknown"
    return f"about {duration(seconds)}" if seconds >= 0.05 else "less than 0.1 s"


def qualified(row: Mapping[str, Any]) -> str:
    """`schema.table`, as far as a row names them."""
    return ".".join(str(row[part]) for part in ("schema", "table") if row.get(part))


def age(seconds: float) -> str:
    """`5 h 12 min`, `9 days`."""
    return duration(seconds) if seconds < 2 * DAY else f"{seconds / DAY:.0f} days"


def cells(text: str) -> int:
    """Columns that a text takes on a terminal; what cannot be seen was named before."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def few(texts: Sequence[str], most: int = 5, between: str = "; ") -> str:
    """The first of them, and how many more there are: `a; b and 3 more`."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more


def few_names(names: Sequence[str]) -> str:
    """The same of names: `a, b and 3 more`."""
    return few(names, between=", ")


def printable(text: object) -> str:
    """Text from a database or a person as it can stand on a terminal, where no two texts look the same.

    What would be obeyed (control characters), and what cannot be seen (zero widths, fillers, blanks that are no plain blank, an
    accent that Unicode holds equal to a letter with one) is named by its code: `<U+001B>`. Letters of two alphabets that are
    drawn alike are not told apart.
    """
    return _UNUSUAL.sub(_named, str(text).replace("<U+", "<U+003C>U+"))


def visible(text: str, *, lines: bool = False) -> str:
    """Text as it may leave for a terminal: `printable` of what was not made so, and no change to what was.

    `lines`: it may have several, so line ends stay.
    """
    return (_UNUSUAL_BUT_LINES if lines else _UNUSUAL).sub(_named, text)


def visible_json(text: str) -> str:
    """The same of a JSON document, which stays the same document: what would be named is escaped."""
    import json

    return _UNUSUAL_BUT_LINES.sub(lambda found: found[0] if _is_seen(found) else json.dumps(found[0])[1:-1], text)


def code(c: str) -> str:
    """How a character is named that cannot be shown: `<U+001B>`."""
    return f"<U+{ord(c):04X}>"


def _named(found: re.Match[str]) -> str:
    return found[0] if _is_seen(found) else code(found[0])


def _is_seen(found: re.Match[str]) -> bool:
    from unicodedata import normalize

    c, before = found[0], found.string[found.start() - 1 : found.start()]
    return c.isprintable() and c not in _UNSEEN and normalize("NFC", before + c) == before + c


def exact(name: str) -> str:
    """A name or a value inside of a statement: blanks in a row are named too, which a screen may fold."""
    return re.sub(" {2,}", lambda blanks: "<U+0020>" * len(blanks[0]), printable(name))


def literal(text: str) -> str:
    """Markdown: a text of one line that a reader of Markdown sees as it is, wherever it stands in a line of the document."""
    marked = _MARKS.sub(lambda found: "".join(f"\\{c}" for c in found[0]), text)
    return _BEGINNINGS.sub(lambda b: f"{b[1]}{b[3]}\\{b[4]}" if b[3] else f"{b[1]}\\{b[2]}", marked)


def definition(text: str) -> str:
    """The text of a definition, in the lines that it has: what is quoted is exact, the blanks that indent code stand.

    A tab of code is four blanks, and its line ends are plain ones: no name has one without quotes.
    """
    return "".join(
        exact(found["quoted"])
        if found["quoted"]
        else "\n".join(map(printable, found[0].replace("\r\n", "\n").replace("\t", "    ").split("\n")))
        for found in _PIECE.finditer(text)
    )


def holds_command(text: str) -> bool:
    """Whether there is a command of aishell in it, for a person to paste: such a line is never broken by us.

    What a summary says after a sentence, "aishell rebuilt 2 index(es).", is none.
    """
    return _COMMAND.search(text) is not None


def roughly(output: Mapping[str, Any]) -> str:
    """The word before bytes that statistics tell."""
    return "about " if output.get("bytes_method") == "statistics" else ""


def in_days(days: float) -> str:
    """A forecast: `16 days`; nobody plans for more than 100 years."""
    return f"{days:,.0f} days" if days < 36_525 else "more than 100 years"

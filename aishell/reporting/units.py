"""Figures and names for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Seconds.
DAY = 86_400
_UNUSUAL = re.compile(r"[^\x20-\x7e]")
_UNUSUAL_BUT_LINES = re.compile(r"[^\x20-\x7e\n]")
#: Printable by Unicode, but invisible: joiners, fillers, variation selectors, the Braille blank.
_UNSEEN = frozenset(
    map(
        chr,
        (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10),
         *range(0xE0100, 0xE01F0)),
    )
)  # fmt: skip

#: The pieces of a definition's text: quoted text, comments, code. Comments that MariaDB executes are code.
_PIECE = re.compile(
    r"""(?P<quoted>`[^`]*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|--[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/|[^-`'"#/]+|.""",
    re.DOTALL,
)

#: Mark-up within a line in CommonMark and its tables. A code of `printable`, and a `_` within a word, are not.
_MARKS = re.compile(r"[\\`*~|]|\](?=\()|<(?!U\+[0-9A-F]{4,6}>)|&(?=[#A-Za-z])|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
#: Text that would begin a list, heading, quotation or link definition.
_BEGINNINGS = re.compile(r"^(\s*)([-+>#=\[]|(\d{1,9})([.)])(?!\S))")

_COMMAND = re.compile(r"(?<!\. )aishell ")


def size(number: float | None) -> str:
    """Return bytes as text: `12.3 MB`; `-` if unknown."""
    if number is None:
        return "-"
    value, sign = abs(float(number)), "-" if number < 0 else ""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:
            return f"{sign}{value:.0f} {unit}" if unit == "bytes" else f"{sign}{value:.1f} {unit}"
        value /= 1024
    return f"{sign}{value:.1f} TB"


def gain(before: float, after: float) -> str:
    """Return the change in bytes: `12.3 MB reclaimed`, `72.0 kB more than before`."""
    return f"{size(before - after)} reclaimed" if after <= before else f"{size(after - before)} more than before"


def duration(seconds: float | None) -> str:
    """Return seconds as text: `0.2 s`, `3 min 20 s`, `2 h 5 min`; `-` if unknown."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float | None) -> str:
    """Return expected seconds as text: `about 0.2 s`, `less than 0.1 s`; `unknown` without an estimate."""
    if seconds is None:
        return "unknown"
    return f"about {duration(seconds)}" if seconds >= 0.05 else "less than 0.1 s"


def qualified(row: Mapping[str, Any]) -> str:
    """Return `schema.table`, as far as a row has them."""
    return ".".join(str(row[part]) for part in ("schema", "table") if row.get(part))


def age(seconds: float) -> str:
    """Return an age: `5 h 12 min`, `9 days`."""
    return duration(seconds) if seconds < 2 * DAY else f"{seconds / DAY:.0f} days"


def cells(text: str) -> int:
    """Return the columns that a text takes on a terminal; expects no invisible characters."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def few(texts: Sequence[str], most: int = 5, between: str = "; ") -> str:
    """Return the first texts, and the number of others: `a; b and 3 more`."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return between.join(texts[:most]) + more


def few_names(names: Sequence[str]) -> str:
    """Return the same for names: `a, b and 3 more`."""
    return few(names, between=", ")


def printable(text: object) -> str:
    """Return text from a database or person in a form that is safe and unambiguous on a terminal.

    Control characters and invisible ones (zero widths, fillers, blanks other than the plain one, an accent that Unicode
    considers equal to an accented letter) are replaced by their codes: `<U+001B>`. Similar letters of two alphabets are
    not told apart.
    """
    return _UNUSUAL.sub(_named, str(text).replace("<U+", "<U+003C>U+"))


def visible(text: str, *, lines: bool = False) -> str:
    """Return text that is safe for a terminal: `printable` of raw text; text that already is `printable` is unchanged.

    `lines`: line ends are kept.
    """
    return (_UNUSUAL_BUT_LINES if lines else _UNUSUAL).sub(_named, text)


def visible_json(text: str) -> str:
    """Return the same for a JSON document, with JSON escapes, so that its value does not change."""
    import json

    return _UNUSUAL_BUT_LINES.sub(lambda found: found[0] if _is_seen(found) else json.dumps(found[0])[1:-1], text)


def code(c: str) -> str:
    """Return the code of a character that cannot be shown: `<U+001B>`."""
    return f"<U+{ord(c):04X}>"


def _named(found: re.Match[str]) -> str:
    return found[0] if _is_seen(found) else code(found[0])


def _is_seen(found: re.Match[str]) -> bool:
    from unicodedata import normalize

    c, before = found[0], found.string[found.start() - 1 : found.start()]
    return c.isprintable() and c not in _UNSEEN and normalize("NFC", before + c) == before + c


def exact(name: str) -> str:
    """Return a name or value for a statement: runs of blanks are codes too, since a screen may collapse them."""
    return re.sub(" {2,}", lambda blanks: "<U+0020>" * len(blanks[0]), printable(name))


def literal(text: str) -> str:
    """Return a line of text escaped for Markdown, so that it is shown unchanged anywhere in a line of the document."""
    marked = _MARKS.sub(lambda found: "".join(f"\\{c}" for c in found[0]), text)
    return _BEGINNINGS.sub(lambda b: f"{b[1]}{b[3]}\\{b[4]}" if b[3] else f"{b[1]}\\{b[2]}", marked)


def definition(text: str) -> str:
    """Return a definition with its line breaks: quoted text is exact, and blanks that indent code are kept.

    A tab in code becomes four blanks, and line ends become newlines: no unquoted name contains them.
    """
    return "".join(
        exact(found["quoted"])
        if found["quoted"]
        else "\n".join(map(printable, found[0].replace("\r\n", "\n").replace("\t", "    ").split("\n")))
        for found in _PIECE.finditer(text)
    )


def holds_command(text: str) -> bool:
    """Whether a text has a command of aishell to paste: such a line is never wrapped.

    A sentence that begins "aishell rebuilt 2 index(es)." has none.
    """
    return _COMMAND.search(text) is not None


def roughly(output: Mapping[str, Any]) -> str:
    """Return the word before a number of bytes from statistics."""
    return "about " if output.get("bytes_method") == "statistics" else ""


def in_days(days: float) -> str:
    """Return a forecast: `16 days`; at most `more than 100 years`."""
    return f"{days:,.0f} days" if days < 36_525 else "more than 100 years"

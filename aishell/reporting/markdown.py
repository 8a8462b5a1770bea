"""Text inside of a Markdown document."""

from __future__ import annotations

import re

#: What CommonMark and its tables read as mark-up within a line. A code of `printable` and a `_` inside of a word are none.
_MARKS = re.compile(r"[\\`*~|]|\](?=\()|<(?!U\+[0-9A-F]{4,6}>)|&(?=[#A-Za-z])|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
#: What begins a list, a heading, a quotation or the definition of a link.
_BEGINNINGS = re.compile(r"^(\s*)([-+>#=\[]|(\d{1,9})([.)])(?!\S))")


def literal(text: str) -> str:
    """A text of one line that a reader of Markdown sees as it is, wherever it stands in a line of the document."""
    marked = _MARKS.sub(lambda found: "".join(f"\\{c}" for c in found[0]), text)
    return _BEGINNINGS.sub(lambda b: f"{b[1]}{b[3]}\\{b[4]}" if b[3] else f"{b[1]}\\{b[2]}", marked)

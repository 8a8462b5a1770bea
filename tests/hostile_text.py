"""Text that a terminal would obey, or that would be taken for something else than it is."""

from __future__ import annotations

import re
import unicodedata

#: Each with what no screen may show of it raw. Colours, a window's title, a link, an 8-bit sequence, hiding, turning round.
PIECES = (
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;mailto:e\x1b\\link",
    "\x9b8mhid",
    "\x1b[2J\x1b[H",
    "a\rb\x08\x0b\x0c",
    "t\tab\x7f",
    "\u202egnol\u2066x\u2069",
    "q\u200b\u200ez\u061c",
    "w\u2028v\u2029u\x85",
    "new\nline",
    "a  b",
    "[red]x[/red]",
    "[link=mailto:e]y[/link]",
    ":smile: co:x:bug:",
    "**b** `c` <b>h</b> [l](mailto:e) ~~s~~ &amp;",
    "<U+001B>",
)
#: All of them. Control characters first, since some messages are cut.
TEXT = "".join(PIECES)
_RAW = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: What rich writes for its styles and to move the cursor over its own lines.
_STYLES = re.compile(r"\x1b\[(?:[0-9;]*m|2K|1A|\?25[lh])|\r")


def raw(text: str, *, terminal: bool = False) -> list[str]:
    """What of a text a terminal would obey, hide or turn round, with what stands about it; line ends are fine.

    On a terminal the styles of rich are, too; none of the hostile ones is among them.
    """
    if terminal:
        text = text.replace("\x1b[31mred", "\x1b").replace("\x9b", "\x1b")
        text = _STYLES.sub("", text)
    return [
        ascii(text[max(0, at - 40) : at + 10])
        for at, c in enumerate(text)
        if c != "\n" and unicodedata.category(c) in _RAW
    ]


def obeyed(text: str) -> list[str]:
    """What of the mark-up was taken for mark-up: emoji for their codes."""
    return [c for c in ("\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}", "\N{BUG}", "\ufe0f") if c in text]

"""Lines of a terminal as an SVG, drawn by rich, and the text of such a drawing."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from scripts.pictures.scenes import COLUMNS

_SVG = "{http://www.w3.org/2000/svg}"
#: Light on dark, so that what is dim can be read as well: background, foreground, and black, red, green, yellow, blue, magenta,
#: cyan and white.
_THEME = TerminalTheme(
    (18, 21, 26),
    (228, 231, 235),
    [
        (90, 96, 105), (255, 123, 114), (126, 211, 135), (234, 193, 92), (121, 168, 255), (210, 153, 240), (110, 205, 220),
        (228, 231, 235),
    ],
)  # fmt: skip
#: The frame around what rich draws: it loads no font, and the reader's own is squeezed into rich's columns.
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix, .{unique_id}-title {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.{unique_id}-matrix {{ font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
.{unique_id}-title {{ font-size: 18px; }}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def drawn(lines: Sequence[Text], *, title: str, name: str) -> str:
    """An SVG of these lines with their colours; the same for the same lines."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(line, soft_wrap=True)
    return console.export_svg(title=title, theme=_THEME, code_format=_FRAME, unique_id=name)


def text_of(svg: str) -> list[str]:
    """The lines of a drawing, without the title."""
    lines: dict[float, str] = defaultdict(str)
    for piece in ElementTree.fromstring(svg).iter(f"{_SVG}text"):  # noqa: S314  it is ours
        if "clip-path" in piece.attrib:
            lines[float(piece.attrib["y"])] += " " + (piece.text or "").replace("\xa0", " ")
    return [lines[y] for y in sorted(lines)]

"""A rich console that obeys nothing of what it is given: no markup, no emoji codes, no links, no control characters.

Styles are given as arguments and as rich's `Text`, never inside of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, cast

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from aishell.cli.streams import passing
from aishell.reporting.units import holds_command, visible

#: What a line is indented by: blanks, and the mark of an item.
_INDENT = re.compile(r"^ *(?:[·!-] )?")


class Console(rich.console.Console):
    """A console on one of the standard streams, behind the door of which it adds its styles."""

    def __init__(self, stream: IO[str]) -> None:
        seen = stream.isatty()
        super().__init__(
            file=cast(IO[str], _Behind(stream)),
            highlight=False,
            soft_wrap=not seen,
            width=None if seen else 110,
        )

    def print(self, *objects: Any, hang: int | None = None, **how: Any) -> None:
        """Prose is wrapped at words, and goes on below where it began: by its own indent, or `hang`.

        A line with a command is left to the terminal, which copies it as the one line it is.
        """
        if how.get("soft_wrap") is None and any(holds_command(str(one)) for one in objects):
            how["soft_wrap"] = True
        soft = self.soft_wrap if how.get("soft_wrap") is None else how["soft_wrap"]
        if not soft and len(objects) == 1 and isinstance(objects[0], (str, Text)):
            text = self.render_str(objects[0]) if isinstance(objects[0], str) else objects[0]
            indent = len(text.plain) - len(_INDENT.sub("", text.plain)) if hang is None else hang
            objects = (self._hanging(text, indent),)
        super().print(*objects, **how)

    def print_first(self, lines: Sequence[str], most: int | None, more: str, **how: Any) -> None:
        """The first of some lines (None: all), and how many are left out, which is put into `more`."""
        for line in lines[:most]:
            self.print(line, **how)
        if most is not None and len(lines) > most:
            self.print(more.format(len(lines) - most), style="dim")

    def _hanging(self, text: Text, indent: int) -> Text:
        """A text whose further lines begin where the first does behind its indent; as it is where it is of one line."""
        if not 0 < indent < self.width // 2 or text.cell_len <= self.width or "\n" in text.plain:
            return text
        first, *more = text[indent:].wrap(self, self.width - indent)
        return Text("\n").join([text[:indent] + first, *(Text(" " * indent) + line for line in more)])

    def render_str(self, text: str, **how: Any) -> Text:
        """A string is one line without mark-up: a line end in it is shown."""
        return super().render_str(visible(text), **how | {"markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed in the end, whatever made it; rich's own movements of the cursor pass."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else _harmless(segment)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A spinner. Other output is not led through it: rich would obey the colours and links in that."""
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("dots", text=Text(visible(text)), style="status.spinner")
        with Live(spinner, console=self, transient=True, redirect_stdout=False, redirect_stderr=False):
            yield


class _Behind:
    """A stream as rich writes to it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self.write = stream, passing(stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _harmless(segment: Segment) -> Segment:
    style = segment.style
    if style is not None and style.link:
        style = style.update_link(None)
    return Segment(visible(segment.text, lines=True), style)

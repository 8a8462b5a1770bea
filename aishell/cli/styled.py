"""A rich console that does not interpret its input: no markup, emoji codes, links or control characters.

Styles are arguments or rich's `Text`, never part of a string.
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

#: The indentation of a line: blanks and an item's mark.
_INDENT = re.compile(r"^ *(?:[·!-] )?")


class Console(rich.console.Console):
    """A console on a standard stream; its styles are passed to the stream unchanged."""

    def __init__(self, stream: IO[str]) -> None:
        terminal = stream.isatty()
        super().__init__(
            file=cast(IO[str], _Unchanged(stream)),
            highlight=False,
            soft_wrap=not terminal,
            width=None if terminal else 110,
        )

    def print(self, *objects: Any, hang: int | None = None, **how: Any) -> None:
        """Wrap prose at words; further lines are indented like the first, or by `hang`.

        Lines with a command are left to the terminal to wrap, so that they can be copied whole.
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
        """Print the first `most` lines (None: all); `more` is formatted with the number left out."""
        for line in lines[:most]:
            self.print(line, **how)
        if most is not None and len(lines) > most:
            self.print(more.format(len(lines) - most), style="dim")

    def _hanging(self, text: Text, indent: int) -> Text:
        """The text with its further lines indented; unchanged if it fits one line."""
        if not 0 < indent < self.width // 2 or text.cell_len <= self.width or "\n" in text.plain:
            return text
        first, *more = text[indent:].wrap(self, self.width - indent)
        return Text("\n").join([text[:indent] + first, *(Text(" " * indent) + line for line in more)])

    def render_str(self, text: str, **how: Any) -> Text:
        """A string is one line without markup; line ends in it are made visible."""
        return super().render_str(visible(text), **how | {"markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make every segment harmless, except rich's own cursor movements."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else _harmless(segment)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show a spinner. Other output does not pass through it, as rich would interpret its colours and links."""
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("dots", text=Text(visible(text)), style="status.spinner")
        with Live(spinner, console=self, transient=True, redirect_stdout=False, redirect_stderr=False):
            yield


class _Unchanged:
    """A stream to which rich writes unchanged."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self.write = stream, passing(stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _harmless(segment: Segment) -> Segment:
    style = segment.style
    if style is not None and style.link:
        style = style.update_link(None)
    return Segment(visible(segment.text, lines=True), style)

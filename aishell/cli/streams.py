"""Standard output and standard error: the only way by which text leaves aishell for a terminal, a pipe or a file.

Control characters in text from outside (names, values, messages of servers, output of hooks) are made visible and never
interpreted. `say` prints a line, `aishell.cli.console` the rest; colours are added afterwards. Other writes to `sys.stdout`
and `sys.stderr` (a library's warning, a plug-in's `print`, click's help) go to a `Stream`, which has no colours.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, ClassVar

import click

from aishell.commands import command
from aishell.errors import AishellError, UsageError
from aishell.reporting.units import code, printable, visible

#: The error handler of encodings: a character that one lacks is written as its code, like an invisible one.
NAMED = "aishell.named"


def say(text: str = "", *, style: str | None = None, err: bool = False, end: str = "\n") -> None:
    """Print one line; line ends in `text` are made visible. `style`: a colour, used only on a terminal."""
    stream = sys.stderr if err else sys.stdout
    line = visible(text)
    coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    passing(stream)((click.style(line, fg=style) if style and coloured else line) + end)
    stream.flush()


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, in which names are already printable."""
    for line in text.split("\n"):
        say(line, err=err)


class Sentences:
    """Prints sentences of a language model as they arrive, on one line of standard output."""

    def __init__(self, heading: str, *, style: str | None = None) -> None:
        """`heading`: the line before them, with `{model}`."""
        self._heading, self._style, self._begun = heading, style, False

    @classmethod
    def on_terminal(cls, heading: str, *, style: str | None = None) -> Sentences | None:
        """None if standard output is not a terminal."""
        return cls(heading, style=style) if sys.stdout.isatty() else None

    def __call__(self, model: str, sentence: str) -> None:
        if not self._begun:
            say(self._heading.format(model=printable(model)), style=self._style)
        say((" " if self._begun else "") + printable(sentence), style=self._style, end="")
        self._begun = True

    def end(self) -> None:
        """End the line, if one was begun, and print an empty one."""
        if self._begun:
            say()
            say()


def typed(prompt: str) -> str | None:
    """Read a line, with readline's keys and history on a terminal. None at the end of input."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        sys.stdout.flush()
        try:
            return input(visible(prompt))
        except EOFError:
            say()
            return None
    if sys.stdin.isatty():
        say(prompt, err=True, end="")
    line = sys.stdin.readline()
    return line.removesuffix("\n") if line else None


def passing(stream: Any) -> Callable[[str], int]:
    """A function that writes text to a stream unchanged; control characters were made visible before."""
    stream = getattr(stream, "rich_proxied_file", stream)  # rich's proxy while its bars are shown
    write: Callable[[str], int] = getattr(stream, "pass_on", stream.write)
    return write


class Stream(TextIOWrapper):
    """A standard stream that makes control characters visible, so that no terminal interprets them."""

    def write(self, text: str) -> int:
        self.pass_on(visible(text, lines=True))
        return len(text)

    def pass_on(self, text: str) -> int:
        """Write text unchanged, styles included."""
        return super().write(text)


class Output(Stream):
    """Standard output. Raises AishellError on a write error."""

    #: Whether its reader has closed the pipe.
    closed_behind = False

    def pass_on(self, text: str) -> int:
        with self._reporting_errors():
            return super().pass_on(text)

    def flush(self) -> None:
        with self._reporting_errors():
            super().flush()

    @contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            Output.closed_behind = True
            raise
        except OSError as error:
            raise AishellError(
                f"could not write to standard output: {error.strerror}",
                hint=f"see `{command('runs', 'list')}` for a run that was started",
            ) from error


class Notices(Stream):
    """Standard error. Write errors are ignored, so that a run continues if its progress cannot be printed."""

    #: Called with each line instead, if standard error is a JSON log (`aishell.cli.logs`).
    by_line: ClassVar[Callable[[str], None] | None] = None
    _begun = ""

    def pass_on(self, text: str) -> int:
        if Notices.by_line is not None:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in filter(None, lines):
                Notices.by_line(line)
            return len(text)
        with suppress(OSError):
            super().pass_on(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def open_streams() -> None:
    """Make sure that the three standard streams are open and can encode any character.

    The next file opened, perhaps state.db, would otherwise get the number of a closed one. Raises UsageError if standard output
    is closed.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    codecs.register_error(NAMED, _named)
    for number, name, kind in ((1, "stdout", Output), (2, "stderr", Notices)):
        stream = open(number, "w", closefd=False) if number in closed else getattr(sys, name)  # noqa: SIM115
        by_line = stream.line_buffering or number == 2
        encoding = stream.encoding
        setattr(sys, name, kind(stream.detach(), encoding, NAMED, line_buffering=by_line))
    if 1 in closed:
        raise UsageError("standard output is closed", hint="redirect it to /dev/null if it is not needed")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _named(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  registered for encoding only
    return "".join(map(code, error.object[error.start : error.end])), error.end

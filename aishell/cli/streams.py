"""The one door: every character that reaches a terminal, a pipe or a file by standard output or standard error.

What came from outside (a name, a message of a server, a value, what a hook prints) is shown there and never obeyed. `say` prints
a line and `aishell.cli.console` the rest; colours are added here, behind the door. Whatever else writes to `sys.stdout` or
`sys.stderr` (a library's warning, a plug-in's `print`, click's help) writes to a `Stream`, which knows no colours at all.
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

#: The error handler of an encoding that lacks a character: it is named, as what cannot be seen is.
NAMED = "aishell.named"


def say(text: str = "", *, style: str | None = None, err: bool = False, end: str = "\n") -> None:
    """Print one line; a line end in `text` is shown, and begins no other. `style`: a colour, where there is a terminal for it."""
    stream = sys.stderr if err else sys.stdout
    line = visible(text)
    coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    passing(stream)((click.style(line, fg=style) if style and coloured else line) + end)
    stream.flush()


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, whose names were made printable where it was written."""
    for line in text.split("\n"):
        say(line, err=err)


class Sentences:
    """Sentences of a language model on one line of standard output, as they come; nothing where no terminal waits for them."""

    def __init__(self, what: str, *, style: str | None = None) -> None:
        """`what`: the line before them, with `{model}`."""
        self._what, self._style, self._begun = what, style, False

    @classmethod
    def where_seen(cls, what: str, *, style: str | None = None) -> Sentences | None:
        """None where standard output is no terminal."""
        return cls(what, style=style) if sys.stdout.isatty() else None

    def __call__(self, model: str, sentence: str) -> None:
        if not self._begun:
            say(self._what.format(model=printable(model)), style=self._style)
        say((" " if self._begun else "") + printable(sentence), style=self._style, end="")
        self._begun = True

    def end(self) -> None:
        """End the line, where there is one, with an empty one behind it."""
        if self._begun:
            say()
            say()


def typed(prompt: str) -> str | None:
    """The line that a person types, with the keys and history of readline; without a terminal the next line. None at its end."""
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
    """What writes to a stream text that was made visible, and then styled."""
    stream = getattr(stream, "rich_proxied_file", stream)  # rich puts one before it while its bars are there
    write: Callable[[str], int] = getattr(stream, "pass_on", stream.write)
    return write


class Stream(TextIOWrapper):
    """A standard stream on which nothing that is written is obeyed by a terminal."""

    def write(self, text: str) -> int:
        self.pass_on(visible(text, lines=True))
        return len(text)

    def pass_on(self, text: str) -> int:
        """Write what was made visible, styles included."""
        return super().write(text)


class Output(Stream):
    """Standard output: what was asked for. Raises AishellError when it takes no more."""

    #: Whether whoever read it has gone.
    closed_behind = False

    def pass_on(self, text: str) -> int:
        with self._telling():
            return super().pass_on(text)

    def flush(self) -> None:
        with self._telling():
            super().flush()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            Output.closed_behind = True
            raise
        except OSError as error:
            raise AishellError(
                f"could not write to standard output: {error.strerror}",
                hint=f"a run that began is in `{command('runs', 'list')}`",
            ) from error


class Notices(Stream):
    """Standard error: a nightly run goes on where its progress cannot be printed."""

    #: Who is given each line instead, where standard error is a log of JSON (`aishell.cli.logs`).
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
    """Have the three standard streams open, and able to take any character.

    The number of a closed one would go to the next file that is opened, which may be state.db. Raises UsageError where it is
    standard output.
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
        raise UsageError("standard output is closed", hint="send it to /dev/null if nobody reads it")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _named(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  it is for writing
    return "".join(map(code, error.object[error.start : error.end])), error.end

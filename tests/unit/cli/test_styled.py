"""What the console and the streams of the door let through."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from rich.markdown import Markdown
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from aishell.cli.streams import Stream, passing, say
from aishell.cli.styled import Console
from tests.hostile_text import PIECES, TEXT, obeyed, raw


class Screen(Stream):
    """A stream that is a terminal, as far as anybody asks."""

    def __init__(self, *, terminal: bool = True) -> None:
        self.bytes, self.terminal = BytesIO(), terminal
        super().__init__(self.bytes, "utf-8", newline="\n")

    def isatty(self) -> bool:
        return self.terminal

    def shown(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return Screen()


def table(text: str) -> Table:
    made = Table(text, title=text, caption=text)
    made.add_row(text)
    made.add_row(Text(text))
    return made


WAYS = {
    "a string": lambda out, text: out.print(text, style="bold"),
    "a text": lambda out, text: out.print(Text(text, style="red")),
    "a table": lambda out, text: out.print(table(text)),
    "a rule": lambda out, text: out.rule(text),
    "Markdown": lambda out, text: out.print(Markdown(text)),
    "a link": lambda out, text: out.print(
        Text("x", style=f"link {text}") if text.isalnum() else Markdown(f"[x]({text})")
    ),
    "a spinner": lambda out, text: _spin(out, text),
    "bars": lambda out, text: _bars(out, text),
}


def _spin(out: Console, text: str) -> None:
    with out.working(text):
        pass


def _bars(out: Console, text: str) -> None:
    with Progress(TextColumn("{task.description}", markup=False), console=out, auto_refresh=False) as bars:
        bars.add_task(text)
        bars.refresh()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_obeyed_whatever_prints_it(screen: Screen, way: str) -> None:
    out = Console(screen)
    assert out.is_terminal
    for text in (*PIECES, TEXT, "mailto"):
        WAYS[way](out, text)
    shown = screen.shown().replace("\r\n", "\n")
    assert raw(shown, terminal=True) == []
    assert "\x1b]8" not in shown
    assert obeyed(shown) == []


def test_a_string_begins_no_line_of_its_own(screen: Screen) -> None:
    Console(screen).print("one\ntwo")
    assert screen.shown() == "one<U+000A>two\n"


def test_mark_up_is_text(screen: Screen) -> None:
    Console(screen).print("[red]x[/red] :bug: co:x:y")
    assert screen.shown() == "[red]x[/red] :bug: co:x:y\n"


def test_styles_are_added_behind_the_door(screen: Screen) -> None:
    Console(screen).print("red", style="red")
    assert screen.shown() == "\x1b[31mred\x1b[0m\n"


def test_what_others_write_has_no_styles(screen: Screen) -> None:
    screen.write("\x1b[31mred\x1b[0m\nnext")
    assert screen.shown() == "<U+001B>[31mred<U+001B>[0m\nnext"


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_a_line_is_coloured_where_a_person_wants_it(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    screen.terminal = terminal
    monkeypatch.setattr("sys.stderr", screen)
    say("a\nb\x1b", style="red", err=True)
    assert screen.shown() == ("\x1b[31ma<U+000A>b<U+001B>\x1b[0m\n" if coloured else "a<U+000A>b<U+001B>\n")


def test_a_stream_that_is_not_the_doors_takes_what_is_passed_on(capsys: Any) -> None:
    import sys

    passing(sys.stdout)("text\n")
    assert capsys.readouterr().out == "text\n"

"""The one door of every question: a line that was typed after it was shown, on a real terminal."""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.cli.asking import QUIET, meant
from tests.commands.terminal import Terminal

PACKAGE = Path(__file__).parents[2] / "aishell"
LETTERS = {"a": "approve", "e": "edit", "s": "skip", "r": "reject", "d": "details", "q": "quit"}
ANSWERS = {**LETTERS, **{word: word for word in LETTERS.values()}, "all": "all"}


@contextmanager
def asking(tmp_path: Path, code: str, think: float = 0.3) -> Iterator[Terminal]:
    """A process that says `ready`, thinks for a moment, asks, and prints what it was answered."""
    asks = f"time.sleep({think}); print('<', {code}, '>')"
    script = f"import time; from aishell.cli.asking import ask, confirm; print('ready'); {asks}"
    with Terminal([sys.executable, "-c", script], env=dict(os.environ), cwd=str(tmp_path)) as window:
        window.until("ready")
        yield window


def words() -> list[str]:
    """Every letter, every prefix of every answer, and each of them in three cases, with blanks and with more behind."""
    parts = {word[:n] for word in (*ANSWERS, "later", "yes") for n in range(len(word) + 1)} | set(
        map(chr, range(32, 127))
    )
    cases = (
        str,
        str.upper,
        str.title,
        "{} ".format,
        " {}".format,
        "\t{}\t".format,
        "{}x".format,
        "{0}{0}".format,
        "\u00a0{}".format,
    )
    return sorted({case(part) for part, case in itertools.product(parts, cases)})


def test_a_word_means_an_answer_or_nothing() -> None:
    """Blanks around it do not matter; everything else does."""
    for typed in words():
        assert meant(typed, LETTERS, ("all",)) == ANSWERS.get(typed.strip(" \t")), typed
    assert len(words()) > 500


@given(st.text() | st.from_regex(r"\s*(a|all|approve|l|later|q|quit)\s*", fullmatch=True))
def test_any_text_means_an_answer_or_nothing(typed: str) -> None:
    assert meant(typed, LETTERS, ("all",)) == ANSWERS.get(typed.strip(" \t"))
    assert meant(typed, LETTERS) == {name: word for name, word in ANSWERS.items() if name != "all"}.get(
        typed.strip(" \t")
    )


@pytest.mark.parametrize(("typed", "answer"), [("y", True), ("yes", True), ("n", False), ("no", False), ("", False)])
def test_a_confirmation_is_typed_after_it_was_asked_for(tmp_path: Path, typed: str, answer: bool) -> None:
    with asking(tmp_path, "confirm('really?')") as window:
        window.write("y\nyes\ny\n")
        window.until("really? [y/N]: ")
        for other in ("ye", "Y", "yes please", "1") if typed == "y" else ():
            window.type(other)
            window.until("really? [y/N]: ")
        window.type(typed)
        window.until(f"< {answer} >")
        assert window.end() == 0


@pytest.mark.parametrize("after", [0.0, 0.5, 0.9])
def test_whenever_it_was_typed_ahead_it_is_thrown_away(tmp_path: Path, after: float) -> None:
    """A line, and the beginning of one."""
    with asking(tmp_path, "ask('name: ')", think=1.0) as window:
        window.read_for(after)
        window.write("early\nea")
        window.until("name: ")
        window.type("late")
        window.until("< late >")
        assert window.end() == 0


def test_a_question_waits_until_the_keyboard_is_quiet(tmp_path: Path) -> None:
    with asking(tmp_path, "ask('name: ', 20)") as window:
        began = time.monotonic()
        while time.monotonic() < began + 2:
            window.write("early\n")
            window.read_for(QUIET / 4)
            assert "name: " not in window.screen
        window.until("name: ")
        window.type("late")
        window.until("< late >")
        assert window.end() == 0


@pytest.mark.parametrize("keys", ["", "\x04"], ids=["silence", "end of input"])
def test_nobody_answers(tmp_path: Path, keys: str) -> None:
    with asking(tmp_path, "ask('name: ', 1)") as window:
        window.until("name: ")
        window.write(keys)
        window.until("< None >")
        assert window.end() == 0


def test_whatever_asks_asks_here() -> None:
    doors = re.compile(
        r"click\.(prompt|confirm|getchar|pause|edit)\b|\binput\(|stdin\.(read|buffer)|(Prompt|Confirm)\.ask"
    )
    found = [
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for match in doors.finditer(path.read_text(encoding="utf-8"))
    ]
    # The lines of a conversation, which answer no question and approve nothing.
    assert found == ["cli/streams.py: input(", "cli/streams.py: stdin.read"]

"""What is approved is shown exactly, whatever the name: in the preview, at the prompt, and where it is answered elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tests.commands.test_consent import QUESTION, Night
from tests.fix_aishell import Aishell

#: Names that a screen could show as one another, as something else, or not at all; and how they are shown.
NAMES = {
    "a b": "a b",
    "a  b": "a<U+0020><U+0020>b",
    "a\nb": "a<U+000A>b",
    "a\\nb": "a\\nb",
    "a\tb": "a<U+0009>b",
    " a": " a",
    "<U+000A>": "<U+003C>U+000A>",
    "é": "é",
    "e\u0301": "e<U+0301>",
    "q\u200bz": "q<U+200B>z",
    "q\u00a0z": "q<U+00A0>z",
    "\u202elog": "<U+202E>log",
    "\x1b[31mred": "<U+001B>[31mred",
    ":bug:": ":bug:",
    "[red]x[/red]": "[red]x[/red]",
    'say "hi"': 'say ""hi""',
    # As long as a line of the terminal: where a screen folds a line, blanks get lost.
    f"{'x' * 60}  {'y' * 40}": f"{'x' * 60}<U+0020><U+0020>{'y' * 40}",
}


def make(path: Path, names: Iterable[str] = NAMES) -> list[str]:
    """A log table of each name; the arguments of a run on them."""
    with closing(sqlite3.connect(path)) as db:
        for name in names:
            quoted = name.replace('"', '""')
            db.execute(f'CREATE TABLE "{quoted}" (id INTEGER PRIMARY KEY, at TEXT)')
            db.execute(f"INSERT INTO \"{quoted}\" (at) VALUES ('2020-01-01 00:00:00'), ('2099-01-01 00:00:00')")
        db.commit()
    tables = [word for name in names for word in ("--table", name)]
    return ["run", "log-cleanup", "--url", f"sqlite:///{path}", "--retention-days", "30", *tables]


def deletes(shown: str) -> int:
    return sum(f'DELETE FROM "main"."{name}"' in shown for name in NAMES.values())


def test_the_names_are_shown_apart() -> None:
    assert len(set(NAMES.values())) == len(NAMES)


def test_the_preview_shows_each_name_exactly(aishell: Aishell, tmp_path: Path) -> None:
    assert deletes(aishell(*make(tmp_path / "logs.db"), "--dry-run", "--verbose").expect(0).out) == len(NAMES)


def test_a_statement_on_one_line_shows_each_name_exactly(aishell: Aishell, tmp_path: Path) -> None:
    """Without `--verbose`; so few tables that the steps are not summarised."""
    names = list(NAMES)
    parts = (names[n : n + 6] for n in range(0, len(names), 6))
    runs = (aishell(*make(tmp_path / f"{n}.db", part), "--dry-run") for n, part in enumerate(parts))
    assert deletes("\n".join(run.expect(0).out for run in runs)) == len(NAMES)


def test_the_prompt_shows_each_name_exactly(tmp_path: Path) -> None:
    """Its `all` covers every table, so that one screen shows them."""
    night = Night(tmp_path)
    with night.command(*make(tmp_path / "logs.db")) as window:
        shown = window.until(QUESTION).split("approval:")[-1]
        assert deletes(shown) == len(NAMES)
        window.type("q")
        assert window.end() == 3


def test_what_is_approved_elsewhere_is_shown_exactly(aishell: Aishell, tmp_path: Path) -> None:
    aishell(*make(tmp_path / "logs.db"), "--non-interactive").expect(3)
    waiting = [row[0] for row in aishell.rows("SELECT id FROM approvals WHERE status = 'pending'")]
    assert len(waiting) == len(NAMES)
    assert deletes("\n".join(aishell("approvals", "show", name).expect(0).out for name in waiting)) == len(NAMES)

"""Nobody approves what they did not mean to: a run with three deletions, a real terminal, and a person who types anything."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.commands.terminal import Terminal
from tests.seed import SEED

QUESTION = "decide later\r\n? "
#: What stands above each question.
ASKED = "approval: delete_log"
TABLES = ("log_a", "log_b", "log_c")
OLD = 40
MENU = ("approve", "edit", "skip", "reject", "details", "quit")
LETTERS = "aesrdq"


class Night:
    """A site whose logs are production, and a run on them at a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "shop.db"
        (folder / "config").mkdir()
        (folder / "config" / "targets.yaml").write_text(f"targets:\n  shop:\n    url: sqlite:///{self.path}\n")
        with closing(sqlite3.connect(self.path)) as db:
            for table in TABLES:
                db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, at TEXT, note TEXT)")
                db.execute(f"CREATE INDEX {table}_at ON {table} (at)")
                days = [(f"2020-01-{1 + n % 28:02} 10:00:00", "old") for n in range(OLD)]
                db.executemany(f"INSERT INTO {table} (at, note) VALUES (?, ?)", [*days, ("2099-01-01 00:00:00", "new")])
            db.commit()

    def policy(self, text: str) -> None:
        (self.folder / "config" / "policy.yaml").write_text(text)

    @contextmanager
    def run(self, *more: str) -> Iterator[Terminal]:
        tables = [word for table in TABLES for word in ("--table", table)]
        with self.command("run", "log-cleanup", "--target", "shop", "--retention-days", "30", *tables, *more) as window:
            yield window

    @contextmanager
    def command(self, *words: str) -> Iterator[Terminal]:
        command = [sys.executable, "-m", "aishell", "--site", str(self.folder), *words]
        env = {**os.environ, "HOME": str(self.folder), "NO_COLOR": "1"}
        with Terminal(command, env=env, cwd=str(self.folder)) as window:
            yield window

    def left(self) -> dict[str, int]:
        """How many old rows each table has still."""
        with closing(sqlite3.connect(self.path)) as db:
            return {
                table: db.execute(f"SELECT count(*) FROM {table} WHERE note = 'old'").fetchone()[0] for table in TABLES
            }

    def events(self, kind: str) -> list[dict[str, object]]:
        """What the audit log holds of a kind."""
        with closing(sqlite3.connect(self.folder / "state.db")) as db:
            return [
                json.loads(row[0]) for row in db.execute("SELECT data FROM events WHERE type = ? ORDER BY id", [kind])
            ]

    def untouched(self) -> bool:
        """Whether nothing was approved, by any word of the audit log, and no row is gone."""
        return self.events("approval_decided") == [] and self.left() == dict.fromkeys(TABLES, OLD)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def other_words() -> list[str]:
    """What is no answer: every letter, every prefix and every neighbour of a word that is one, in both cases, with blanks."""
    words = ("later", "yes", "y", "all of this tool", "approve all", "ok", "quit and decide later", *MENU, "all")
    parts = {word[:n] for word in words for n in range(1, len(word) + 1)} | set("abcdefghijklmnopqrstuvwxyz")
    made = {
        form
        for part in parts
        for form in (part, part.upper(), part.capitalize(), f"{part}x", f"{part} {part}", f"[{part}]")
    }
    answers = {*MENU, *LETTERS, "all"}
    return sorted(word for word in {"", " ", "\t", "1", "?", "ä"} | made if word.strip() not in answers)


def refuse_all(window: Terminal, words: list[str]) -> None:
    """Type each word, and see that it is asked again."""
    window.until(QUESTION)
    for word in words:
        window.type(word)
        assert "one of the letters in brackets" in window.until(QUESTION), word


def test_only_a_listed_letter_or_its_whole_word_is_an_answer(night: Night) -> None:
    drawn = random.Random(SEED).sample(other_words(), 10)
    with night.run() as window:
        refuse_all(window, ["later", "l", "x", "al", "A", "", *drawn])
        window.type("q")
        assert window.end() == 3
    assert night.untouched()


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(8))
def test_every_other_word_is_asked_again(night: Night, part: int) -> None:
    with night.run() as window:
        refuse_all(window, other_words()[part::8])
        window.type("q")
        assert window.end() == 3
    assert night.untouched()


@pytest.mark.parametrize("answer", ["a", "approve", "  approve\t"])
def test_an_approval_is_for_one_step(night: Night, answer: str) -> None:
    with night.run() as window:
        window.until(QUESTION)
        window.type(answer)
        window.until(QUESTION)
        window.type("quit")
        assert window.end() == 3
    assert sorted(night.left().values()) == [0, OLD, OLD]
    assert [event["status"] for event in night.events("approval_decided")] == ["approved"]


def test_all_shows_what_else_it_covers_and_approves_exactly_that(night: Night) -> None:
    with night.run() as window:
        shown = window.until(QUESTION).split(ASKED)[-1]
        assert "`all` approves this and 2 more of delete_old_records_by_date" in shown
        for table in TABLES:
            assert f'DELETE FROM "main"."{table}"' in shown
        assert shown.count("DELETE FROM") == 3
        window.type("all")
        assert window.end() == 0
        assert window.screen.count(ASKED) == 1
    assert night.left() == dict.fromkeys(TABLES, 0)
    by = [str(event["by"]) for event in night.events("approval_decided")]
    assert [name.partition(" (")[2] for name in by] == [
        "",
        "all delete_old_records_by_date, at delete_log_a)",
        "all delete_old_records_by_date, at delete_log_a)",
    ]


def test_all_is_not_offered_for_the_last_of_a_tool(night: Night) -> None:
    with night.run() as window:
        for answer in ("skip", "s"):
            assert "`all` approves" in window.until(QUESTION)
            window.type(answer)
        assert "`all` approves" not in window.until(QUESTION)
        window.type("all")
        assert "one of the letters in brackets" in window.until(QUESTION)
        window.type("s")
        assert window.end() == 0
    assert night.untouched()


def test_all_is_not_offered_for_reviews(night: Night) -> None:
    night.policy("rules:\n  - {tool: 'delete_*', decision: review}\n")
    with night.run() as window:
        assert "`all` approves" not in window.until(QUESTION)
        window.type("all")
        assert "one of the letters in brackets" in window.until(QUESTION)
        window.type("a")
        window.until("to approve: ")
        window.type("shop ")
        window.until(QUESTION)  # the next step's own
        window.type("q")
        assert window.end() == 3
    assert sorted(night.left().values()) == [0, OLD, OLD]


#: What is on the screen when something is typed, from the first moment on; None: before anything is.
MOMENTS = (None, "plan sha256", "needs approval because")
MORE_MOMENTS = ("relation(s)", "run ", "approval:", "lock ")
AHEAD = "a\na\na\nall\napprove\ny\nshop\n"


@pytest.mark.parametrize("moment", [*MOMENTS, *(pytest.param(m, marks=pytest.mark.thorough) for m in MORE_MOMENTS)])
def test_what_was_typed_before_a_question_answers_nothing(night: Night, moment: str | None) -> None:
    with night.run() as window:
        if moment is not None:
            window.until(moment)
        window.write(AHEAD)
        window.until(QUESTION)
        time.sleep(0.3)
        assert window.screen.count(ASKED) == 1
        window.type("q")
        assert window.end() == 3
    assert night.untouched()


def test_what_was_typed_while_an_answer_is_carried_out_does_not_answer_the_next_question(night: Night) -> None:
    with night.run() as window:
        window.until(QUESTION)
        window.write("a\n" + AHEAD)
        window.until(QUESTION)
        time.sleep(0.3)
        assert window.screen.count(ASKED) == 2
        window.type("q")
        assert window.end() == 3
    assert sorted(night.left().values()) == [0, OLD, OLD]


def test_keys_that_keep_coming_answer_nothing(night: Night) -> None:
    """As of a long paste: a question waits until the keyboard is quiet."""
    with night.run() as window:
        for _ in range(150):
            window.write("a\n")
            window.read_for(0.02)
        window.until(QUESTION)
        window.type("q")
        assert window.end() == 3
    assert night.untouched()


def test_the_beginning_of_a_line_that_was_typed_ahead_is_thrown_away_too(night: Night) -> None:
    with night.run() as window:
        window.until("relation(s)")
        window.write("a")
        window.until(QUESTION)
        window.type("")  # without that, this would end the line `a`
        assert "one of the letters in brackets" in window.until(QUESTION)
        window.type("q")
        assert window.end() == 3
    assert night.untouched()


def test_a_review_and_a_reason_do_not_take_what_was_typed_ahead_either(night: Night) -> None:
    night.policy("rules:\n  - {tool: 'delete_*', decision: review}\n")
    with night.run() as window:
        window.until(QUESTION)
        window.write("a\nshop\n")
        window.until("to approve: ")
        time.sleep(0.3)
        window.type("")
        assert "that is not the target's name" in window.until(QUESTION)
        window.write("r\nnever mind\n")
        window.until("reason: ")
        window.type("after the release")
        window.until(QUESTION)
        window.type("q")
        assert window.end() == 5  # a person rejected a step
    (said,) = night.events("approval_decided")
    assert (said["status"], said["reason"]) == ("rejected", "after the release")
    assert night.left() == dict.fromkeys(TABLES, OLD)


@pytest.mark.parametrize("answer", ["q", "quit"])
def test_quit_ends_the_asking(night: Night, answer: str) -> None:
    with night.run() as window:
        window.until(QUESTION)
        window.type(answer)
        assert window.end() == 3
        assert window.screen.count(ASKED) == 1
        assert "runs resume" in window.screen
    assert night.untouched()
    assert len(night.events("step_started")) == 1  # the count before the first question; not the report either
    with night.command("runs", "list", "--output", "json") as window:
        window.end()
        assert '"waiting_approval"' in window.screen


def test_the_end_of_the_input_and_silence_decide_later(night: Night) -> None:
    night.policy("prompt_seconds: 1\n")
    with night.run() as window:
        window.until(QUESTION)
        assert window.end() == 3
        assert window.screen.count(ASKED) == 1
    with night.run() as window:
        window.until(QUESTION)
        window.write("\x04")
        assert window.end() == 3
        assert window.screen.count(ASKED) == 1
    assert night.untouched()


def test_an_answer_elsewhere_is_not_taken_from_what_was_typed_ahead(night: Night) -> None:
    """`aishell approvals approve` asks for the target's name by the same door."""
    night.policy("rules:\n  - {tool: 'delete_*', decision: review}\n")
    with night.run("--non-interactive") as window:
        assert window.end() == 3
    with closing(sqlite3.connect(night.folder / "state.db")) as db:
        ((waiting,), *_) = db.execute("SELECT id FROM approvals WHERE status = 'pending'")
    with night.command("approvals", "approve", waiting) as window:
        window.write("shop\n")
        window.until("the target's name (shop): ")
        window.type("nope")
        assert window.end() == 5
    assert night.untouched()


def test_the_words_are_many() -> None:
    words = other_words()
    assert len(words) > 300
    assert {"later", "l", "ap", "APPROVE", "Q", "a a", "ALL"} <= set(words)
    assert not {*MENU, *LETTERS, "all"} & set(words)
    assert all(len(list(same)) == 1 for _, same in itertools.groupby(words))


def test_the_details_are_no_values_of_a_program(tmp_path: Path) -> None:
    """A parameter that was left out is not there, a list is one of words, and what is not known is called so."""
    night = Night(tmp_path)
    with closing(sqlite3.connect(tmp_path / "logs.db")) as db:
        db.execute("CREATE TABLE app_log (id INTEGER PRIMARY KEY, at TEXT)")
        db.execute("INSERT INTO app_log (at) VALUES ('2020-01-01 00:00:00'), ('2099-01-01 00:00:00')")
        db.commit()
    words = ("run", "log-cleanup", "--url", f"sqlite:///{tmp_path / 'logs.db'}", "--table", "app_log")
    with night.command(*words, "--retention-days", "3") as window:
        window.until(QUESTION)
        window.type("d")
        shown = window.until(QUESTION)
        window.type("q")
        assert window.end() == 3
    told = dict(re.findall(r"parameter (\w+) = (.*?)\r?\n", shown))
    assert told["key"] == '["id"]'
    assert told["table"] == "app_log"
    assert not [value for value in told.values() if value in ("None", "[]", "{}") or "'" in value]
    assert " None" not in shown

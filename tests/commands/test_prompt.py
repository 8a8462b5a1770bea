"""Asking a person, on a real terminal: every answer of safety.md, and what becomes of the run."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.commands.terminal import Terminal
from tests.fix_tools import registry

QUESTION = "decide later"
(SQLITE,) = (tool for tool in registry().variants("delete_old_records") if tool.engine == "sqlite")
Opens = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database of which most is free pages; its URL is production."""
    path = tmp_path / "shop.db"
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE log (id INTEGER PRIMARY KEY, message TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO log SELECT i, hex(randomblob(60)) FROM n;
        DELETE FROM log WHERE id > 1000;
        """
    )
    db.close()
    return path


@pytest.fixture
def terminal(tmp_path: Path, shop: Path) -> Opens:
    @contextmanager
    def opened(*arguments: str) -> Iterator[Terminal]:
        words = arguments or ("run", "maintenance", "--type", "full", "--url", f"sqlite:///{shop}")
        command = [sys.executable, "-m", "aishell", "--state", str(tmp_path / "state.db"), *words]
        env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
        with Terminal(command, env=env, cwd=str(tmp_path)) as window:
            yield window

    return opened


def free_pages(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA freelist_count").fetchone()[0])
    finally:
        db.close()


def test_approve_runs_the_step(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        shown = window.until(QUESTION)
        assert 'VACUUM "main"' in shown
        assert "EXCLUSIVE" in shown
        window.type("a")
        assert window.end() == 0
    assert free_pages(shop) == 0


def test_details_show_the_evidence_and_ask_again(terminal: Opens) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("d")
        shown = window.until(QUESTION)
        assert "reclaimable_bytes" in shown
        assert "sha256:" in shown
        window.type("s")
        assert window.end() == 0


def test_skip_leaves_the_file_and_goes_on(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("s")
        assert window.end() == 0
        assert "skipped by" in window.screen
    assert free_pages(shop) > 0


def test_reject_exits_5_with_the_reason(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("r")
        window.until("reason: ")
        window.type("not before the release")
        assert window.end() == 5
        assert "not before the release" in window.screen
    assert free_pages(shop) > 0


def test_edit_is_checked_and_asked_again(terminal: Opens, shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as db:
        db.execute("ALTER TABLE log ADD COLUMN created_at TEXT DEFAULT '2020-01-01 00:00:00'")
    words = ("run", "log-cleanup", "--table", "log", "--retention-days", "30", "--url", f"sqlite:///{shop}")
    with terminal(*words) as window:
        window.until(QUESTION)
        window.type("e")
        for name, parameter in SQLITE.parameters.items():
            if parameter.editable:
                window.until(f"{name} [")
                window.type("10" if name == "max_rows" else "")
        assert "table [" not in window.screen
        window.until(QUESTION)
        window.type("a")
        assert window.end() == 0
    with closing(sqlite3.connect(shop)) as db:
        assert db.execute("SELECT count(*) FROM log").fetchone() == (990,)


def test_where_all_says_what_it_is_done_to_nothing_is_edited(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("e")
        assert "none of its parameters can be edited" in window.until(QUESTION)
        window.type("q")
        assert window.end() == 3
    assert free_pages(shop) > 0


def test_a_file_that_was_put_in_the_place_of_the_other_meanwhile_is_left_alone(terminal: Opens, shop: Path) -> None:
    other = shop.with_name("other.db")
    shutil.copy(shop, other)
    with terminal() as window:
        window.until(QUESTION)
        other.rename(shop)
        window.type("a")
        assert window.end() == 1
        assert "the target is now a different database" in window.screen
    assert free_pages(shop) > 0


def test_a_run_that_was_cancelled_while_the_question_was_open_does_nothing(
    terminal: Opens, shop: Path, tmp_path: Path
) -> None:
    with terminal() as window:
        window.until(QUESTION)
        with closing(sqlite3.connect(tmp_path / "state.db")) as state:
            ((run,),) = state.execute("SELECT id FROM runs").fetchall()
        command = [sys.executable, "-m", "aishell", "--state", str(tmp_path / "state.db"), "runs", "cancel", run]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        window.type("a")
        assert window.end() != 0
        assert "the run was cancelled while the prompt was open" in " ".join(window.screen.split())
    assert free_pages(shop) > 0


#: What the policy says of the step that asks.
RULE = "rules: [{{name: tonight, tool: optimize_table, decision: {}}}]\n"


def test_what_is_denied_while_the_question_is_open_is_not_done(terminal: Opens, shop: Path) -> None:
    config = shop.parent / "aishell"
    config.mkdir()
    with terminal() as window:
        window.until(QUESTION)
        (config / "policy.yaml").write_text(RULE.format("deny"))
        window.type("a")
        assert window.end() == 5
        assert "the rules have become stricter since the step was approved" in " ".join(window.screen.split())
    assert free_pages(shop) > 0


def test_what_is_to_be_reviewed_by_now_is_asked_about_again(terminal: Opens, shop: Path) -> None:
    config = shop.parent / "aishell"
    config.mkdir()
    (config / "policy.yaml").write_text(RULE.format("confirm"))
    with terminal() as window:
        window.until(QUESTION)
        (config / "policy.yaml").write_text(RULE.format("review"))
        window.type("a")
        window.until(QUESTION)
        assert "the rules have become stricter since the step was approved" in " ".join(window.screen.split())
        window.type("s")
        assert window.end() == 0
    assert free_pages(shop) > 0


def test_rules_that_cannot_be_read_any_more_let_nothing_run(terminal: Opens, shop: Path) -> None:
    config = shop.parent / "aishell"
    config.mkdir()
    with terminal() as window:
        window.until(QUESTION)
        (config / "policy.yaml").write_text("rules: [")
        window.type("a")
        assert window.end() == 5
        assert "the rules were changed and cannot be read" in " ".join(window.screen.split())
    assert free_pages(shop) > 0


def test_quit_waits_and_resume_asks_again(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("q")
        assert window.end() == 3
        run = window.screen.split("runs resume ")[-1].split()[0]
    assert free_pages(shop) > 0
    with terminal("runs", "resume", run) as window:
        window.until(QUESTION)
        window.type("a")
        assert window.end() == 0
    assert free_pages(shop) == 0


def test_ctrl_c_at_the_prompt_leaves_with_130(terminal: Opens, shop: Path) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.interrupt()
        assert window.end() == 130
    assert free_pages(shop) > 0


def test_an_answer_that_is_none_is_asked_again(terminal: Opens) -> None:
    with terminal() as window:
        window.until(QUESTION)
        window.type("yes please")
        window.until("letters in brackets")
        window.type("s")
        assert window.end() == 0

"""A command that is printed for a person to paste stands whole on one line, however narrow the terminal is."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.commands.terminal import Terminal

#: Up to what ends a command within a sentence. Wide: no line of these screens is as long.
COMMAND = re.compile(
    r"aishell (?:--site \S+ )?(?:run|runs|backups|archives|approvals|audit|doctor|init)\b[^`·;,→()\x1b\r]*"
)
WIDE = 2000


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with a log to discover and a file to shrink, in production; never backed up."""
    (tmp_path / "config").mkdir()
    db = sqlite3.connect(tmp_path / "shop.db")
    db.executescript(
        "CREATE TABLE log_of_the_whole_shop (id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, note TEXT);"
        "CREATE INDEX by_date ON log_of_the_whole_shop (created_at);"
    )
    first = datetime(2026, 1, 1)  # noqa: DTZ001  as a database has it
    rows = [(f"{first + timedelta(minutes=7 * n):%Y-%m-%d %H:%M:%S}", "x" * 50) for n in range(20_000)]
    db.executemany("INSERT INTO log_of_the_whole_shop (created_at, note) VALUES (?, ?)", rows)
    db.execute("CREATE TABLE gone AS SELECT * FROM log_of_the_whole_shop")
    db.execute("DELETE FROM gone")
    db.execute("ANALYZE")
    db.commit()
    db.close()
    (tmp_path / "config" / "targets.yaml").write_text(
        "targets:\n  the_shop_of_the_north: {url: 'sqlite:///shop.db', environment: production}\n"
    )
    return tmp_path


Screen = Callable[..., str]


@pytest.fixture
def screen(site: Path) -> Screen:
    """What a command shows on a terminal so wide, when whoever is asked leaves."""

    def shown(columns: int, *words: str) -> str:
        command = [sys.executable, "-m", "aishell", "--site", str(site), *words]
        env = {**os.environ, "XDG_CONFIG_HOME": str(site), "XDG_STATE_HOME": str(site), "NO_COLOR": "1"}
        with Terminal(command, env=env, cwd=str(site), columns=columns) as window:
            if "full" in words:
                window.until("decide later")
                window.write("\x04")
            window.end()
            return window.screen

    return shown


def commands(text: str) -> set[str]:
    """Those on one line each; ids differ from run to run."""
    lines = text.replace("\r", "").split("\n")
    found = {match.group().strip() for line in lines for match in COMMAND.finditer(line)}
    return {re.sub(r"\b[0-9a-f]{8,12}\b", "ID", one) for one in found}


@pytest.mark.parametrize(
    "words",
    [
        ("run", "log-cleanup", "--discover", "--target", "the_shop_of_the_north"),
        ("run", "maintenance", "--type", "full", "--target", "the_shop_of_the_north"),
        ("run", "maintenance", "--type", "emergency", "--target", "the_shop_of_the_north"),
        ("run", "backup", "--type", "incremental", "--target", "the_shop_of_the_north", "--yes"),
        ("doctor",),
    ],
    ids=lambda words: " ".join(words[:4]),
)
def test_a_command_stands_whole_on_a_line(screen: Screen, words: tuple[str, ...]) -> None:
    wide = commands(screen(WIDE, *words))
    assert wide, "no command is shown"
    for columns in (40, 80):
        narrow = screen(columns, *words)
        assert wide <= commands(narrow), f"broken at {columns} columns:\n{narrow}"


def test_the_suggested_command_is_the_dry_run(screen: Screen, site: Path) -> None:
    shown = screen(40, "run", "log-cleanup", "--discover", "--target", "the_shop_of_the_north")
    (suggested,) = commands(shown)
    assert shlex.split(suggested)[-1] == "--dry-run"
    assert "the_shop_of_the_north" in suggested

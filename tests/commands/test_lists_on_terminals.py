"""No list breaks a word, however narrow the terminal is: it is a table, then fewer columns, then a block a row."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.terminal import Terminal

LISTS = (
    *("backups list", "archives list", "runs list", "approvals list", "targets list", "tools list", "tools stats"),
    *("doctor", "policy test --tool rebuild_table"),
)
ALL = """
import sys, shlex
from aishell.cli.main import cli
for words in sys.argv[2:]:
    print("== " + words)
    cli.main(["--site", sys.argv[1], *shlex.split(words)], standalone_mode=False)
"""
STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WIDE = 2000
#: Words with figures: times and sizes are others each time.
MEASURED = re.compile(r"\d")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a run of each kind, one of which waits."""
    path = tmp_path_factory.mktemp("a-site-in-a-folder-of-its-own")
    (path / "config").mkdir()
    db = sqlite3.connect(path / "shop.db")
    db.executescript(
        "CREATE TABLE log_of_the_whole_shop (id INTEGER PRIMARY KEY, created_at INTEGER NOT NULL, note TEXT);"
        "CREATE INDEX by_date ON log_of_the_whole_shop (created_at);"
    )
    rows = [(1_700_000_000 + 60 * n, "x" * 50) for n in range(20_000)]
    db.executemany("INSERT INTO log_of_the_whole_shop (created_at, note) VALUES (?, ?)", rows)
    db.commit()
    db.close()
    (path / "config" / "targets.yaml").write_text(
        "targets:\n  the_shop_of_the_north: {url: 'sqlite:///shop.db', environment: production, labels: [north]}\n"
    )
    (path / "config" / "aishell.yaml").write_text("default_target: the_shop_of_the_north\n")
    for words, code in (
        ("backup --yes", 0),
        ("backup --type incremental --yes", 0),
        ("log-cleanup --table log_of_the_whole_shop --retention-days 90 --archive --yes", 0),
        ("maintenance --type full --non-interactive", 3),
    ):
        command = [sys.executable, "-m", "aishell", "--site", str(path), "run", *words.split()]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code, words
    return path


def screens(site: Path, columns: int) -> dict[str, list[str]]:
    """The lines of each list, as they are written to a terminal of so many columns."""
    command = [sys.executable, "-c", ALL, str(site), *LISTS]
    with Terminal(command, env={**os.environ, "NO_COLOR": "1"}, cwd=str(site), columns=columns) as window:
        window.end()
    parts = STYLES.sub("", window.screen).replace("\r", "").split("== ")[1:]
    return {part.partition("\n")[0]: part.rstrip("\n").split("\n")[1:] for part in parts}


@pytest.fixture(scope="module")
def wide(site: Path) -> dict[str, set[str]]:
    """The words of each list where there is room for all of them."""
    return {name: set(" ".join(lines).split()) for name, lines in screens(site, WIDE).items()}


#: What a narrow list says in addition.
SAID = set("not shown: (use a wider terminal or --output json)".split())


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_no_word_is_broken(site: Path, wide: dict[str, set[str]], columns: int) -> None:
    found = screens(site, columns)
    assert tuple(found) == LISTS
    for name, lines in found.items():
        assert len(lines) > 1, name
        for line in lines:
            broken = len(line) > columns and len(line.split()) > 1 and "aishell " not in line
            assert not broken, f"{name}: the terminal breaks the line: {line}"
        words = {word.strip(",:;") for word in " ".join(lines).split() if not MEASURED.search(word)}
        known = {word.strip(",:;") for word in wide[name] | SAID}
        assert words <= known, f"{name} at {columns}: {sorted(words - known)}"


def test_what_is_left_out_is_told(site: Path) -> None:
    runs = screens(site, 84)["runs list"]
    assert runs[-1].startswith("not shown: ")
    assert "requested" not in runs[0]
    assert len({len(line.split()) for line in runs[1:-1]}) == 1, "a line a row"


def test_a_cutoff_of_seconds_is_a_date(site: Path) -> None:
    (row,) = (line for line in screens(site, WIDE)["archives list"] if "the_shop" in line)
    assert re.search(r" 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC ", row)


#: What begins a line of a preview; all else goes on below something.
HEADS = re.compile(r"every step|note: |plan |… and |$")


@pytest.mark.parametrize("columns", [60, 80])
def test_a_preview_goes_on_below_where_it_began(site: Path, columns: int) -> None:
    words = "run maintenance --type full --dry-run".split()
    command = [sys.executable, "-m", "aishell", "--site", str(site), *words]
    with Terminal(command, env={**os.environ, "NO_COLOR": "1"}, cwd=str(site), columns=columns) as window:
        window.end()
    lines = STYLES.sub("", window.screen).replace("\r", "").split("\n")
    first = next(number for number, line in enumerate(lines) if re.match(r" +\d+  \w", line))
    lines = lines[first:]
    assert [line for line in lines if not line.startswith("  ") and not HEADS.match(line)] == []
    assert any(line.startswith("       ") and line.strip()[0].islower() for line in lines), "there are lines that go on"

"""The tutorial word for word, from an empty folder: its files are written, and what is typed is typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-agent.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"(?:#|--) file: (\S+)\n")


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def shell(tmp_path: Path):
    """Types a line in the folder of the tutorial, in an environment without a site; what it printed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "aishell"):
        call = [sys.executable] if name == "python" else [sys.executable, "-m", "aishell"]
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n')
        (programs / name).chmod(0o755)
    home = tmp_path / "home"
    empty = tmp_path / "site"
    for folder in (home, empty):
        folder.mkdir(mode=0o755)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AISHELL", "XDG", "PYTEST", "COV"))
    }
    variables = {**kept, "HOME": str(home), "PATH": f"{programs}:{kept['PATH']}", "COLUMNS": "120"}

    def type_in(line: str) -> str:
        ended = subprocess.run(
            line, shell=True, cwd=empty, env=variables, capture_output=True, text=True, check=False, timeout=300
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    type_in.folder = empty
    return type_in


def test_ten_minutes_from_an_empty_folder(shell):
    said = {}
    for kind, text in blocks():
        named = FILE.match(text)
        if kind == "sh":
            assert named is None
            for line in text.splitlines():
                if line.startswith("pip install"):  # the test's own environment has it: an index may be out of reach
                    assert line in ("pip install aishell", "pip install pytest")
                    continue
                said[line] = shell(line)
        else:
            assert named is not None, text
            place = shell.folder / named[1]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text[named.end() :])
    assert re.search(r"width.*\d\d", said["aishell tools run measure_row_width --target sample --param table=orders"])
    told = said["aishell run census --help"]
    assert "--exact / --no-exact" in told
    assert "At most so many tables." in told
    assert "of 4 tables is" in said["aishell run census --target sample --most 4 --exact"]
    assert "of 2 tables is" in said["python count.py"]
    assert "2 passed" in said["python -m pytest tests"]

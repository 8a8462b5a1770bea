"""The tutorial's code is run as it stands."""

from __future__ import annotations

import re
import sqlite3
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-agent.md"


def test_the_agent_of_the_tutorial_counts_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent, calls = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("census")
    exec(agent, module.__dict__)
    monkeypatch.setitem(sys.modules, "census", module)
    point = EntryPoint("census", "census:Census", "aishell.agents")
    monkeypatch.setattr("aishell.agents.loading.entry_points", lambda group: [point])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shop = sqlite3.connect("shop.db")
    shop.executescript("CREATE TABLE a (i); INSERT INTO a VALUES (1), (2), (3); CREATE TABLE b (i);")
    shop.close()

    exec(calls, {})

    assert capsys.readouterr().out == "The largest of 2 tables is a.\n"

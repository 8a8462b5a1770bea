"""docs/tools.md lists every tool, on the engines that have it, with the risk its files declare."""

from __future__ import annotations

import re

from aishell.engines import PROFILES
from aishell.models import CAPABILITIES
from tests.fix_tools import ROOT, registry

FOLDERS = {"PostgreSQL": "postgresql", "MySQL": "mysql", "SQLite": "sqlite"}
ENGINES = {**FOLDERS, "MariaDB": "mysql"}


def documented():
    """(tool, engine, risk) of each row."""
    found = set()
    for line in (ROOT / "docs" / "tools.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            engines = FOLDERS.values() if cells[3] == "all" else [ENGINES[name] for name in cells[3].split(", ")]
            assert cells[4], line
            found |= {(cells[1].strip("`"), engine, cells[2]) for engine in engines}
    return found


def test_every_tool_is_listed_with_its_risk():
    declared = {
        (tool.name, engine, tool.risk_level.value)
        for tool in registry()
        for engine in (FOLDERS.values() if tool.engine == "common" else [tool.engine])
    }
    assert documented() == declared


def test_every_tool_says_what_it_does():
    for tool in registry():
        assert len(tool.description) > 40, tool.source
        assert tool.description.strip().endswith((".", ")")), tool.source
        assert "@@" not in tool.description, f"{tool.source} has an unfilled placeholder"


def test_every_tool_has_an_example_that_fits_its_parameters():
    for tool in registry():
        assert tool.examples, tool.source
        for example in tool.examples:
            tool.prepare(example["params"])


def test_the_page_lists_every_capability_and_each_engines_locks() -> None:
    page = (ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^`capabilities` are of (.*?): an agent", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == CAPABILITIES
    for engine in PROFILES.values():
        (row,) = re.findall(rf"^\| `{engine.name}` \| (`none`.*) \|$", page, re.MULTILINE)
        assert re.findall(r"`([^`]+)`", row) == list(engine.locks)

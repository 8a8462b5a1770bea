"""`aishell tools`: found, shown with contract and SQL, and own files checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aishell.cli.main import cli
from tests.fix_tools import registry

GOOD = """-- name: touch
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: low
-- capabilities: [database_write]
-- runs: statement
-- lock: RESERVED
-- returns:
--   seen: first(verify.seen)
-- parameters: {}
-- examples: [{params: {}}]
--
-- Refreshes the statistics.

-- do: refresh
ANALYZE main

-- verify: they are there
SELECT 1 AS ok, 2 AS seen
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine" / "sqlite").mkdir(parents=True)
    (tmp_path / "mine" / "sqlite" / "touch.sql").write_text(GOOD)
    return tmp_path / "mine"


def names(ended):
    return {row["name"] for row in ended.expect(0).json}


def test_list_finds_by_category_risk_capability_and_engine(aishell):
    everything = names(aishell("tools", "list", "--output", "json"))
    assert everything == set(registry().names)
    harmless = names(aishell("tools", "list", "--max-risk", "safe", "--output", "json"))
    assert "inspect_tables" in harmless
    assert "rebuild_table" not in harmless
    assert names(aishell("tools", "list", "--category", "report", "--output", "json")) == {
        "generate_maintenance_report"
    }
    assert "checkpoint_wal" not in names(aishell("tools", "list", "--engine", "mysql", "--output", "json"))
    reading = aishell("tools", "list", "--capability", "database_read", "--output", "json")
    assert {tuple(row["required_capabilities"]) for row in reading.json} == {("database_read",)}


def test_the_list_has_a_line_a_tool_when_piped(aishell):
    lines = aishell("tools", "list").expect(0).out.splitlines()
    assert [line.split()[0] for line in lines] == registry().names


@pytest.mark.sampled(15)
@pytest.mark.parametrize("name", registry().names)
def test_show_prints_every_variant_with_its_sql_and_source(name):
    said = CliRunner().invoke(cli, ["tools", "show", name]).output
    for tool in registry().variants(name):
        assert tool.source in said
        for block in tool.blocks:
            assert f"-- {block}:" in said
        for parameter in tool.parameters:
            assert parameter in said


def test_show_as_json_is_the_contract(aishell):
    (only,) = (
        aishell("tools", "show", "optimize-table", "--engine", "postgresql", "--output", "json")
        .expect(0)
        .json["variants"]
    )
    tool = next(tool for tool in registry().variants("optimize_table") if tool.engine == "postgresql")
    assert only["parameters_schema"] == tool.parameters_schema
    assert only["returns_schema"] == json.loads(json.dumps(tool.returns_schema))
    assert only["lock"]["name"] == tool.lock
    assert only["risk_level"] == "medium"
    assert [block["name"] for block in only["blocks"]] == list(tool.blocks)


def test_unknown_names_are_answered_with_the_nearest(aishell):
    assert "did you mean 'optimize_table'" in aishell("tools", "show", "optimise_table").expect(2).err
    assert "it exists for sqlite" in aishell("tools", "show", "checkpoint_wal", "--engine", "mysql").expect(2).err


def test_the_shipped_tools_load(aishell):
    assert aishell("tools", "check", "--output", "json").expect(0).json["problems"] == []


def test_a_good_folder_loads(aishell, folder):
    assert aishell("tools", "check", str(folder), "--output", "json").expect(0).json == {"tools": 1, "problems": []}


def test_every_bad_file_is_named_with_its_line(aishell, folder):
    bad = {
        "sqlite/lock.sql": (7, GOOD.replace("touch", "lock").replace("RESERVED", "SHARED")),
        "sqlite/unknown.sql": (4, GOOD.replace("touch", "unknown").replace("risk: low", "risk: lwo")),
        "sqlite/other_name.sql": (1, GOOD),
        "sqlite/optimize_table.sql": (1, GOOD.replace("touch", "optimize_table")),  # there is one for this engine
        "sqlite/late.sql": (19, GOOD.replace("touch", "late").replace("SELECT 1 AS ok", "SELECT 1 AS ok; SELECT 2")),
        "sqlite/letters.sql": (1, "\udcff"),
        "oracle/touch.sql": (1, GOOD),
        "touch.sql": (1, GOOD),
    }
    for name, (_, text) in bad.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, errors="surrogateescape")
    found = aishell("tools", "check", str(folder), "--output", "json").expect(2).json
    assert found["tools"] == 1
    assert {(item["path"], item["line"]) for item in found["problems"]} == {
        (str(folder / name), line) for name, (line, _) in bad.items()
    }
    said = aishell("tools", "check", str(folder)).expect(2).out
    assert f"{folder / 'sqlite/unknown.sql'}:4: unknown risk 'lwo'; did you mean 'low'?" in said


def test_the_sites_own_tools_are_checked_too(aishell):
    own = aishell.site / "tools" / "sqlite"
    own.mkdir(parents=True)
    (own / "touch.sql").write_text(GOOD.replace("risk: low", "risk: none"))
    assert "touch.sql:4:" in aishell("tools", "check").expect(2).out


def test_a_folder_without_tools_is_a_mistake(aishell, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "there is no tool in" in aishell("tools", "check", str(tmp_path / "empty")).expect(2).err
    assert "does not exist" in aishell("tools", "check", str(tmp_path / "nowhere")).expect(2).err


def test_statistics_come_from_runs(aishell, sqlite):
    assert aishell("tools", "stats").expect(0).out == "no tool has run yet\n"
    sqlite.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, n)")
    sqlite.execute("INSERT INTO t VALUES (1, 2)")
    aishell("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test", "--yes").expect(0)
    rows = {row["tool"]: row for row in aishell("tools", "stats", "--output", "json").expect(0).json}
    assert rows["generate_maintenance_report"]["calls"] == 1
    assert rows["generate_maintenance_report"]["success_rate"] == 1
    assert rows["generate_maintenance_report"]["mean_seconds"] >= 0

"""Fragments: what a tool includes becomes its own text, and what is wrong is named where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.errors import ToolFileError
from aishell.locations import built_in
from aishell.registry.fragments import FOLDER, included
from aishell.registry.header import read_tool
from aishell.registry.registry import Registry, check
from tests.unit.making import VERIFY, tool_text

DO = "ANALYZE {table}"
CTE = "-- CTE `found`: one row.\n\nfound AS (\n  SELECT 1 AS ok -- always\n)\n"
TOOL = tool_text({"do": DO, "verify": "WITH\n-- include: found\nSELECT ok AS ok FROM found"})


@pytest.fixture
def site(tmp_path):
    """Writes tools and fragments of SQLite into a folder of tools, and names that folder."""

    def write(tool: str = TOOL, **fragments: str | bytes) -> Path:
        (tmp_path / "sqlite" / FOLDER).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sqlite" / "touch.sql").write_text(tool)
        for name, text in fragments.items():
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / "sqlite" / FOLDER / f"{name}.sql").write_bytes(data)
        return tmp_path

    return write


def refused(folder: Path) -> ToolFileError:
    """What loading the folder says; `check` says the same, with the path as it was given."""
    with pytest.raises(ToolFileError) as caught:
        Registry.load([folder])
    error = caught.value
    assert error.message.startswith(f"{error.path}:{error.line}: ")
    assert str(folder / Path(error.path).relative_to("tools")) in [p.path for p in check(folder, Registry([]))[1]]
    return error


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def test_a_fragment_takes_the_place_of_its_include(site):
    (tool,) = Registry.load([site(found=CTE)])
    assert tool.blocks["verify"].text.split() == "WITH found AS ( SELECT 1 AS ok ) SELECT ok AS ok FROM found".split()
    assert "CTE `found`" not in tool.text
    assert "  SELECT 1 AS ok -- always\n" in tool.text


def test_the_expanded_text_needs_no_fragments_and_is_the_same_tool(site):
    registry = Registry.load([site(found=CTE)])
    (tool,) = registry
    (again,) = registry.with_texts({tool.source: tool.text})
    assert not included(tool.text)
    assert (again.version, again.blocks) == (tool.version, tool.blocks)


def test_a_changed_fragment_makes_another_tool(site):
    (before,) = Registry.load([site(found=CTE)])
    (after,) = Registry.load([site(found=CTE.replace("1 AS", "2 AS"))])
    assert before.version != after.version


def test_a_fragment_may_hold_whole_blocks_and_an_include_may_be_indented(site):
    text = tool_text({"do": DO}) + "\n  -- include: end\n"
    (tool,) = Registry.load(
        [site(text, end=f"-- The end.\n\n-- verify: it is there\n{VERIFY}\n\n-- report: no\nSELECT 2\n")]
    )
    assert {name: block.comment for name, block in tool.blocks.items()} == {
        "do": "what it does",
        "verify": "it is there",
        "report": "no",
    }


@pytest.mark.parametrize("name", ["fond", "", "found it", "../_fragments/found", "found.sql"])
def test_an_unknown_fragment_is_refused_where_it_is_included(site, name):
    text = TOOL.replace("include: found", f"include: {name}")
    error = refused(site(text, found=CTE))
    assert (error.path, error.line) == ("tools/sqlite/touch.sql", line_of(text, "-- include:"))
    assert f"unknown fragment {name!r}" in error.message


def test_the_header_includes_nothing(site):
    text = TOOL.replace("-- risk:", "-- include: found\n-- risk:")
    error = refused(site(text, found=CTE))
    assert (error.path, error.line) == ("tools/sqlite/touch.sql", line_of(text, "-- include:"))


@pytest.mark.parametrize(
    ("fragment", "line", "said"),
    [
        (CTE + "-- include: found\n", 6, "cannot include another"),
        (CTE + "  -- include [>= 3.40]: found,\n", 6, "cannot include another"),
        (CTE.replace("one row.", "one row.\n--include: other"), 2, "cannot include another"),
        ("found AS (SELECT 1 AS ok)", 1, "a leading comment that describes it"),
        ("-- Nothing below.\n", 1, "a leading comment that describes it"),
        (b"-- \xff\n\nSELECT 1", 1, "cannot be read"),
        (CTE.replace("SELECT 1", "SELECT {"), 4, "a brace outside a literal"),
        (CTE + "-- report: again\nSELECT 1\n-- report: again\nSELECT 1\n", 8, "duplicate block"),
    ],
)
def test_what_is_wrong_in_a_fragment_is_told_with_its_file_and_line(site, fragment, line, said):
    error = refused(site(found=fragment))
    assert (error.path, error.line) == (f"tools/sqlite/{FOLDER}/found.sql", line)
    assert said in error.message


def test_a_line_below_an_include_is_told_as_it_is_in_the_tool(site):
    text = TOOL.replace("FROM found", "FROM found WHERE {")
    error = refused(site(text, found=CTE))
    assert (error.path, error.line) == ("tools/sqlite/touch.sql", line_of(text, "WHERE {"))


def test_check_names_an_unused_fragment_and_a_broken_one_once(site, tmp_path):
    folder = site(found="no comment", spare=CTE)
    (tmp_path / "sqlite" / "again.sql").write_text(TOOL.replace("-- name: touch", "-- name: again"))
    good, problems = check(folder, Registry([]))
    assert good == 0
    fragments = tmp_path / "sqlite" / FOLDER
    assert [(p.path, p.line) for p in problems] == [
        (str(fragments / "found.sql"), 1),
        (str(fragments / "spare.sql"), 1),
    ]
    assert "no tool includes this fragment" in problems[1].message


def test_a_site_has_fragments_of_its_own(site, tmp_path_factory):
    shipped = tmp_path_factory.mktemp("shipped")
    (shipped / "sqlite" / FOLDER).mkdir(parents=True)
    (shipped / "sqlite" / FOLDER / "found.sql").write_text(CTE)
    with pytest.raises(ToolFileError, match="unknown fragment 'found'"):
        Registry.load([shipped, site()])


def test_an_include_without_fragments_at_hand_is_refused():
    with pytest.raises(ToolFileError, match="there is no fragment here"):
        read_tool(TOOL, "tools/sqlite/touch.sql", "sqlite")


def test_every_fragment_that_came_with_aishell_is_used_twice():
    for fragments in built_in("tools").glob(f"*/{FOLDER}"):
        places = [
            name
            for path in fragments.parent.rglob("*.sql")
            if FOLDER not in path.parts
            for line in path.read_text(encoding="utf-8").splitlines()
            for name in included(line)
        ]
        for path in fragments.glob("*.sql"):
            assert places.count(path.stem) >= 2, path

"""A file with guards is one tool for each kind of servers, and each server has exactly one."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from aishell.errors import ToolFileError
from aishell.locations import built_in
from aishell.registry.clauses import ENGINES, Clause, read_clauses, read_guard
from aishell.registry.fragments import FOLDER, expand
from aishell.registry.guards import choices
from aishell.registry.header import read_tools

HEADER = """-- name: look
-- engine: {engine}
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- returns:
--   n: first(found.n)
--
-- Looks.

"""
FEATURES = ("a", "b")
SERVERS = [
    (name, (version,), frozenset(there))
    for name in ("mysql", "mariadb")
    for version in range(6, 14)
    for there in (set(), {"a"}, {"b"}, {"a", "b"})
]


def tools(body: str, engine: str = "mysql >= 8, mariadb >= 10", folder: Path | None = None):
    return read_tools(HEADER.format(engine=engine) + body, "tools/mysql/look.sql", "mysql", folder)


@pytest.fixture
def fragments(tmp_path: Path) -> Path:
    """A folder of fragments: a column, another one, whole blocks for all servers and for some."""
    for name, text in {
        "one": ", 1 AS one",
        "two": ", 2 AS two",
        "block": "-- more: it\nSELECT 5 AS m",
        "blocks": "-- more [with a]: it\nSELECT 5 AS m\n\n-- more [without a]: it\nSELECT 6 AS m",
        "half": "-- more [with a]: it\nSELECT 5 AS m",
    }.items():
        (tmp_path / f"{name}.sql").write_text(f"-- What it is.\n\n{text}\n")
    return tmp_path


def block(guard: str, n: int) -> str:
    return f"-- found{f' [{guard}]' if guard else ''}: it\nSELECT {n} AS n\n\n"


def chosen(made, server):
    return [tool for tool in made if any(clause.fits(*server) for clause in tool.clauses)]


def named(made, server) -> int:
    (tool,) = chosen(made, server)
    return int(re.search(r"SELECT (\d+)", tool.blocks["found"].text)[1])


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ({"": 1}, lambda *server: 1),
        ({"with a": 1, "without a": 2}, lambda p, v, f: 1 if "a" in f else 2),
        ({"mysql": 1, "mariadb": 2}, lambda p, v, f: 1 if p == "mysql" else 2),
        ({">= 11": 1, "< 11": 2}, lambda p, v, f: 1 if v >= (11,) else 2),
        (
            {"mysql": 1, "mariadb with a": 2, "mariadb without a": 3},
            lambda p, v, f: 1 if p == "mysql" else 2 if "a" in f else 3,
        ),
        (
            {
                "mysql >= 9": 1,
                "mysql < 9": 2,
                "mariadb with a with b": 3,
                "mariadb with a without b": 4,
                "mariadb without a": 5,
            },
            lambda p, v, f: (1 if v >= (9,) else 2) if p == "mysql" else 5 if "a" not in f else 3 if "b" in f else 4,
        ),
        ({"< 10": 1, ">= 10 < 12": 2, ">= 12": 3}, lambda p, v, f: 1 if v < (10,) else 2 if v < (12,) else 3),
    ],
)
def test_each_server_is_given_the_block_that_is_for_it(blocks, expected):
    made = tools(
        "\n\n".join(f"-- found{f' [{guard}]' if guard else ''}: it\nSELECT {n} AS n" for guard, n in blocks.items())
    )
    assert len(made) == len(blocks)
    for server in SERVERS:
        is_for = server[1] >= ((8,) if server[0] == "mysql" else (10,))
        assert len(chosen(made, server)) == is_for, server
        if is_for:
            assert named(made, server) == expected(*server), server
    for tool in made:
        assert "[" not in tool.text.partition("-- Looks.")[2]
        assert [tool.text] == [one.text for one in read_tools(tool.text, tool.source, "mysql")]  # as a plan keeps it


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        (block("with a", 1), 12, "there is no block `found` for mysql >= 8 without a"),
        (block(">= 9", 1) + block(">= 12", 2), 12, "there is no block `found` for mysql >= 8 < 9"),
        (block("with a", 1) + block("", 2), 15, "duplicate block `found` for mysql >= 8 with a, here and in line 12"),
        (block("postgresql", 1), 12, "[postgresql] names no server"),
        ("-- found []: it\nSELECT 1 AS n", 12, "[] names no server"),
        (block("> 9", 1), 12, "write versions with >= and < only"),
        (block("", 1) + "-- include [with a]: one", 15, "none of these includes apply to mysql >= 8 without a"),
        (
            block("", 1) + "-- include [with a]: one\n-- include [mysql]: two\n-- include [mariadb without a]: two",
            15,
            "several of these includes apply",
        ),
        (block("", 1) + "-- odd [with a]: it\nSELEC T", 15, "there is no block `odd` for mysql >= 8 without a"),
        (
            block("mariadb", 1) + block("mysql", 2) + block("mysql < 8", 3),
            18,
            "[mysql < 8] matches none of the servers",
        ),
        (block("with a without a", 1) + block("", 2), 12, "[with a without a] matches none of the servers"),
        (
            block("with a", 1) + block("without a", 2) + "-- include [with a]: one\n-- include [without a]: two",
            18,
            "[with a] in [without a] matches none of the servers",
        ),
        ("-- found [mysql]: it\n-- include: block\n-- found [mysql]: it\nSELECT 1 AS n", 14, "here and in line 12"),
    ],
)
def test_what_is_for_some_servers_twice_or_not_at_all_is_refused_with_its_line(fragments, body, line, said):
    with pytest.raises(ToolFileError, match=re.escape(said)) as caught:
        tools(body, folder=fragments)
    assert (caught.value.path, caught.value.line) == ("tools/mysql/look.sql", line)


def test_an_error_behind_a_block_for_others_has_the_line_of_the_file():
    with pytest.raises(ToolFileError) as caught:
        tools("-- found [with a]: it\nSELECT 1 AS n\n\n-- found [without a]: it\nSELECT {oops} AS n")
    assert (caught.value.line, "`oops`" in caught.value.message) == (15, True)


@pytest.mark.parametrize("name", ["block", "blocks"])
def test_blocks_of_a_fragment_are_not_of_the_block_above_them(fragments, name):
    made = tools(block("with a", 1) + block("without a", 2) + f"-- include: {name}", folder=fragments)
    assert [list(tool.blocks) for tool in made] == [["found", "more"]] * 2


def test_a_fragment_can_have_one_text_for_all_and_a_tool_guards(fragments):
    body = "-- found [with a]: it\nSELECT 1 AS n\n-- include: one\n\n" + block("without a", 2)
    made = tools(body, "mysql >= 8", fragments)
    assert [tool.blocks["found"].text for tool in made] == ["SELECT 1 AS n\n, 1 AS one", "SELECT 2 AS n"]


def test_what_is_wrong_in_a_fragment_with_guards_is_told_there(fragments):
    with pytest.raises(ToolFileError, match="there is no block `more` for mysql >= 8 without a") as caught:
        tools(block("", 1) + "-- include: half", folder=fragments)
    assert (caught.value.path, caught.value.line) == ("tools/mysql/_fragments/half.sql", 3)


def test_a_comment_that_looks_nearly_like_a_block_stays_a_comment():
    made = tools(block("with a", 1).rstrip() + "\n-- note : of it\n  + 1\n\n" + block("without a", 2), "mysql >= 8")
    assert [tool.blocks["found"].text.split()[-1] for tool in made] == ["1", "n"]


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("mysqll >= 8", "engine: 'mysqll >= 8' does not name a server"),
        ("mysql >= 9 < 8", "[with a] matches none of the servers"),
    ],
)
def test_guards_do_not_hide_that_the_header_names_no_server(engine, said):
    with pytest.raises(ToolFileError, match=re.escape(said)):
        tools(block("with a", 1) + block("without a", 2), engine)


def test_a_tool_for_every_engine_takes_no_guards():
    with pytest.raises(ToolFileError, match="a tool for every engine cannot have guards"):
        read_tools(HEADER.format(engine="") + block("with a", 1), "tools/common/look.sql", "common")


def test_the_servers_may_be_quoted_and_have_a_comment_behind_them():
    made = tools(block("with a", 1) + block("without a", 2), '"mysql >= 8"   # the newer ones')
    assert [[clause.text for clause in tool.clauses] for tool in made] == [
        ["mysql >= 8 with a"],
        ["mysql >= 8 without a"],
    ]


def test_a_comma_behind_an_include_belongs_to_the_fragment(tmp_path: Path):
    (tmp_path / "one.sql").write_text("-- One row.\n\none AS (\n    SELECT 1 AS n\n)\n")
    includes = "-- include [with a]: one,\n-- include [without a]: one,\n"
    body = f"-- found: it\nWITH\n{includes}two AS (SELECT n FROM one)\nSELECT n AS n FROM two"
    made = read_tools(HEADER.format(engine="mysql >= 8") + body, "tools/mysql/look.sql", "mysql", tmp_path)
    assert [tool.blocks["found"].text.split() for tool in made] == [
        "WITH one AS ( SELECT 1 AS n ), two AS (SELECT n FROM one) SELECT n AS n FROM two".split()
    ] * 2
    (tmp_path / "one.sql").write_text("-- One row.\n\none AS (SELECT 1 AS n)  -- of one\n")
    with pytest.raises(ToolFileError, match="ends with a comment"):
        read_tools(HEADER.format(engine="mysql >= 8") + body, "tools/mysql/look.sql", "mysql", tmp_path)


GUARDED = [
    path for path in sorted(built_in("tools").rglob("*.sql")) if re.search(r"^-- \w+ \[", path.read_text(), re.M)
]


@pytest.mark.parametrize("path", GUARDED, ids=lambda path: path.stem)
def test_a_shipped_file_with_guards_serves_each_of_its_servers_once(path: Path):
    engine = path.relative_to(built_in("tools")).parts[0]
    text = path.read_text()
    header = read_clauses(re.search(r"^-- engine: (.*)$", text, re.M)[1], engine)
    made = [
        read_clauses(re.search(r"^-- engine: (.*)$", one.text, re.M)[1], engine)
        for one in choices(expand(text, path.name, built_in("tools") / engine / FOLDER), engine)
    ]
    assert len(made) > 1
    known = sorted({name for clauses in made for clause in clauses for name in clause.with_ | clause.without})
    for name, version in product(ENGINES[engine], range(8, 20)):
        for has in product((0, 1), repeat=len(known)):
            there = frozenset(one for one, h in zip(known, has, strict=True) if h)
            wanted = any(clause.fits(name, (version,), there) for clause in header)
            assert sum(any(c.fits(name, (version,), there) for c in clauses) for clauses in made) == wanted


def test_there_are_such_files():
    assert len(GUARDED) > 8


def test_a_guard_is_read_as_a_clause_that_may_leave_out_the_product():
    assert read_guard(">= 10.6 < 11 with a, without b", "mysql") == Clause(
        "", ((">=", (10, 6)), ("<", (11,))), frozenset("a"), frozenset("b")
    )
    assert read_guard("mariadb", "mysql") == Clause("mariadb")

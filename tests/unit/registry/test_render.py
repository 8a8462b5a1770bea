"""From a block and values to a statement: names are quoted, values are bound, `%` survives the driver."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aishell.databases.base import SessionOptions, Statement
from aishell.errors import ParameterError
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running import dispatch
from tests.conftest import HOSTILE_NAMES
from tests.fix_tools import registry
from tests.unit.making import VERIFY, make_tool, unconnected

DIALECTS = ("postgresql", "mysql", "sqlite")
MARK = {"postgresql": '"', "mysql": "`", "sqlite": '"'}


@pytest.fixture(params=DIALECTS)
def database(request, sqlite_path):
    made = unconnected(request.param, sqlite_path)
    yield made
    made.close()


def rendered(tool: Tool, database, block: str = "do", **values) -> Statement:
    return render(tool, tool.blocks[block], values, database)


def as_sent(statement: Statement, engine: str) -> str:
    """What reaches the server: PostgreSQL's and MySQL's drivers read `%` and `%(name)s` in the text."""
    shown = {name: f"<{name}>" for name in statement.params}
    return statement.sql % shown if engine != "sqlite" else statement.sql


def quoted(name: str, engine: str) -> str:
    return MARK[engine] + name.replace(MARK[engine], MARK[engine] * 2) + MARK[engine]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_pasted_quoted(database, name):
    tool = make_tool(dialect=database.engine)
    statement = rendered(tool, database, table=name)
    assert as_sent(statement, database.engine) == f"ANALYZE {quoted(name, database.engine)}"
    assert statement.text == f"ANALYZE {quoted(name, database.engine)}"
    assert statement.params == {}


@given(
    name=st.text(st.sampled_from("ab \n\t\\n<U+") | st.characters(exclude_characters="\x00"), min_size=1, max_size=15)
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_screen_shows_the_lines_of_the_file_and_each_name_and_value_exactly(database, name):
    """Nobody can take `"a  b"` for `"a b"`, or the line break of a name for one of the file."""
    tool = make_tool(
        {"do": "ANALYZE\n  {table}", "verify": "SELECT :x AS x, 1 AS ok"}, database.engine, parameters=PARAMETERS
    )
    statement = rendered(tool, database, table=name, x=name)
    for sent, lines in ((statement, 2), (rendered(tool, database, "verify", table=name, x=name), 1)):
        assert len(sent.shown.split("\n")) == lines
        assert all(line.isprintable() for line in sent.shown.split("\n"))
        assert re.sub(r"<U\+([0-9A-F]+)>", lambda code: chr(int(code[1], 16)), sent.shown) == sent.text
    assert "  " not in statement.shown.removeprefix("ANALYZE\n  ")


def test_text_keeps_its_percent_signs_casts_and_literals(database):
    sql = "SELECT '50%' LIKE '%s' AND 7 % 2 = 1 AND ':x' = :x AND '%(x)s' <> '{table}' AS ok"
    tool = make_tool({"do": "ANALYZE {table}", "verify": sql}, database.engine, parameters=PARAMETERS)
    statement = rendered(tool, database, "verify", table="t", x="it's 5%")
    shown = {"sqlite": ":x"}.get(database.engine, "<x>")
    assert as_sent(statement, database.engine) == sql.replace("= :x", f"= {shown}")
    assert statement.params == {"x": "it's 5%"}
    assert statement.text == sql.replace("= :x", "= 'it''s 5%'")


PARAMETERS = "{table: {type: identifier}, x: {type: string}}"


@pytest.mark.parametrize(
    ("value", "bound", "shown"),
    [
        (None, None, "NULL"),
        (True, True, "true"),
        (5, 5, "5"),
        ("it's", "it's", "'it''s'"),
        ([1, "a'"], '[1, "a\'"]', "'[1, \"a''\"]'"),
        ({"a": (1,)}, '{"a": [1]}', "'{\"a\": [1]}'"),
    ],
)
def test_a_value_is_bound_and_only_the_preview_shows_it(database, value, bound, shown):
    blocks = {"do": "ANALYZE {table}", "verify": "SELECT :x AS ok"}
    tool = make_tool(blocks, database.engine, parameters=PARAMETERS)
    statement = rendered(tool, database, "verify", table="t", x=value)
    assert statement.params == {"x": bound}
    assert statement.text == f"SELECT {shown} AS ok"
    assert shown not in statement.sql or value is None or shown == "5"


LISTED = make_tool(
    {"do": "ANALYZE {tables} {limit} {mode}", "verify": VERIFY},
    parameters="{tables: {type: identifier_list}, limit: {type: integer}, mode: {type: keyword, enum: [FULL, FAST]}}",
)
GOOD = {"tables": [{"schema": "s", "table": 'a"b'}, {"schema": "s", "table": "c"}], "limit": 5, "mode": "FAST"}


def test_lists_integers_and_keywords_are_pasted(sqlite_path):
    statement = rendered(LISTED, unconnected("sqlite", sqlite_path), **GOOD)
    assert statement.sql == 'ANALYZE "s"."a""b", "s"."c" 5 FAST'


@pytest.mark.parametrize(
    "wrong",
    [
        {"tables": []},
        {"tables": [{"schema": "", "table": "t"}]},
        {"mode": "FULL; DROP TABLE x"},
        {"mode": "full"},
        {"mode": None},
    ],
)
def test_a_value_that_cannot_be_pasted_is_refused(sqlite_path, wrong):
    with pytest.raises(ParameterError):
        rendered(LISTED, unconnected("sqlite", sqlite_path), **{**GOOD, **wrong})


@pytest.mark.parametrize("value", [None, True, 1.5, ["t"], "", "a\x00b"])
def test_what_is_no_name_is_never_pasted_as_one(database, value):
    with pytest.raises(ParameterError):
        rendered(make_tool(dialect=database.engine), database, table=value)


def test_a_group_is_pasted_as_a_list_and_bound_as_json(sqlite_path):
    find = "SELECT 'main' AS schema, name AS \"table\" FROM sqlite_schema"
    blocks = {"find": find, "do": "ANALYZE {group}", "verify": "SELECT json_array_length(:group) AS ok"}
    tool = make_tool(blocks, runs="each", group="10", parameters=None)
    rows = [{"schema": "main", "table": 'a"'}, {"schema": "main", "table": "b"}]
    database = unconnected("sqlite", sqlite_path)
    assert rendered(tool, database, group=rows).sql == 'ANALYZE "main"."a""", "main"."b"'
    assert json.loads(rendered(tool, database, "verify", group=rows).params["group"]) == rows


SQLITE = make_tool(
    {
        "do": "INSERT INTO main.{table} ({column}) -- :comment {x}\nVALUES (:value || '%s :x {y}; --' /* ; */);",
        "verify": "SELECT count(*) AS ok, max({column}) AS value FROM {table} WHERE {column} = :value || '%s :x {y}; --'",
    },
    parameters="{table: {type: identifier}, column: {type: identifier}, value: {type: string}}",
)


def round_trip(path, table: str, column: str, value: str) -> None:
    database = unconnected("sqlite", path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        quote = {"table": quoted(table, "sqlite"), "column": quoted(column, "sqlite")}
        connection.execute("DROP TABLE IF EXISTS {table}".format(**quote))
        connection.execute("CREATE TABLE {table} ({column} TEXT)".format(**quote))
        connection.commit()
    try:
        values = {"table": table, "column": column, "value": value}
        with database.session(SessionOptions(read_only=False)) as session:
            session.execute(rendered(SQLITE, database, **values))
            rows = session.query(rendered(SQLITE, database, "verify", **values))
    finally:
        database.close()
    assert rows == [{"ok": 1, "value": value + "%s :x {y}; --"}]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_sqlite_executes_what_is_rendered_for_a_hostile_name(sqlite_path, name):
    round_trip(sqlite_path, name, name, name)


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda name: not name.lower().startswith("sqlite_")
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=NAME, column=NAME, value=st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_sqlite_executes_what_is_rendered_for_any_name_and_value(sqlite_path, table, column, value):
    round_trip(sqlite_path, table, column, value)


def test_moves_of_tables_are_pasted_as_one_list(sqlite_path):
    tool = next(tool for tool in registry() if tool.source == "tools/mysql/mariadb/replace_database.sql")
    database = unconnected("mysql", sqlite_path)
    moves = [(("shop", "a`b"), ("old", "a`b")), (("new", "c%"), ("shop", "c%"))]
    statement = render(tool, tool.blocks["do_move"], {"moves": moves}, database)
    assert statement.text == "RENAME TABLE `shop`.`a``b` TO `old`.`a``b`, `new`.`c%` TO `shop`.`c%`"
    assert "c%%" in statement.sql
    database.close()


def test_what_a_program_tool_sends_is_shown_as_far_as_it_is_known(sqlite_path):
    database = unconnected("postgresql", sqlite_path)
    tool = registry().variants("replace_database")
    (postgresql,) = (one for one in tool if one.engine == "postgresql")
    values = postgresql.prepare({**postgresql.examples[0]["params"], "kept": 'o"ld'})
    shown = [statement.text for statement in dispatch.statements(postgresql, values, None, database)]
    assert shown[0] == "ANALYZE"
    assert "pg_terminate_backend" in shown[1]
    assert "('shop', 'shop_restored')" in shown[1]
    assert shown[2:] == [
        'ALTER DATABASE "shop_restored" RESET aishell.restored_by',
        'ALTER DATABASE "shop" RENAME TO "o""ld"',
        'ALTER DATABASE "shop_restored" RENAME TO "shop"',
    ]
    (mariadb,) = (one for one in tool if one.engine == "mysql")
    known = mariadb.prepare(mariadb.examples[0]["params"])
    assert "RENAME TABLE {moves}" in [s.text for s in dispatch.statements(mariadb, known, None, database)]
    database.close()

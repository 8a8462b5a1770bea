"""Lists that are made of a table's columns, and ranges of a key that is made of several."""

from __future__ import annotations

import sqlite3
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import ParameterError, ToolFileError
from aishell.registry.render import render
from tests.unit.making import make_tool

FORMS = "{plain: '{column}', hex: 'hex({column})'}"


class Sqlite:
    engine, placeholder, escape_percent = "sqlite", ":{}", False


class SpeltOut:
    """As for MySQL, which uses no index for a comparison of rows, with quotes that SQLite reads too."""

    engine, placeholder, escape_percent = "mysql", ":{}", False


class Mysql:
    engine, placeholder, escape_percent = "mysql", "%({})s", True


def batched(
    do: str, lists: str = "{pairs: ':name, {form}'}", database: Any = Sqlite, later: Any = (), **values: Any
) -> Any:
    blocks = {
        "find": "SELECT 1 AS x",
        "next": "SELECT {key} FROM {table} WHERE {after} ORDER BY {key} LIMIT 1 OFFSET :skip",
        "do": do,
        "verify": "SELECT 1 AS ok",
    }
    tool = make_tool(
        blocks,
        runs="batched",
        lock="RESERVED",
        parameters="{table: {type: identifier}, columns: {type: columns}, key: {type: key}}",
        returns="{rows: sum(batches.rows_deleted)}",
        forms=FORMS,
        lists=lists,
    )
    return render(tool, tool.blocks["do"], {"table": "t", **values}, database, later=later)


COLUMNS = [{"column": "a", "form": "plain"}, {"column": 'b"%s', "form": "hex"}]


def test_each_column_stands_as_its_form_says_with_its_name_bound():
    made = batched("SELECT json_object({pairs}) FROM {table}", columns=COLUMNS, key=["a"])
    assert made.sql == 'SELECT json_object(:name_0, "a", :name_1, hex("b""%s")) FROM "t"'
    assert made.params == {"name_0": "a", "name_1": 'b"%s'}
    made = batched("SELECT json_object({pairs}) FROM {table}", columns=COLUMNS, key=["a"], database=Mysql)
    assert made.sql == 'SELECT json_object(%(name_0)s, `a`, %(name_1)s, hex(`b"%%s`)) FROM `t`'


def test_values_of_rows_stay_open_and_are_named_for_people():
    lists = "{names: '{column}', row: '{form}'}"
    tool_forms = "INSERT INTO {table} ({names}) VALUES ({row})"
    made = batched(tool_forms, lists, columns=[COLUMNS[0]], key=["a"])
    assert made.sql == 'INSERT INTO "t" ("a") VALUES ("a")'  # a form without :value is the column itself


def test_a_form_the_tool_does_not_have_is_refused():
    with pytest.raises(ParameterError, match="no form 'octal' for the column 'a'"):
        batched("SELECT {pairs}", columns=[{"column": "a", "form": "octal"}], key=["a"])


def test_only_a_tool_with_a_key_has_ranges():
    blocks = {"find": "SELECT 1 AS x", "do": "DELETE FROM {table} WHERE {after}", "verify": "SELECT 1 AS ok"}
    with pytest.raises(ToolFileError, match="`after` is neither"):
        make_tool(blocks, runs="batched", lock="RESERVED", returns="{rows: sum(batches.rows_deleted)}")


def test_an_end_that_is_not_known_yet_is_named_and_one_that_is_none_is_no_condition():
    do = "DELETE FROM {table} WHERE {after} AND {until}"
    made = batched(do, key=["a", "b"], columns=COLUMNS, later={"position", "upto"})
    assert made.text == 'DELETE FROM "t" WHERE ("a", "b") > :position AND ("a", "b") <= :upto'
    made = batched(do, key=["a"], columns=COLUMNS, position=None, upto=[7])
    assert made.sql == 'DELETE FROM "t" WHERE 1 = 1 AND ("a") <= (:upto_0)'


@given(st.integers(1, 3), st.data())
def test_a_range_of_several_columns_is_what_comparing_the_rows_says(width, data):
    """Against SQLite's own comparison of rows."""
    key = ["a", "b", "c"][:width]
    values = st.lists(st.integers(0, 2), min_size=width, max_size=width)
    position, upto = data.draw(values), data.draw(values)
    do = "SELECT {key} FROM {table} WHERE {after} AND {until}"
    database = data.draw(st.sampled_from([Sqlite, SpeltOut]))
    made = batched(do, database=database, key=key, columns=COLUMNS, position=position, upto=upto)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", product(range(3), repeat=3))
        names = ", ".join(key)
        marks = ", ".join("?" * width)
        expected = f"SELECT {names} FROM t WHERE ({names}) > ({marks}) AND ({names}) <= ({marks})"
        found = connection.execute(made.sql, made.params).fetchall()
        assert sorted(found) == sorted(connection.execute(expected, [*position, *upto]).fetchall())
    finally:
        connection.close()

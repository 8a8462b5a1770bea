"""Lists that go over the columns of a table in groups, and over the tables whose rows go along."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from aishell.errors import ToolFileError
from aishell.registry.lists import Listed, Lists
from tests.unit.making import make_tool

NAMES = [f"c{n}" for n in range(150)]


class Text:
    """A statement with its values in it."""

    def __init__(self) -> None:
        self.sql, self.values = "", dict[str, Any]()

    def plain(self, piece: str) -> None:
        self.sql += piece

    paste = plain

    def bind(self, name: str, value: Any) -> None:
        assert name not in self.values, "two values under one name"
        self.values[name] = value
        self.sql += f":{name}"

    def later(self, name: str, label: str) -> None:
        self.sql += f":{name}"


def pasted(lists: dict[str, Any], name: str, values: dict[str, Any], engine: str = "sqlite") -> Text:
    made = Text()
    known = {one: Listed.of(spec) for one, spec in lists.items()}
    Lists(known, {"any": "{column}"}, engine, made, "tool").paste(name, values)
    return made


def column(name: str, **more: Any) -> dict[str, Any]:
    return {"column": name, "form": "any", **more}


@pytest.mark.parametrize("width", [1, 59, 60, 61, 120, 150])
def test_a_row_of_any_width_is_one_line(width):
    spec = {"each": ":name, {form}", "most": 60, "group": "json_object({})", "between": " || char(1) || "}
    spec["several"] = "replace({}, '}' || char(1) || '{', ',')"
    made = pasted({"pairs": spec}, "pairs", {"columns": [column(name) for name in NAMES[:width]]})
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({', '.join(NAMES)})")
    row = ["}\x01{" if n % 2 else n for n in range(150)]
    connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * 150)})", row)
    ((line,),) = connection.execute(f"SELECT {made.sql} FROM t", made.values)
    connection.close()
    assert made.sql.startswith("replace") == (width > 60)
    assert json.loads(line) == dict(zip(NAMES[:width], row, strict=False))


def test_columns_are_chosen_by_their_role():
    columns = [column("id", role="key"), column("p", role="changed", left=7), column("at", role="same")]
    lists = {
        "assigned": {"each": "{column} = :value", "roles": ["changed"]},
        "matched": {"each": "{column} = :value", "roles": ["key"], "between": " AND "},
        "unset": {"each": "{column} IS :left", "roles": ["changed"]},
    }
    assert pasted(lists, "assigned", {"columns": columns}).sql == '"p" = :value_1'
    assert pasted(lists, "matched", {"columns": columns}).sql == '"id" = :value_0'
    unset = pasted(lists, "unset", {"columns": columns})
    assert (unset.sql, unset.values) == ('"p" IS :left_1', {"left_1": 7})


FAMILY = {
    "schema": "s",
    "table": "a",
    "columns": [column("id")],
    "key": ["id"],
    "relatives": {
        "tables": [{"schema": "s", "table": 'b"', "columns": [column("x"), column("y")], "key": ["x", "y"]}],
        "edges": [
            {"parent": 0, "child": 1, "pairs": [["p", "id"]]},
            {"parent": 1, "child": 1, "pairs": [["u", "x"], ["v", "y"]]},
        ],
    },
}


def test_the_edges_name_each_row_by_the_key_of_its_table():
    lists = {
        "edges": {"over": "edges", "each": "{child_number} {keys} {here} {on} {parent} {child}", "between": " + "},
        "slots": {"over": "slots", "each": "{slot}"},
        "own": {"over": "slots", "each": "{own}"},
    }
    assert pasted(lists, "slots", FAMILY).sql == "k0_0, k1_0, k1_1"
    assert pasted(lists, "own", FAMILY).sql == '"id", NULL, NULL'
    first, second = pasted(lists, "edges", FAMILY).sql.split(" + ")
    assert first == '1 NULL, c."x", c."y" p."id" = g.k0_0 p."id" = c."p" "s"."a" "s"."b"""'
    assert second.startswith('1 NULL, c."x", c."y" p."x" = g.k1_0 AND p."y" = g.k1_1 p."x" = c."u" AND p."y" = c."v"')


def test_one_edge_is_followed_from_some_rows():
    lists = {
        "followed": {"over": "edge", "each": "{child_keys} | {itself} | {pairs} | {among}"},
        "pairs": ":name, {form}",
    }
    made = pasted(lists, "followed", {**FAMILY, "edge": 1, "keys": [(1, "a"), (2, "b")]}, "mysql")
    keys, itself, pairs, among = made.sql.split(" | ")
    assert keys == "c.`x` AS k1_0, c.`y` AS k1_1"
    assert itself == "t.`x` = c.`x` AND t.`y` = c.`y`"
    assert pairs == ":name_1_0, `x`, :name_1_1, `y`"
    assert among == "((p.`x` = :among_0_0 AND p.`y` = :among_0_1) OR (p.`x` = :among_1_0 AND p.`y` = :among_1_1))"
    assert made.values["among_1_1"] == "b"


@pytest.mark.parametrize(
    "lists",
    [
        "{x: {over: edges, each: '{named}'}}",
        "{x: {over: tables, each: ':value'}}",
        "{x: '{here}'}",
        "{x: {over: houses, each: a}}",
        "{x: {each: a, of: 3}}",
        "{x: 3}",
    ],
)
def test_a_list_that_names_what_is_not_there_does_not_load(lists):
    blocks = {"find": "SELECT 1 AS x", "do": "SELECT {x}", "verify": "SELECT 1 AS ok"}
    with pytest.raises(ToolFileError, match=r"list|a text or a mapping"):
        make_tool(
            blocks, runs="batched", lock="RESERVED", parameters="{columns: {type: columns}, relatives: {type: relatives}}",
            returns="{rows: sum(batches.rows_deleted)}", lists=lists,
        )  # fmt: skip

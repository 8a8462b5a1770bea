"""A tool's parameters: defaults, schema, and what is refused; what its digest covers."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.errors import ParameterError, UnknownNameError
from aishell.registry.tool import check_schema
from tests.conftest import HOSTILE_NAMES
from tests.unit.making import BLOCKS, FIND, VERIFY, make_tool, query_tool, tool_text

TYPES = {
    "identifier": "{type: identifier}",
    "identifier_list": "{type: identifier_list}",
    "keyword": "{type: keyword, enum: [FULL, FAST]}",
    "integer": "{type: integer, minimum: 1, maximum: 9}",
    "number": "{type: number, minimum: 0}",
    "string": "{type: string}",
    "boolean": "{type: boolean}",
    "array": "{type: array}",
    "object": "{type: object}",
}
OBJECT = {"schema": "s", "table": "t"}


def made(spec: str):
    blocks = {"do": "ANALYZE {table}", "verify": "SELECT :x AS ok"}
    return make_tool(blocks, parameters=f"{{x: {spec}, table: {{type: identifier, default: t}}}}")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("identifier", "orders"),
        *(("identifier", name) for name in HOSTILE_NAMES),
        ("identifier_list", []),
        ("identifier_list", [OBJECT, OBJECT]),
        ("keyword", "FAST"),
        ("integer", 1),
        ("integer", 9),
        ("number", 0),
        ("number", 2.5),
        ("string", ""),
        ("boolean", False),
        ("array", [1, "a", None]),
        ("object", {"a": {"b": 1}}),
    ],
)
def test_a_value_of_its_type_passes_unchanged(kind, value):
    assert made(TYPES[kind]).prepare({"x": value}) == {"x": value, "table": "t"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((kind, None) for kind in TYPES),
        ("identifier", ""),
        ("identifier", 5),
        ("identifier_list", "orders"),
        ("identifier_list", ["orders"]),
        ("identifier_list", [{"table": "t"}]),
        ("identifier_list", [{"schema": "s", "table": ""}]),
        ("keyword", "fast"),
        ("keyword", "FAST; DROP TABLE t"),
        ("integer", 0),
        ("integer", 10),
        ("integer", 1.5),
        ("integer", "1"),
        ("integer", True),
        ("number", -1),
        ("number", "2"),
        ("string", 5),
        ("boolean", 1),
        ("boolean", "true"),
        ("array", {}),
        ("object", []),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(kind, value):
    with pytest.raises(ParameterError) as caught:
        made(TYPES[kind]).prepare({"x": value})
    assert caught.value.message.startswith("in a call of touch.x")
    assert caught.value.exit_code == 2


def test_a_parameter_nobody_declared_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        make_tool().prepare({"tabel": "t"})
    assert caught.value.nearest == "table"


def test_no_default_means_required():
    with pytest.raises(ParameterError) as caught:
        make_tool().prepare({})
    assert "'table'" in caught.value.message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{type: integer, default: 7}", 7),
        ("{type: integer, default: null}", None),
        ("{type: identifier_list, default: []}", []),
        ("{type: keyword, enum: [A, B], default: B}", "B"),
        ("{type: keyword, enum: [A, B], default: null}", None),
    ],
)
def test_what_is_not_given_takes_its_default(spec, expected):
    assert made(spec).prepare({})["x"] == expected


@pytest.mark.parametrize("kind", ["integer", "string", "object"])
def test_a_default_of_null_means_optional(kind):
    assert made(f"{{type: {kind}, default: null}}").prepare({"x": None})["x"] is None


def test_what_is_still_open_is_left_out_and_the_rest_checked():
    tool = made("{type: integer}")
    assert tool.prepare({}, later={"x"}) == {"table": "t"}
    with pytest.raises(ParameterError):
        tool.prepare({"table": ""}, later={"x"})


def test_a_schema_names_the_place_of_what_is_wrong_inside():
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    with pytest.raises(ParameterError) as caught:
        check_schema({"a": [1, "two"]}, schema, "the task")
    assert caught.value.message.startswith("in the task.a.1: 'two'")


def test_another_text_is_another_version():
    assert make_tool().version == make_tool().version
    assert make_tool().version != make_tool(prose="Another text.").version


@pytest.mark.parametrize(
    ("blocks", "keys", "expected"),
    [
        (BLOCKS, {}, ()),
        ({"find": FIND, "do": "ANALYZE {table_name}", "verify": VERIFY}, {"runs": "each"}, ("table_name",)),
        (
            {"find": FIND, "do": "ANALYZE {table_name}", "verify": VERIFY},
            {"runs": "each", "key": "[bytes]"},
            ("bytes",),
        ),
        (
            {"find": "SELECT 1 AS schema, 2 AS table", "do": "ANALYZE {group}", "verify": VERIFY},
            {"runs": "each", "group": "9"},
            ("schema", "table"),
        ),
    ],
)
def test_an_object_is_named_by_what_is_declared_or_pasted(blocks, keys, expected):
    parameters = {"parameters": None} if "{table}" not in blocks["do"] else {}
    assert make_tool(blocks, **parameters, **keys).key == expected


@pytest.mark.parametrize(("keys", "reads"), [({"risk": "safe"}, True), ({"risk": "low"}, False), ({}, False)])
def test_only_queries_and_safe_tools_read(keys, reads):
    assert make_tool(**keys).read_only is reads
    assert query_tool(risk="low").read_only


def test_a_tools_text_is_kept_whole():
    assert make_tool().text == tool_text()

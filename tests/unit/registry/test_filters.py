"""Filters become conditions with every value bound and every column quoted."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.errors import ParameterError
from aishell.registry.render import render
from aishell.registry.tool import OPERATORS
from tests.unit.making import make_tool

BLOCKS = {"do": "DELETE FROM {table} WHERE d < :cutoff{filters}", "verify": "SELECT 1 AS ok WHERE :cutoff{filters}"}
PARAMETERS = "{table: {type: identifier}, cutoff: {type: scalar}, filters: {type: filters, default: []}}"


class Dialect:
    engine, placeholder, escape_percent = "sqlite", ":{}", False


class Percent:
    engine, placeholder, escape_percent = "mysql", "%({})s", True


def rendered(*filters: dict[str, Any], database: Any = Dialect) -> Any:
    tool = make_tool(BLOCKS, parameters=PARAMETERS, lock="RESERVED")
    values = tool.prepare({"table": "t", "cutoff": 5, "filters": list(filters)})
    return render(tool, tool.blocks["do"], values, database)


def test_without_filters_nothing_is_added():
    assert rendered().sql == 'DELETE FROM "t" WHERE d < :cutoff'


def test_all_conditions_hold_and_values_are_bound():
    statement = rendered(
        {"column": "level", "operator": "in", "value": ["debug", "info"]},
        {"column": 'we"ird %s', "operator": "!=", "value": "x'; DROP TABLE t; --"},
        {"column": "user", "operator": "is null"},
    )
    assert statement.sql == (
        'DELETE FROM "t" WHERE d < :cutoff AND "level" IN (:filters_0_0, :filters_0_1)'
        ' AND "we""ird %s" <> :filters_1_0 AND "user" IS NULL'
    )
    assert statement.params == {
        "cutoff": 5, "filters_0_0": "debug", "filters_0_1": "info", "filters_1_0": "x'; DROP TABLE t; --",
    }  # fmt: skip
    assert "<> 'x''; DROP TABLE t; --'" in statement.text


def test_a_percent_in_a_column_is_escaped_where_the_driver_reads_it():
    assert "`50%%`" in rendered({"column": "50%", "operator": "=", "value": 1}, database=Percent).sql


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_has_its_form(operator):
    value = {"in": [1], "not in": [1, 2]}.get(operator, None if "null" in operator else 1)
    condition = {"column": "c", "operator": operator} | ({} if value is None else {"value": value})
    assert '"c"' in rendered(condition).sql


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "c", "operator": "=", "value": [1]},
        {"column": "c", "operator": "in", "value": 1},
        {"column": "c", "operator": "="},
        {"column": "c", "operator": "is null", "value": 1},
    ],
)
def test_a_value_that_does_not_fit_its_operator_is_refused(condition):
    with pytest.raises(ParameterError, match="the filter on 'c'"):
        rendered(condition)


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "c", "operator": "or 1=1", "value": 1},
        {"operator": "=", "value": 1},
        {"column": "c", "operator": "in", "value": []},
    ],
)
def test_what_is_no_filter_is_refused_by_the_schema(condition):
    with pytest.raises(ParameterError):
        rendered(condition)


def test_what_is_known_only_later_stands_by_its_name_for_people():
    tool = make_tool(BLOCKS, parameters=PARAMETERS, lock="RESERVED")
    values = tool.prepare({"table": "t", "cutoff": 5})
    assert render(tool, tool.blocks["do"], values, Dialect, later={"cutoff"}).text.endswith("d < :cutoff")

"""A filter compares a column with values of its own type, whatever a server would make of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.agents.log_cleanup.filters import fitted, method_class
from aishell.cli.agent_inputs import condition
from aishell.errors import ParameterError

TYPES = {
    "postgresql": {
        "smallint": "whole number", "integer": "whole number", "bigint": "whole number", "numeric": "number",
        "real": "number", "double precision": "number", "boolean": "truth value", "text": "text", "character": "text",
        "character varying": "text", "timestamp with time zone": "date", "date": "date", "time without time zone": "time of day",
        "interval": None, "point": None, "int4range": None, "int8multirange": None, "integer[]": None, "text[]": None,
        "jsonb": None, "uuid": None, "app.mood": None, "bytea": None, "inet": None,
    },
    "mysql": {
        "int(11)": "whole number", "tinyint(1)": "whole number", "bigint(20) unsigned": "whole number", "year(4)": "whole number",
        "mediumint(9)": "whole number", "bit(8)": "whole number", "decimal(10,2)": "number", "double": "number",
        "varchar(10)": "text", "char(1)": "text", "longtext": "text", "tinytext": "text", "enum('a','b')": "text",
        "set('a')": "text", "datetime(3)": "date", "timestamp": "date", "date": "date", "time": "time of day",
        "varbinary(16)": None, "tinyblob": None, "blob": None, "json": None, "point": None,
    },
    "sqlite": {
        "INTEGER": "whole number", "UNSIGNED BIG INT": "whole number", "VARCHAR(10)": "text", "CLOB": "text", "REAL": "number",
        "DOUBLE PRECISION": "number", "NUMERIC": "number", "BOOLEAN": "whole number", "DATETIME": "date", "": None, "BLOB": None,
        "STRING": None,
    },
}  # fmt: skip
CASES = [(engine, declared, kind) for engine, types in TYPES.items() for declared, kind in types.items()]
GOOD = {
    "whole number": [(5, 5), ("5", 5), ("-12", -12), ("+7", 7)],
    "number": [(5, 5), (1.5, 1.5), ("1.50", 1.5), ("-3", -3), ("1e3", 1000)],
    "truth value": [(True, True), ("false", False)],
    "text": [(0, "0"), ("007", "007"), (1.5, "1.5"), (True, "true"), ("abc", "abc"), ("", "")],
    "date": [("2026-01-31", "2026-01-31"), ("2026-01-31 12:30", "2026-01-31 12:30"),
             ("2026-01-31T12:30:01.5Z", "2026-01-31T12:30:01.5Z")],
    "time of day": [("12:30", "12:30"), ("23:59:59", "23:59:59")],
}  # fmt: skip
BAD = {
    "whole number": ["abc", "12abc", "", "1.5", 1.5, "0x10", "\u0661", "1e3", "null"],
    "number": ["abc", "", "1,5", "nan", "inf", True, "12abc"],
    "truth value": ["maybe", 2, ""],
    "text": [],
    "date": ["abc", 5, "2026", "20260131", "2026-13-01", "2026-02-30", "now()", "2026-W01", "31.01.2026", True],
    "time of day": ["abc", 12, "25:00", "12", "2026-01-01"],
}


@pytest.mark.parametrize(("engine", "declared", "kind"), CASES)
def test_what_the_values_of_a_type_are(engine, declared, kind):
    assert method_class(declared, engine) == kind


@pytest.mark.parametrize(("engine", "declared", "kind"), [case for case in CASES if case[2]])
@pytest.mark.parametrize("operator", ["=", "<", "in"])
def test_a_value_of_the_type_goes_as_it_and_no_other_goes(engine, declared, kind, operator):
    def asked(value):
        return {"column": "c", "operator": operator, "value": [value] if operator == "in" else value}

    for given_, expected in GOOD[kind]:
        found = fitted(asked(given_), declared, engine, "main.t")["value"]
        assert found == ([expected] if operator == "in" else expected)
        assert type(found[0] if operator == "in" else found) is type(expected)
    for wrong in BAD[kind]:
        with pytest.raises(ParameterError, match="invalid value") as raised:
            fitted(asked(wrong), declared, engine, "main.t")
        assert repr(wrong) in raised.value.message
        assert kind in (raised.value.hint or "")


@given(st.sampled_from(CASES), st.one_of(st.text(), st.integers(), st.floats(), st.booleans()))
def test_any_value_is_of_the_type_or_refused(case, value):
    engine, declared, kind = case
    try:
        found = fitted({"column": "c", "operator": "=", "value": value}, declared, engine, "main.t")["value"]
    except ParameterError:
        assert kind is not None
        return
    types = {
        "whole number": int,
        "number": (int, float),
        "text": str,
        "date": str,
        "time of day": str,
        "truth value": bool,
    }
    assert kind is None or isinstance(found, types[kind])


@pytest.mark.parametrize("operator", ["like", "is null", "is not null"])
def test_what_takes_no_value_of_the_type_is_left_as_it_is(operator):
    asked = {"column": "c", "operator": operator, **({"value": "a%"} if operator == "like" else {})}
    assert fitted(asked, "integer", "postgresql", "main.t") == asked


@pytest.mark.parametrize(
    ("text", "value"), [("c=007", "007"), ("c=12:30", "12:30"), ("c=5", 5),
    ("c=1.50", "1.50"), ("c=1.5", 1.5), ("c=true", True), ('c="0"', "0")]
)  # fmt: skip
def test_a_number_that_would_be_written_otherwise_stays_as_it_was_typed(text, value):
    assert condition(text) == {"column": "c", "operator": "=", "value": value}

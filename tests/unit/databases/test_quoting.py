"""Quoting: the name an object gets is the name that was quoted, whatever stands in it."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.databases.quoting import literal, quote
from aishell.errors import ParameterError
from tests.conftest import HOSTILE_NAMES

ENGINES = ("postgresql", "mysql", "sqlite")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1) | st.text(
    alphabet="\"'`[]%:;{}\\ -/*\nab", min_size=1
)


def created(name: str) -> str:
    """The name of the table that `CREATE TABLE` with the quoted name really makes."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {quote(name, 'sqlite')} (i)")
        ((found,),) = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        connection.execute(f"DROP TABLE {quote(name, 'sqlite')}")
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    return str(found)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_makes_the_table_of_that_name(name):
    assert created(name) == name


@given(NAMES.filter(lambda name: not name.lower().startswith("sqlite_")))
def test_any_name_makes_the_table_of_that_name(name):
    assert created(name) == name


@pytest.mark.parametrize(("engine", "mark"), [("postgresql", '"'), ("mysql", "`"), ("sqlite", '"')])
@given(name=NAMES)
def test_the_closing_mark_is_the_only_single_one(engine, mark, name):
    try:
        text = quote(name, engine)
    except ParameterError:
        assert len(name.encode()) > 63
        return
    assert text[0] == text[-1] == mark
    assert mark not in text[1:-1].replace(mark * 2, "")
    assert text[1:-1].replace(mark * 2, mark) == name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["", "a\x00b", "\x00"])
def test_a_name_no_object_can_have_is_refused(engine, name):
    with pytest.raises(ParameterError):
        quote(name, engine)


@pytest.mark.parametrize(
    ("engine", "longest", "too_long"),
    [
        ("postgresql", "x" * 63, "x" * 64),
        ("postgresql", "é" * 31, "é" * 32),
        ("mysql", "象" * 64, "象" * 65),
    ],
)
def test_a_name_the_server_would_cut_is_refused(engine, longest, too_long):
    assert quote(longest, engine)[1:-1] == longest
    with pytest.raises(ParameterError) as caught:
        quote(too_long, engine)
    assert "longer than" in caught.value.message


def test_sqlite_has_no_limit():
    assert created("x" * 5000) == "x" * 5000


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "NULL"), (True, "true"), (False, "false"), (5, "5"), (1.5, "1.5"), ("it's", "'it''s'"), ("", "''")],
)
def test_a_literal_reads_as_sql(value, text):
    assert literal(value) == text

"""What refers to what decides the order in which archived rows are put back."""

from __future__ import annotations

import pytest

from aishell.agents.log_cleanup.relatives import ForeignKey, order_of
from aishell.errors import ParameterError


def table(name):
    return "public", name


def key(parent, child, *free):
    return ForeignKey(table(parent), table(child), free)


def ordered(names, *keys):
    order = order_of([table(name) for name in names], keys)
    return [name for _, name in order.tables], {name: columns for (_, name), columns in order.later.items()}


def test_what_is_referred_to_comes_first():
    tables, later = ordered("dcba", key("a", "b"), key("b", "c"), key("a", "d"), key("c", "d"))
    assert tables == ["a", "b", "c", "d"]
    assert later == {}


def test_a_table_that_refers_to_itself_gets_these_columns_last():
    assert ordered("a", key("a", "a", "up")) == (["a"], {"a": ("up",)})


def test_a_circle_is_broken_where_a_column_may_be_null():
    tables, later = ordered("abc", key("a", "b"), key("b", "c"), key("c", "a", "c_id"))
    assert tables == ["a", "b", "c"]
    assert later == {"a": ("c_id",)}


def test_two_circles_are_both_broken():
    tables, later = ordered("abc", key("a", "b", "a_id"), key("b", "a"), key("b", "c"), key("c", "b", "c_id"))
    assert set(later) == {"b"}
    assert tables.index("b") < tables.index("a")
    assert set(later["b"]) == {"a_id", "c_id"}


def test_a_circle_that_cannot_be_broken_is_refused():
    with pytest.raises(ParameterError, match=r"public\.b must refer to rows of public\.a|public\.a must refer"):
        ordered("ab", key("a", "b"), key("b", "a"))
    with pytest.raises(ParameterError, match="could not be put back"):
        ordered("a", key("a", "a"))

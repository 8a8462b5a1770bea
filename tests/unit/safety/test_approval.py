"""What an approval is bound to: whatever of it changes voids the approval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.safety.approval import GROWTH_TOLERANCE, binding, outgrown
from aishell.settings import DEFAULT_POLICY
from tests.unit.making import make_tool

ROW = {"schema": "s", "table": "t", "kind": "table", "oid": "1", "indexes": '["CREATE INDEX a"]', "bytes": 100}
BOUND: dict[str, Any] = {
    "tool": make_tool(),
    "params": {"table": "t"},
    "statements": ["ANALYZE t"],
    "identity": "cluster 1",
    "objects": [ROW],
    "policy": DEFAULT_POLICY,
}


def test_the_same_request_has_the_same_digest():
    again = {**BOUND, "tool": make_tool(), "params": dict(BOUND["params"]), "statements": ("ANALYZE t",)}
    assert binding(**BOUND) == binding(**again)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool", make_tool(prose="Another text.")),
        ("params", {"table": "u"}),
        ("params", {"table": "t", "limit": 1}),
        ("statements", ["ANALYZE u"]),
        ("statements", ["ANALYZE t", "ANALYZE t"]),
        ("statements", []),
        ("identity", "cluster 2"),
        ("objects", []),
        ("objects", [ROW, ROW]),
        *(("objects", [{**ROW, key: "other"}]) for key in ("schema", "table", "kind", "oid", "indexes")),
        ("policy", replace(DEFAULT_POLICY, version="another")),
    ],
)
def test_anything_else_that_is_bound_makes_another_digest(name, value):
    assert binding(**{**BOUND, name: value}) != binding(**BOUND)


def test_growth_within_the_tolerance_is_not_part_of_the_digest():
    assert binding(**{**BOUND, "objects": [{**ROW, "bytes": 101, "busy_sessions": 3}]}) == binding(**BOUND)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (100, 100, None),
        (100, int(100 * GROWTH_TOLERANCE), None),
        (100, int(100 * GROWTH_TOLERANCE) + 1, "s.t grew from 100 to 151 bytes"),
        (100, 10, None),
        (None, 10**9, None),
        (100, None, None),
    ],
)
def test_a_table_that_grew_past_the_tolerance_is_named(before, after, expected):
    assert outgrown([{**ROW, "bytes": before}], [{**ROW, "bytes": after}]) == expected


def test_each_table_is_compared_with_itself():
    other = {**ROW, "table": "u", "bytes": 10_000}
    assert outgrown([ROW, other], [other, ROW]) is None
    assert "s.t grew" in (outgrown([other, ROW], [{**ROW, "bytes": 1000}, other]) or "")

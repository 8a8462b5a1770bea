"""Values as JSON and as digests: the same value the same digest, another value another."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.codec import canonical, digest, plain
from aishell.models import Decision, Estimate, Evidence, Plan, Risk, Step, Task, now

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Estimate(1.5, 3, "x"), {"seconds": 1.5, "bytes": 3, "based_on": "x", "work": None, "unit": None}),
        ((1, (2, 3)), [1, [2, 3]]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1: "a"}, {"1": "a"}),
        (Risk.HIGH, "high"),
        ({"d": Decision.AUTO}, {"d": "auto"}),
        (Decimal("3.00"), 3),
        (Decimal("3.25"), 3.25),
        (datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC), "2026-11-21T01:02:03+00:00"),
        (date(2026, 11, 21), "2026-11-21"),
        (time(1, 2, 3), "01:02:03"),
        (timedelta(days=1, seconds=2, milliseconds=500), 86402.5),
        (ip_address("::1"), "::1"),
        (ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (b"\x00\xff", "00ff"),
        (memoryview(b"ab"), "6162"),
        (Path("a/b"), "a/b"),
        (True, True),
    ],
)
def test_a_value_has_one_json_form(value, expected):
    made = plain(value)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, math.nan, Decimal("Infinity"), Decimal("-Infinity"), Decimal("NaN"), Decimal("sNaN")],
)
def test_a_figure_that_is_no_number_is_null_in_json(value):
    assert plain([value]) == [None]


def test_what_has_no_json_form_is_an_error():
    with pytest.raises(TypeError, match="object has no JSON form"):
        plain([object()])


@settings(max_examples=50)
@given(JSON)
def test_json_stays_as_it_is_and_is_read_back(value):
    assert plain(value) == value
    assert json.loads(canonical(value)) == value


@settings(max_examples=30)
@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_move_the_digest(value, random):
    keys = list(value)
    random.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


@settings(max_examples=50)
@given(JSON, JSON)
def test_values_have_the_same_digest_when_their_json_is_the_same(one, other):
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


def test_a_digest_names_its_algorithm_and_takes_any_text():
    assert digest("a") == digest("a") != digest("b")
    assert digest("\ud800").startswith("sha256:")
    assert len(digest("")) == len("sha256:") + 64


STEP = Step("a", "touch", {"table": "t"}, found=({"name": "i"},))
PLAN = Plan(Task("maintenance", "shop"), (STEP,), now(), "d", "identity", {"touch": "1"})


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, target_identity="another"),
        replace(PLAN, tool_versions={"touch": "2"}),
        replace(PLAN, steps=()),
        *(
            replace(PLAN, steps=(replace(STEP, **{key: value}),))
            for key, value in {
                "id": "b",
                "tool": "drop",
                "params": {"table": "u"},
                "needs": ("b",),
                "when": "True",
                "always": True,
                "on_error": "continue",
                "evidence": (Evidence("m", 1, "x", "now"),),
                "estimate": Estimate(1.0),
                "found": ({"name": "j"},),
            }.items()
        ),
    ],
)
def test_whatever_is_changed_in_a_plan_changes_its_digest(other):
    assert other.digest != PLAN.digest


def test_a_plan_made_again_later_has_the_same_digest():
    assert replace(PLAN, created_at=now(), warnings=("x",)).digest == PLAN.digest


def test_ranks_follow_the_order_of_strictness():
    assert [risk.rank for risk in (Risk.SAFE, Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.CRITICAL)] == [0, 1, 2, 3, 4]
    assert max(Decision, key=lambda decision: decision.rank) is Decision.DENY
    assert Decision.AUTO.rank < Decision.NOTIFY.rank < Decision.CONFIRM.rank < Decision.REVIEW.rank

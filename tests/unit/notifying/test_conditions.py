"""Conditions of rules: what is read, what it means, and what is refused with which remedy."""

from __future__ import annotations

import operator
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import UsageError
from aishell.notifying.conditions import METRICS, RUN_METRICS, SECONDS, Condition

MEANING = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@given(
    st.sampled_from(sorted(METRICS)),
    st.sampled_from(sorted(MEANING)),
    st.integers(0, 10**9),
    st.sampled_from(sorted(UNITS)),
    st.sampled_from(["", " ", "  "]),
    st.floats(0, 1e12),
)
def test_it_means_what_it_says(metric, compared, number, unit, blank, value):
    unit = unit if METRICS[metric].unit == SECONDS else ""
    condition = Condition.parse(f"{blank}{metric}{blank}{compared}{blank}{number}{unit}{blank}")
    assert condition.of == METRICS[metric].of
    assert condition.holds(value) == MEANING[compared](value, number * UNITS[unit])
    assert condition.holds(float(number * UNITS[unit])) == (compared in (">=", "<=", "=="))


def test_what_is_not_known_is_not_true_and_what_never_was_is_older_than_anything():
    old = Condition.parse("last_backup_age > 26h")
    assert (old.holds(None), old.holds(26 * 3600), old.holds(26 * 3600 + 1), old.holds(inf)) == (
        False,
        False,
        True,
        True,
    )
    assert not Condition.parse("execution_time != 5").holds(None)
    assert Condition.parse("execution_time >= 1.5m").holds(90.0)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write e.g."),
        ("execution_time", "write e.g."),
        ("execution_time >", "write e.g."),
        ("> 5", "write e.g."),
        ("execution_time > 5 and errors_encountered > 0", "write e.g."),
        ("execution_time => 5", "write e.g."),
        ("execution_time > -5", "write e.g."),
        ("execution_time > 5 m", "write e.g."),
        ("execution_time > 5w", "s, m, h and d"),
        ("execution_time > 5M", "write e.g."),
        ("execution_time > 1e3", "write e.g."),
        ("execution_time > ٥", "write e.g."),
        ("execution_time\n> 5; rm", "write e.g."),
        ("__import__('os') > 5", "write e.g."),
        ("execution_tmie > 5", "'execution_time'"),
        ("errors_encountered > 5m", "without a unit"),
    ],
)
def test_what_means_nothing_is_refused_with_a_remedy(text, remedy):
    with pytest.raises(UsageError) as caught:
        Condition.parse(text)
    assert remedy in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_only_what_is_listed_can_be_named():
    assert Condition.parse("execution_time > 5", RUN_METRICS)
    with pytest.raises(UsageError, match="unknown metric 'last_backup_age'"):
        Condition.parse("last_backup_age > 5h", RUN_METRICS)

"""The health score: its formula, and what it promises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.reporting.health import SEVERITIES, health, scored


def found(critical: int = 0, warning: int = 0, info: int = 0) -> list[dict[str, str]]:
    counts = {"critical": critical, "warning": warning, "info": info}
    return [{"severity": name, "finding": name} for name, number in counts.items() for _ in range(number)]


@pytest.mark.parametrize(
    ("findings", "score"),
    [
        (found(), 100),
        (found(info=3), 97),
        (found(info=99), 90),
        (found(warning=2, info=1), 89),
        (found(warning=99, info=99), 50),
        (found(critical=1), 40),
        (found(critical=2, warning=1), 25),
        (found(critical=99), 0),
        ([{"severity": "of a foreign tool"}, {}], 90),
    ],
)
def test_the_formula(findings, score):
    assert scored("shop", "r", "", findings).score == score


@given(st.lists(st.sampled_from(SEVERITIES)))
def test_it_is_below_50_where_something_critical_was_found_and_only_there(severities):
    one = scored("shop", "r", "", [{"severity": name} for name in severities])
    assert 0 <= one.score <= 100
    assert (one.score < 50) == ("critical" in severities)
    assert one.score == max(0, 100 - sum(part.points for part in one.lowered))
    assert sum(len(part.findings) for part in one.lowered) == len(severities)


@given(st.lists(st.sampled_from(SEVERITIES)), st.sampled_from(SEVERITIES))
def test_one_more_finding_never_raises_it(severities, more):
    findings = [{"severity": name} for name in severities]
    assert scored("t", "r", "", [*findings, {"severity": more}]).score <= scored("t", "r", "", findings).score


def test_it_is_read_from_what_the_store_has():
    assert health("t", "r", "", json.dumps({"findings": found(warning=1)})).lowered[0].points == 5
    assert health("t", "r", "", "{}").score == 100

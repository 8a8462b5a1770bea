"""Conditions: the small language they are, and that nothing outside of it is ever evaluated."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aishell.errors import PlanError, StepError
from aishell.planning import conditions

VALUES = {
    "task.task_id": "it",
    "task.description": None,
    "run.id": "7",
    "steps.a.output.n": 42,
    "steps.a.output.rate": 29.5,
    "steps.a.output.rows": [],
    "steps.a.output.names": ["x", "y"],
    "steps.a.output.ok": True,
    "steps.a.output.nothing": None,
}
COMPARISONS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def look_up(reference):
    return VALUES[reference.text]


def holds(condition: str) -> bool:
    conditions.check(condition)
    return conditions.holds(condition, look_up)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("${steps.a.output.n} > 30", True),
        ("${steps.a.output.n} > 42", False),
        ("${steps.a.output.rate} >= 29.5", True),
        ("-1 < ${steps.a.output.n}", True),
        ("10 < ${steps.a.output.n} < 42", False),
        ("${steps.a.output.rows} == []", True),
        ("${steps.a.output.names} != []", True),
        ("'x' in ${steps.a.output.names}", True),
        ("'z' not in ${steps.a.output.names}", True),
        ("${steps.a.output.n} in [41, 42]", True),
        ("${steps.a.output.n} in (1, 2)", False),
        ("${steps.a.output.ok}", True),
        ("not ${steps.a.output.ok}", False),
        ("${steps.a.output.ok} and ${steps.a.output.n} == 42", True),
        ("${steps.a.output.n} == 1 or ${task.task_id} == 'it'", True),
        ("${steps.a.output.nothing} is None", True),
        ("${steps.a.output.n} is not None", True),
        ("True", True),
        ("${run.id} == 7", False),  # a text is no number
    ],
)
def test_a_condition_means_what_it_says(condition, expected):
    assert holds(condition) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("${steps.a.output.nothing} > 30", False),
        ("${steps.a.output.nothing} <= 30", False),
        ("30 > ${steps.a.output.nothing}", False),
        ("'x' in ${steps.a.output.nothing}", False),
        ("not ${steps.a.output.nothing} > 30", True),
        ("${steps.a.output.nothing} > 30 or ${steps.a.output.n} == 42", True),
        ("${steps.a.output.n} == 42 and not ${steps.a.output.nothing} > 30", True),
    ],
)
def test_a_comparison_with_a_missing_value_is_false_and_the_rest_still_counts(condition, expected):
    assert holds(condition) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('true')",
        "().__class__",
        "[x for x in (1, 2)]",
        "(lambda: 1)()",
        "f'{1}'",
        "1 + 1 == 2",
        "'a' * 99999999 == ''",
        "2 ** 99999 > 1",
        "(x := 1)",
        "${steps.a.output.names}[0] == 'x'",
        "{1: 2} == 1",
        "{1, 2} == 1",
        "1 if True else 2",
        "~1 == 1",
        "'a' 'b' == x",
        "a == b",
        "_ref0 == 1",
        "'${task.task_id}' == 'it'",
        "x = 1",
        "1; 2",
        "",
        "1 ==",
        "$${run.id} == 1",
        "${run.id == 1",
        "${nobody.x} == 1",
        "a\x00b",
    ],
)
def test_what_is_not_of_the_language_is_refused_when_the_plan_is_made(condition):
    with pytest.raises(PlanError) as caught:
        conditions.check(condition)
    assert repr(condition) in caught.value.message or "nobody" in caught.value.message


def test_two_values_that_cannot_be_compared_fail_with_the_conditions_text():
    conditions.check("${steps.a.output.names} > 3")
    with pytest.raises(StepError) as caught:
        conditions.holds("${steps.a.output.names} > 3", look_up)
    assert "${steps.a.output.names} > 3" in caught.value.message


def test_a_skipped_step_is_told_the_figures():
    condition = "${steps.a.output.rate} > 30 and ${task.task_id} == 'it'"
    told = "only if rate of a > 30 and task_id of the task == 'it', and rate of a is 29.5, task_id of the task is 'it'"
    assert conditions.described(condition, look_up) == told
    assert conditions.described("${steps.a.output.rate} > 30", look_up) == "only if rate of a > 30, and it is 29.5"


@given(st.text())
def test_a_value_is_compared_and_never_parsed(value):
    assert conditions.holds("${run.id} == ${run.id}", lambda reference: value)
    assert conditions.holds("${run.id} in [${task.agent}]", lambda reference: value)
    assert not conditions.holds("${run.id} == 5", lambda reference: value)


@given(st.text(alphabet="()[]{}$.,'\"=<> notinandr0123_ab\\\n\x00") | st.text())
def test_any_text_is_a_condition_or_a_plan_error(text):
    try:
        conditions.check(text)
    except PlanError:
        return


NUMBERS = st.integers(-99, 99) | st.floats(-99, 99).map(lambda number: round(number, 2))


@st.composite
def expressions(draw, depth: int = 3):
    """(text, what Python's own operators make of it)."""
    kind = draw(st.sampled_from(["compare", "member"] if depth == 0 else ["compare", "member", "not", "and", "or"]))
    if kind == "compare":
        sign, left, right = draw(st.sampled_from(sorted(COMPARISONS))), draw(NUMBERS), draw(NUMBERS)
        return f"({left} {sign} {right})", COMPARISONS[sign](left, right)
    if kind == "member":
        item, items = draw(NUMBERS), draw(st.lists(NUMBERS, max_size=4))
        return f"({item} in {items})", item in items
    text, value = draw(expressions(depth - 1))
    if kind == "not":
        return f"(not {text})", not value
    other, other_value = draw(expressions(depth - 1))
    both = (value and other_value) if kind == "and" else (value or other_value)
    return f"({text} {kind} {other})", both


@settings(max_examples=60)
@given(expressions())
def test_operators_combine_as_in_python(expression):
    text, expected = expression
    assert holds(text) is expected

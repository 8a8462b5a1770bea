"""The policy: the matrix as specified, rules above it, and floors that nothing lowers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.models import SAFETY_LEVELS, Decision, Risk
from aishell.safety.policy import decide, tighter
from aishell.settings.policy import DEFAULT_POLICY, PolicyRule
from tests.unit.making import make_target, make_tool

AUTO, NOTIFY, CONFIRM, REVIEW, DENY = Decision
#: spec: safety.md, Policy; the answer for permissive, moderate and strict.
MATRIX = {
    Risk.SAFE: (AUTO, AUTO, AUTO),
    Risk.LOW: (AUTO, AUTO, AUTO),
    Risk.MEDIUM: (AUTO, AUTO, CONFIRM),
    Risk.HIGH: (CONFIRM, CONFIRM, REVIEW),
    Risk.CRITICAL: (REVIEW, REVIEW, REVIEW),
}


def tool(risk: Risk = Risk.LOW, **keys: str):
    return make_tool(risk=risk.value, **keys)


def decision(made, target=None, policy=DEFAULT_POLICY, level: str = "moderate") -> Decision:
    return max((r.decision for r in decide(made, target or make_target(), policy, level)), key=lambda d: d.rank)


def rules(*given_: PolicyRule):
    return replace(DEFAULT_POLICY, rules=given_)


@pytest.mark.parametrize("environment", ["test", "production"])
@pytest.mark.parametrize("level", SAFETY_LEVELS)
@pytest.mark.parametrize("risk", Risk)
def test_the_matrix_is_the_specified_one_and_production_always_asks_from_medium_on(risk, level, environment):
    expected = MATRIX[risk][("permissive", "moderate", "strict").index(level)]
    if environment == "production" and risk.rank >= Risk.MEDIUM.rank:
        expected = max(expected, CONFIRM, key=lambda d: d.rank)
    assert decision(tool(risk), make_target(environment=environment), level=level) is expected


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        (PolicyRule("r", DENY), True),
        (PolicyRule("r", DENY, tool="touch"), True),
        (PolicyRule("r", DENY, tool="to*"), True),
        (PolicyRule("r", DENY, tool="drop_*"), False),
        (PolicyRule("r", DENY, target="shop"), True),
        (PolicyRule("r", DENY, target="sho?"), True),
        (PolicyRule("r", DENY, target="SHOP"), False),
        (PolicyRule("r", DENY, label="eu"), True),
        (PolicyRule("r", DENY, label="e*"), True),
        (PolicyRule("r", DENY, label="us"), False),
        (PolicyRule("r", DENY, tool="touch", target="shop", label="us"), False),
    ],
)
def test_a_rule_is_for_the_tools_targets_and_labels_its_globs_match(rule, applies):
    target = make_target(labels=("small", "eu"))
    assert decision(tool(), target, rules(rule)) is (DENY if applies else AUTO)


def test_a_rule_for_a_label_is_not_for_a_target_without_labels():
    assert decision(tool(), make_target(), rules(PolicyRule("r", DENY, label="eu"))) is AUTO


def test_a_scoped_rule_goes_over_the_matrix():
    made = tool(Risk.HIGH)
    assert decision(made, policy=rules(PolicyRule("r", AUTO, tool="touch"))) is AUTO
    assert decision(made, policy=rules(PolicyRule("r", REVIEW, tool="touch"))) is REVIEW


def test_deny_wins_over_every_other_rule_in_any_order():
    allow, deny = PolicyRule("allow", AUTO, tool="touch", target="shop"), PolicyRule("deny", DENY)
    for policy in (rules(allow, deny), rules(deny, allow)):
        assert decision(tool(), policy=policy) is DENY


def test_the_matrix_may_answer_by_environment():
    matrix = {"moderate": {**DEFAULT_POLICY.matrix["moderate"], Risk.LOW: {"default": CONFIRM, "test": AUTO}}}
    policy = replace(DEFAULT_POLICY, matrix=matrix)
    assert decision(tool(), make_target(environment="test"), policy) is AUTO
    assert decision(tool(), make_target(environment="staging"), policy) is CONFIRM


FREE = rules(PolicyRule("free", AUTO))


@pytest.mark.parametrize(
    ("made", "environment", "floor"),
    [
        (tool(Risk.SAFE), "production", AUTO),
        (tool(Risk.LOW), "production", AUTO),
        (tool(Risk.MEDIUM), "production", CONFIRM),
        (tool(Risk.HIGH), "production", CONFIRM),
        (tool(Risk.MEDIUM), "test", AUTO),
        (tool(Risk.CRITICAL), "test", REVIEW),
        (tool(Risk.CRITICAL), "production", REVIEW),
        (tool(Risk.LOW, category="database_ddl"), "test", CONFIRM),
        (tool(Risk.LOW, requires_approval="true"), "test", CONFIRM),
    ],
)
def test_no_rule_and_no_level_goes_below_the_floors(made, environment, floor):
    for level in SAFETY_LEVELS:
        assert decision(made, make_target(environment=environment), FREE, level) is floor


def test_each_reason_names_the_rule_that_gave_it():
    made = tool(Risk.CRITICAL, category="database_ddl", requires_approval="true")
    said = list(decide(made, make_target(environment="production"), rules(PolicyRule("night", AUTO)), "moderate"))
    assert [r.rule for r in said] == ["policy rule 'night'", "production", "schema change", "tool", "critical"]
    assert all(reason.text for reason in said)


@pytest.mark.parametrize(
    ("configured", "asked", "expected"),
    [
        ("moderate", None, "moderate"),
        ("moderate", "permissive", "moderate"),
        ("moderate", "strict", "strict"),
        ("strict", "permissive", "strict"),
        ("permissive", "moderate", "moderate"),
    ],
)
def test_a_level_is_only_ever_tightened(configured, asked, expected):
    assert tighter(configured, asked) == expected


RULES = st.lists(st.builds(PolicyRule, st.text(), st.sampled_from(Decision), st.sampled_from(["*", "touch", "x"])))


@given(RULES, st.sampled_from(list(Risk)), st.sampled_from(SAFETY_LEVELS), st.sampled_from(["test", "production"]))
def test_one_more_rule_to_deny_always_denies(given_, risk, level, environment):
    made, target = tool(risk), make_target(environment=environment)
    assert decision(made, target, rules(*given_, PolicyRule("no", DENY)), level) is DENY
    if any(rule.decision is DENY and rule.tool != "x" for rule in given_):
        assert decision(made, target, rules(*given_), level) is DENY

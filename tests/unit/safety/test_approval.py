"""What an approval is bound to: whatever of it changes voids the approval."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from aishell.models import AgentConfig, Decision, Risk
from aishell.safety.approval import GROWTH_TOLERANCE, binding, governing, outgrown
from aishell.settings.policy import DEFAULT_POLICY, Earned, Policy, PolicyRule
from aishell.settings.targets import Target
from tests.unit.making import make_tool

ROW = {"schema": "s", "table": "t", "kind": "table", "oid": "1", "indexes": '["CREATE INDEX a"]', "bytes": 100}
AGENT = AgentConfig("maintenance_agent", "maintenance", capabilities=frozenset({"database_read"}))
TARGET = Target("shop", "sqlite:////tmp/shop.db", labels=("eu",))
BOUND: dict[str, Any] = {
    "tool": make_tool(),
    "params": {"table": "t"},
    "statements": ["ANALYZE t"],
    "identity": "cluster 1",
    "objects": [ROW],
    "rules": governing(DEFAULT_POLICY, AGENT, TARGET, "moderate"),
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
        ("rules", []),
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


RULES = (PolicyRule("a", Decision.CONFIRM, "drop_*"), PolicyRule("b", Decision.DENY, label="eu"))
LAG = {"type": "max_replica_lag", "max_seconds": 30, "where": "policy.yaml:30"}
POLICY = replace(DEFAULT_POLICY, rules=RULES, constraints=(LAG, {"type": "free_disk"}))
EARNED = Earned("optimize_table", 30, "production", Risk.MEDIUM)
#: Every key of the policy, changed in one way or another, and whether an approval given before still counts.
POLICIES: dict[str, list[tuple[Policy, bool]]] = {
    "matrix": [
        (
            replace(
                POLICY, matrix={**POLICY.matrix, level: {**row, risk: {**row[risk], environment: Decision.REVIEW}}}
            ),
            False,
        )
        for level, row in POLICY.matrix.items()
        for risk in ("safe", "low", "medium", "high")
        for environment in ("default", "staging")
        if row[risk].get(environment) is not Decision.REVIEW
    ],
    "rules": [
        (replace(POLICY, rules=()), False),
        (replace(POLICY, rules=(*RULES, PolicyRule("c", Decision.AUTO, "x"))), False),
        *(
            (replace(POLICY, rules=(RULES[0], replace(RULES[1], **{key: value}))), False)
            for key, value in {"decision": Decision.REVIEW, "tool": "x", "target": "x", "label": "x"}.items()
        ),
        (replace(POLICY, rules=tuple(reversed(RULES))), True),
        (replace(POLICY, rules=(replace(RULES[0], name="another name"), RULES[1])), True),
    ],
    "constraints": [
        (replace(POLICY, constraints=()), False),
        (replace(POLICY, constraints=({**LAG, "max_seconds": 31}, {"type": "free_disk"})), False),
        (replace(POLICY, constraints=(LAG, {"type": "free_disk", "on_violation": "block"})), False),
        (replace(POLICY, constraints=({"type": "free_disk"}, {**LAG, "where": "policy.yaml:31"})), True),
    ],
    "mode": [(replace(POLICY, mode="unattended"), False)],
    "preapprove_max_risk": [(replace(POLICY, preapprove_max_risk=Risk.HIGH), False)],
    "earned": [
        (replace(POLICY, earned=(EARNED,)), False),
        *(
            (replace(POLICY, earned=(replace(EARNED, **{key: value}),)), False)
            for key, value in {"after": 2, "target": "x"}.items()
        ),
    ],
    "approval_hours": [(replace(POLICY, approval_hours=1), True)],
    "prompt_seconds": [(replace(POLICY, prompt_seconds=1), True)],
}


def test_every_key_of_the_policy_is_settled():
    assert {field.name for field in fields(Policy)} == set(POLICIES)


@pytest.mark.parametrize(("policy", "holds"), [case for cases in POLICIES.values() for case in cases])
def test_an_approval_is_bound_to_what_decides_and_to_nothing_else_of_the_policy(policy, holds):
    assert (governing(policy, AGENT, TARGET, "moderate") == governing(POLICY, AGENT, TARGET, "moderate")) is holds


@pytest.mark.parametrize(
    ("agent", "target", "level", "holds"),
    [
        (AGENT, TARGET, "strict", False),
        (replace(AGENT, capabilities=frozenset()), TARGET, "moderate", False),
        (replace(AGENT, constraints=({"type": "no_cascade"},)), TARGET, "moderate", False),
        (replace(AGENT, max_retries=9, timeout_seconds=9, max_duration=9), TARGET, "moderate", True),
        (AGENT, replace(TARGET, environment="test"), "moderate", False),
        (AGENT, replace(TARGET, labels=()), "moderate", False),
        (AGENT, replace(TARGET, name="other"), "moderate", False),
        (AGENT, replace(TARGET, time_zone="Europe/Berlin", password_env="PW"), "moderate", True),
    ],
)
def test_an_approval_is_bound_to_the_agent_and_the_target_as_far_as_they_decide(agent, target, level, holds):
    assert (governing(POLICY, agent, target, level) == governing(POLICY, AGENT, TARGET, "moderate")) is holds

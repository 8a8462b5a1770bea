"""The gates together: the strictest reason decides, facts ask, and what may be answered in advance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aishell.models import Decision, Estimate, Risk, Step, Verdict
from aishell.safety import constraints, gates
from aishell.safety.approval import StandingApproval
from aishell.safety.locks import wait_of
from aishell.settings.policy import DEFAULT_POLICY, PolicyRule
from tests.unit.making import (
    VERIFY,
    make_config,
    make_context,
    make_server,
    make_table,
    make_target,
    make_tool,
    query_tool,
)

STEP = Step("a", "touch", {"table": "t"}, estimate=Estimate(1.0, None, "x"))
EXCLUSIVE = make_tool({"do": "VACUUM {table}", "verify": VERIFY}, lock="EXCLUSIVE")
MEDIUM, LOW, HIGH, CRITICAL = (make_tool(risk=risk) for risk in ("medium", "low", "high", "critical"))


def judge(tool, step=STEP, *, policy=DEFAULT_POLICY, level="moderate", config=None, in_force=(), **facts) -> Verdict:
    context = make_context(tool, **facts)
    config = config or make_config()
    return gates.judge(step, tool, context, config=config, constraints=in_force, policy=policy, level=level)


def rules_of(verdict: Verdict) -> set[str]:
    return {reason.rule for reason in verdict.reasons}


def test_a_quiet_step_on_a_test_target_passes():
    verdict = judge(MEDIUM)
    assert (verdict.decision, verdict.safe, verdict.requires_approval) == (Decision.AUTO, True, False)
    assert verdict.risk_level is Risk.MEDIUM


@pytest.mark.parametrize(
    ("tool", "step", "facts", "rule"),
    [
        (EXCLUSIVE, STEP, {"busy_sessions": 2}, "live traffic"),
        (MEDIUM, replace(STEP, estimate=Estimate()), {}, "estimate"),
        (MEDIUM, STEP, {"model_proposed": True}, "model"),
        (MEDIUM, STEP, {"target": make_target(environment="production")}, "production"),
        (MEDIUM, STEP, {"tables": (make_table(rows=2_000_000),)}, "max_table_size"),
        (make_tool(risk="low", requires_approval="true"), STEP, {}, "tool"),
        (make_tool(risk="low", category="database_ddl"), STEP, {}, "schema change"),
    ],
)
def test_a_fact_lifts_the_decision_to_confirm_and_leaves_the_risk(tool, step, facts, rule):
    verdict = judge(tool, step, in_force=constraints.build(()), **facts)
    assert verdict.decision is Decision.CONFIRM
    assert verdict.requires_approval
    assert verdict.safe
    assert rule in rules_of(verdict)
    assert verdict.risk_level is tool.risk_level
    assert any(r.text in verdict.risks for r in verdict.reasons if r.rule == rule)


@pytest.mark.parametrize(
    ("tool", "facts"),
    [(LOW, {"busy_sessions": 5}), (query_tool(), {"model_proposed": True}), (MEDIUM, {"busy_sessions": 5})],
)
def test_a_fact_that_does_not_matter_to_a_tool_does_not_ask(tool, facts):
    assert judge(tool, replace(STEP, estimate=Estimate(1.0)), **facts).decision is Decision.AUTO


def test_a_capability_the_agent_lacks_refuses():
    verdict = judge(MEDIUM, config=make_config(capabilities=frozenset()))
    assert (verdict.decision, verdict.safe) == (Decision.DENY, False)
    assert "contract" in rules_of(verdict)


def test_the_strictest_reason_decides_and_all_are_told():
    policy = replace(DEFAULT_POLICY, rules=(PolicyRule("night", Decision.REVIEW),))
    standby = make_server(standby=True)
    verdict = judge(MEDIUM, policy=policy, in_force=constraints.build(()), server=standby, model_proposed=True)
    assert (verdict.decision, verdict.safe, verdict.requires_approval) == (Decision.DENY, False, False)
    assert {"policy rule 'night'", "not_a_standby", "model"} <= rules_of(verdict)


def test_critical_work_is_reviewed_at_every_level():
    for level in ("permissive", "moderate", "strict"):
        assert judge(CRITICAL, level=level).decision is Decision.REVIEW


@pytest.mark.parametrize(
    ("risk", "decision", "yes", "limit", "expected"),
    [
        (Risk.MEDIUM, Decision.CONFIRM, True, Risk.MEDIUM, True),
        (Risk.LOW, Decision.CONFIRM, True, Risk.MEDIUM, True),
        (Risk.MEDIUM, Decision.CONFIRM, False, Risk.MEDIUM, False),
        (Risk.HIGH, Decision.CONFIRM, True, Risk.MEDIUM, False),
        (Risk.HIGH, Decision.CONFIRM, True, Risk.HIGH, True),
        (Risk.MEDIUM, Decision.CONFIRM, True, Risk.LOW, False),
        (Risk.LOW, Decision.REVIEW, True, Risk.HIGH, False),
        (Risk.CRITICAL, Decision.REVIEW, True, Risk.HIGH, False),
        (Risk.CRITICAL, Decision.CONFIRM, True, Risk.HIGH, False),
        (Risk.LOW, Decision.DENY, True, Risk.HIGH, False),
    ],
)
def test_yes_answers_confirmations_up_to_what_the_policy_lets_be_preapproved(risk, decision, yes, limit, expected):
    verdict = Verdict(risk, decision, True)
    assert gates.preapproved(verdict, yes, replace(DEFAULT_POLICY, preapprove_max_risk=limit)) is expected


@pytest.mark.parametrize("risk", Risk)
@pytest.mark.parametrize("up_to", [None, Risk.LOW, Risk.MEDIUM, Risk.HIGH])
@pytest.mark.parametrize("decision", Decision)
def test_a_standing_approval_answers_what_yes_would_and_within_its_own_limit(risk, up_to, decision):
    verdict, standing = (
        Verdict(risk, decision, True),
        None if up_to is None else StandingApproval("schedule nightly", up_to),
    )
    for most in (Risk.LOW, Risk.MEDIUM, Risk.HIGH):
        policy = replace(DEFAULT_POLICY, preapprove_max_risk=most)
        within = up_to is not None and risk.rank <= up_to.rank and risk.rank <= most.rank
        assert gates.standing_for(verdict, standing, policy) is (within and decision is Decision.CONFIRM)


def test_mitigations_are_those_really_in_force():
    blocks = {
        "find": "SELECT 1 AS schema, 2 AS name",
        "probe": "SELECT 1",
        "do": "REINDEX INDEX CONCURRENTLY {schema}.{name}",
        "verify": VERIFY,
        "leftovers": "SELECT 1 AS rest",
        "cleanup": "DROP INDEX CONCURRENTLY {rest}",
    }
    tool = make_tool(blocks, "postgresql", runs="each", parameters=None)
    assert list(gates.mitigations(tool)) == [
        "lock timeout 300 s, 3 tries",
        "stopped after 60 s",
        "the lock is first tried without waiting; if it is held, the object is deferred",
        "leftovers of an interrupted statement are removed before a retry",
        "its effect is verified in the database afterwards",
    ]
    assert list(gates.mitigations(query_tool(max_execution_time=None))) == []


@pytest.mark.parametrize(
    ("tool", "seconds"),
    [
        (make_tool(lock_timeout="2.5"), (1, 2.5)),
        (make_tool(), (1, 15)),
        (make_tool({"do": "VACUUM {table}", "verify": VERIFY}, "postgresql"), (300, 300)),
        (make_tool({"do": "VACUUM FULL {table}", "verify": VERIFY}, "postgresql", lock="ACCESS EXCLUSIVE"), (1, 15)),
    ],
)
def test_a_lock_is_waited_for_as_the_tool_says_else_as_the_lock_does(tool, seconds):
    assert (wait_of(tool).seconds, wait_of(tool).patience) == seconds


def test_the_lock_and_the_disk_a_step_needs_are_among_its_risks():
    step = replace(STEP, estimate=Estimate(1.0, 5_000_000, "x"))
    risks = judge(EXCLUSIVE, step).risks
    assert any(risk.startswith("takes EXCLUSIVE: blocks everything") for risk in risks)
    assert "needs about 5,000,000 bytes of free disk while it runs" in risks

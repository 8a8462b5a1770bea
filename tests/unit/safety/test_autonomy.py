"""What earned autonomy can answer: the confirmation that a risk asks for, and nothing else, however it is called."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.models import Decision, Estimate, Reason, Risk, Step, Tally, Verdict
from aishell.safety import autonomy, constraints, gates
from aishell.safety.constraints import Violation
from aishell.settings.policy import DEFAULT_POLICY, Earned, PolicyRule
from tests.fix_tools import registry
from tests.unit.making import VERIFY, make_config, make_context, make_server, make_table, make_target, make_tool

STEP = Step("a", "touch", {"table": "t"}, estimate=Estimate(1.0, None, "x"))
EARNED = Earned("touch", 3, "production", Risk.MEDIUM)
POLICY = replace(DEFAULT_POLICY, earned=(EARNED,))
ENOUGH = Tally((4, 9, 17))
SHOP = make_target(environment="production")


def judge(
    tool=None, *, tally=ENOUGH, policy=POLICY, level="moderate", config=None, in_force=(), step=STEP, **facts
) -> Verdict:
    tool = tool or make_tool()
    context = make_context(tool, **{"target": SHOP, **facts})
    config = config or make_config()
    return gates.judge(
        step, tool, context, config=config, constraints=in_force, policy=policy, level=level, tally=tally
    )


@pytest.mark.parametrize("level", ["permissive", "moderate", "strict"])
def test_what_the_risk_asks_for_is_answered(level):
    verdict = judge(level=level)
    assert (verdict.decision, verdict.requires_approval, verdict.safe) == (Decision.NOTIFY, False, True)
    assert verdict.earned is not None
    assert (verdict.earned.granted, verdict.earned.events) == (True, (4, 9, 17))
    (reason,) = [one for one in verdict.reasons if one.rule == autonomy.RULE]
    assert "3 supervised runs" in reason.text
    assert "events 4, 9, 17" in reason.text


@pytest.mark.parametrize("tally", [Tally(), Tally((4, 9)), Tally((4, 9, 17), problem="the log was cut")])
def test_less_than_that_asks_on_and_says_how_much_there_is(tally):
    verdict = judge(tally=tally)
    assert verdict.decision is Decision.CONFIRM
    assert verdict.earned is not None
    assert (verdict.earned.granted, verdict.earned.count) == (False, tally.count)
    assert (tally.problem or f"{tally.count} of 3") in verdict.reasons[-1].text
    assert verdict.reasons[-1].text not in verdict.risks


class Impostor(constraints.Constraint):
    """A constraint of somebody's own, which calls itself by the name of a rule of the policy."""

    type = "impostor"

    def __init__(self, rule: str) -> None:
        self.rule = rule

    def check(self, step, context):
        return Violation(self.rule, "it asks", Decision.CONFIRM)


HELD = {
    "a constraint": {"in_force": constraints.build(()), "tables": (make_table(rows=2_000_000),)},
    "a constraint called production": {"in_force": (Impostor("production"),)},
    "a constraint called policy matrix": {"in_force": (Impostor("policy matrix"),)},
    "a scoped rule": {"policy": replace(POLICY, rules=(PolicyRule("mine", Decision.CONFIRM),))},
    "a scoped rule called policy matrix": {
        "policy": replace(POLICY, rules=(PolicyRule("policy matrix", Decision.CONFIRM),))
    },
    "a model's plan": {"model_proposed": True},
    "no estimate": {"step": replace(STEP, estimate=Estimate())},
    "live traffic": {
        "tool": make_tool({"do": "VACUUM {table}", "verify": VERIFY}, lock="EXCLUSIVE"),
        "busy_sessions": 2,
    },
    "it always asks": {"tool": make_tool(requires_approval="true")},
    "a schema change": {"tool": make_tool(category="database_ddl")},
    "another category": {"tool": make_tool(category="repair")},
    "high risk": {"tool": make_tool(risk="high")},
    "it drops": {"tool": make_tool({"do": "DROP INDEX {table}", "verify": VERIFY}, category="maintenance")},
    "risk above the rule's": {"policy": replace(POLICY, earned=(replace(EARNED, max_risk=Risk.LOW),))},
    "another tool": {"policy": replace(POLICY, earned=(replace(EARNED, tool="poke"),))},
    "another environment": {"policy": replace(POLICY, earned=(replace(EARNED, environment="staging"),))},
    "another target": {"policy": replace(POLICY, earned=(replace(EARNED, target="crm"),))},
    "another rule asks for more": {"policy": replace(POLICY, earned=(EARNED, replace(EARNED, after=4, target="shop")))},
    "another rule allows less": {
        "policy": replace(POLICY, earned=(EARNED, replace(EARNED, max_risk=Risk.LOW, target="shop")))
    },
    "nothing is counted": {"tally": None},
    "no rule": {"policy": DEFAULT_POLICY},
}


@pytest.mark.parametrize("held", HELD)
def test_whatever_else_asks_is_not_answered(held):
    verdict = judge(**HELD[held])
    assert verdict.decision.rank >= Decision.CONFIRM.rank
    assert verdict.requires_approval
    assert verdict.earned is None or not verdict.earned.granted


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        ({"config": make_config(capabilities=frozenset())}, Decision.DENY),
        ({"in_force": constraints.build(()), "server": make_server(standby=True)}, Decision.DENY),
        ({"policy": replace(POLICY, rules=(PolicyRule("no", Decision.DENY),))}, Decision.DENY),
        ({"policy": replace(POLICY, rules=(PolicyRule("look", Decision.REVIEW),))}, Decision.REVIEW),
    ],
)
def test_what_is_stricter_stays(facts, decision):
    assert judge(**facts).decision is decision


def test_what_runs_anyway_is_not_touched():
    policy = replace(POLICY, earned=(replace(EARNED, environment="staging"),))
    verdict = judge(target=make_target(environment="staging"), policy=policy)
    assert (verdict.decision, verdict.earned) == (Decision.AUTO, None)


RULES = ("policy matrix", "production", "tool", "policy rule 'x'", "max_load")
reasons = st.lists(st.builds(Reason, st.sampled_from(RULES), st.just("because"), st.sampled_from(Decision)))


@given(reasons, reasons, st.integers(0, 6), st.integers(1, 6))
def test_it_is_granted_where_nothing_but_the_risk_confirms_and_enough_is_counted(policy, others, count, after):
    rule = replace(EARNED, after=after)
    found = autonomy.earning(rule, Tally(tuple(range(count))), policy, others)
    strict = [one for one in (*policy, *others) if one.decision.rank >= Decision.CONFIRM.rank]
    from_risk = [
        one for one in policy if one.rule in ("policy matrix", "production") and one.decision is Decision.CONFIRM
    ]
    answerable = bool(strict) and strict == from_risk
    assert (found is not None and found.granted) is (answerable and count >= after)


#: Every shipped tool that can earn it; a tool that comes to be here was looked at by somebody.
ABLE = {
    "batch_update_statistics",
    "incremental_vacuum",
    "optimize_table",
    "rebuild_fragmented_indexes",
    "reset_restore_mark",
    "update_all_statistics",
    "update_table_statistics",
}


def test_the_shipped_tools_that_can_earn_it():
    able = {tool.name for tool in registry() if not tool.read_only and autonomy.unearnable(tool) is None}
    assert able == ABLE

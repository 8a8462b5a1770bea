"""Earned autonomy: which tools can earn it, which policy rule applies, and what a count of runs allows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aishell.models import Decision, Earning, Reason, Risk, Tally
from aishell.registry.tool import Tool
from aishell.safety.policy import FLOOR, MATRIX
from aishell.settings.policy import Earned, Policy
from aishell.settings.targets import Target

#: The rule that the verdict names; `approved_by` of a step that ran by it begins so.
RULE = "earned autonomy"
#: What a statement begins with or holds that takes something away for good.
_TAKES_AWAY = re.compile(r"\b(DELETE|DROP|TRUNCATE|pg_drop_\w+)\b", re.IGNORECASE)


def unearnable(tool: Tool) -> str | None:
    """Why a tool can never earn autonomy; None for one that can."""
    if tool.undoing:
        return "it undoes another tool's work"
    if tool.category != "maintenance":
        return f"its category is {tool.category}"
    if tool.requires_approval:
        return "its file says requires_approval"
    if tool.risk_level.rank > Risk.MEDIUM.rank:
        return f"its risk is {tool.risk_level}"
    work = "".join(text for kind, text in tool.blocks["do"].pieces if kind == "text") if "do" in tool.blocks else ""
    if tool.deletes or tool.archives or _TAKES_AWAY.search(work):
        return "it deletes"
    if "verify" not in tool.blocks:
        return "nothing verifies what it does"
    return None


def fault(rule: Earned, variants: Iterable[Tool]) -> str | None:
    """Why a rule could never grant autonomy to any of a tool's files; None if it could."""
    faults = [unearnable(tool) or _above(rule, tool) for tool in variants]
    return faults[0] if faults and all(faults) else None


def _above(rule: Earned, tool: Tool) -> str | None:
    beyond = tool.risk_level.rank > rule.max_risk.rank
    return f"its risk is {tool.risk_level}, above max_risk: {rule.max_risk}" if beyond else None


def rules_for(policy: Policy, tool: str, target: Target) -> list[Earned]:
    """The rules for a tool, by name, on a target."""
    return [
        rule
        for rule in policy.earned
        if rule.tool == tool and rule.environment == target.environment and rule.target in (None, *target.names)
    ]


def rule_for(policy: Policy, tool: Tool, target: Target) -> Earned | None:
    """The rule that applies: of those that match, the most demanding. None if the tool needs approval anyway."""
    fitting = rules_for(policy, tool.name, target)
    if not fitting or unearnable(tool) is not None or any(_above(rule, tool) for rule in fitting):
        return None
    return max(fitting, key=lambda rule: rule.after)


def earning(
    rule: Earned | None, tally: Tally | None, policy: Iterable[Reason], others: Iterable[Reason]
) -> Earning | None:
    """What was earned, where it can answer; None where no rule fits, nothing asks, or something asks that it cannot answer.

    `policy`: what the policy says of the tool; `others`: every other reason. It answers what asks by the risk alone.
    """
    asking = [reason for reason in policy if reason.decision.rank >= Decision.CONFIRM.rank]
    by_risk = all(reason.rule in (MATRIX, FLOOR) and reason.decision is Decision.CONFIRM for reason in asking)
    if rule is None or tally is None or not asking or not by_risk:
        return None
    if any(reason.decision.rank >= Decision.CONFIRM.rank for reason in others):
        return None
    granted = tally.problem is None and tally.count >= rule.after
    return Earning(rule.after, tally.count, tally.events, granted)


def told(found: Earning, tally: Tally) -> Reason:
    """The verdict's reason for earned autonomy, granted or not yet."""
    runs = f"{found.count}{f' of {found.after}' if found.count < found.after else ''} supervised runs"
    text = tally.problem or f"{runs} succeeded and were verified since it last failed here"
    if found.events and tally.problem is None:
        text += f" (event{'s' if found.count > 1 else ''} {_few(found.events)} of the audit log)"
    return Reason(RULE, text, Decision.NOTIFY if found.granted else Decision.CONFIRM)


def _few(events: tuple[int, ...]) -> str:
    """A few event numbers, or the first and last of many."""
    if len(events) <= 5:
        return ", ".join(map(str, events))
    return f"{events[0]} to {events[-1]}, {len(events)} of them"

"""The gates in order: contract, constraints, policy. Together they give a verdict; no approval is requested here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aishell.models import AgentConfig, Decision, Reason, Risk, Step, Tally, Verdict
from aishell.registry.tool import Tool
from aishell.reporting.units import few_names
from aishell.safety import autonomy
from aishell.safety.constraints import Constraint, ConstraintContext
from aishell.safety.locks import ROLES, felt, lock_of, locks_of, wait_of
from aishell.safety.policy import decide
from aishell.settings.policy import Policy

if TYPE_CHECKING:
    from aishell.safety.approval import StandingApproval


def judge(
    step: Step,
    tool: Tool,
    context: ConstraintContext,
    *,
    config: AgentConfig,
    constraints: Iterable[Constraint],
    policy: Policy,
    level: str,
    tally: Tally | None = None,
) -> Verdict:
    """What safety says of a step. The strictest reason decides; `safe` is false when a gate refuses.

    `tally`: the supervised runs of its tool on its target, where a rule of the policy wants them counted. As many as that asks
    for answer what the policy asks by the risk alone.
    """
    violations = (constraint.check(step, context) for constraint in constraints)
    others = [*_contract(tool, config), *context.noted]
    others += (violation for violation in violations if violation is not None)
    policies = list(decide(tool, context.target, policy, level))
    facts = list(_facts(step, tool, context))
    reasons = [*others, *policies, *facts]
    risks = tuple(_risks(step, tool, context, reasons))
    decision = max((reason.decision for reason in reasons), key=lambda d: d.rank)
    rule = autonomy.rule_for(policy, tool, context.target)
    earned = autonomy.earning(rule, tally, policies, (*others, *facts))
    if earned is not None and tally is not None:
        reasons.append(autonomy.told(earned, tally))
        decision = reasons[-1].decision
    return Verdict(
        risk_level=tool.risk_level,
        decision=decision,
        safe=decision is not Decision.DENY,
        reasons=tuple(reasons),
        risks=risks,
        mitigations=tuple(mitigations(tool)),
        earned=earned,
    )


def preapproved(verdict: Verdict, yes: bool, policy: Policy) -> bool:
    """Whether `--yes` approves this step: it needs only a confirmation, and policy allows pre-approval at its risk."""
    return yes and verdict.decision is Decision.CONFIRM and verdict.risk_level.rank <= policy.preapprove_max_risk.rank


def standing_for(verdict: Verdict, standing: StandingApproval | None, policy: Policy) -> bool:
    """Whether a standing approval covers this step: `--yes` would, and the risk is within the approval's own limit."""
    within = standing is not None and verdict.risk_level.rank <= standing.up_to.rank
    return preapproved(verdict, within, policy)


def mitigations(tool: Tool) -> Iterable[str]:
    """The limits in force when this tool runs."""
    wait = wait_of(tool)
    if not tool.read_only and wait.sliced:
        yield f"waits for locks {wait.seconds:g} s at a time, with pauses, {wait.patience:g} s altogether"
    elif not tool.read_only:
        yield f"lock timeout {wait.seconds:g} s, {lock_of(tool).tries} tries"
    if tool.max_execution_time is not None:
        yield f"stopped after {tool.max_execution_time} s"
    if tool.way.batches:
        yield "each batch is a short transaction; it can be stopped between any two"
    if "probe" in tool.blocks:
        yield "the lock is first tried without waiting; if it is held, the object is deferred"
    if "check" in tool.blocks:
        yield "each object is checked again right before it is dropped; one that must stay is kept"
    if "cleanup" in tool.blocks:
        yield "leftovers of an interrupted statement are removed before a retry"
    if "verify" in tool.blocks:
        yield "its effect is verified in the database afterwards"


def locks_told(tool: Tool, found: Iterable[Mapping[str, Any]] | None = None) -> Iterable[str]:
    """Each lock, the table it is taken on and what it blocks; tables are named where the rows of `find` list them."""
    rows = list(found or ())
    for role, lock in locks_of(tool).items():
        names = sorted({str(name) for row in rows if isinstance(row.get(role), (list, tuple)) for name in row[role]})
        where = f"on {ROLES[role]}{f' ({few_names(names)})' if names else ''} " if role else ""
        if lock.strength:
            yield f"{where}{lock.name}: blocks {lock.blocks}"


def _contract(tool: Tool, config: AgentConfig) -> Iterable[Reason]:
    missing = tool.required_capabilities - config.capabilities
    if missing:
        yield Reason("contract", f"the agent lacks the capability {min(missing)}", Decision.DENY)


def _facts(step: Step, tool: Tool, context: ConstraintContext) -> Iterable[Reason]:
    """Facts that raise the decision to at least `confirm`; they never change the risk level."""
    if context.model_proposed and tool.risk_level.rank >= Risk.MEDIUM.rank:
        yield Reason("model", "a language model proposed this plan", Decision.CONFIRM)
    elif context.worded and tool.risk_level.rank >= Risk.MEDIUM.rank:
        yield Reason("plain language", "the task was read from plain language", Decision.CONFIRM)
    if tool.risk_level.rank < Risk.MEDIUM.rank:
        return
    if tool.deletes and not step.params.get("archive"):
        yield Reason("not archived", "rows are deleted for good, without an archive", Decision.CONFIRM)
    if any(lock.exclusive for lock in felt(tool).values()) and context.busy_sessions:
        yield Reason("live traffic", f"{context.busy_sessions} other sessions use the table now", Decision.CONFIRM)
    if step.estimate.seconds is None and not tool.way.unseen:
        yield Reason("estimate", "its duration cannot be estimated", Decision.CONFIRM)


def _risks(step: Step, tool: Tool, context: ConstraintContext, reasons: Iterable[Reason]) -> Iterable[str]:
    """The risks, in a DBA's terms."""
    for role, lock in felt(tool).items():
        if lock.strength >= 4 and not tool.read_only:
            yield f"takes {lock.name}{f' on {ROLES[role]}' if role else ''}: blocks {lock.blocks}"
    if step.estimate.bytes and not tool.read_only:
        yield f"needs about {step.estimate.bytes:,} bytes of free disk while it runs"
    yield from (
        reason.text
        for reason in reasons
        if reason.decision.rank >= Decision.CONFIRM.rank and not reason.rule.startswith("policy")
    )

"""The policy: risk × environment → decision, scoped rules above it, floors that no rule can lower."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from aishell.models import SAFETY_LEVELS, Decision, Reason, Risk
from aishell.registry.tool import Tool
from aishell.settings.policy import Policy
from aishell.settings.targets import PRODUCTION, Target

#: The reasons that earned autonomy can answer: what the risk asks for, and nothing that is known of the step.
MATRIX, FLOOR = "policy matrix", "production"


def tighter(configured: str, requested: str | None) -> str:
    """The stricter of two safety levels: `--safety-level` may only tighten."""
    if requested is None:
        return configured
    return max(configured, requested, key=SAFETY_LEVELS.index)


def decide(tool: Tool, target: Target, policy: Policy, level: str) -> Iterator[Reason]:
    """The decisions of every policy rule that matches a tool on a target; the strictest one applies."""
    rules = [
        rule
        for rule in policy.rules
        if _fits(tool.name, rule.tool)
        and any(_fits(name, rule.target) for name in target.names)
        and (rule.label == "*" or any(_fits(label, rule.label) for label in target.labels))
        and _fits(target.environment, rule.environment)
    ]
    row = policy.matrix[level][tool.risk_level]
    usual = row.get(target.environment, row["default"])
    for rule in rules:
        yield Reason(f"policy rule {rule.name!r}", f"{tool.name} on {target.name}", rule.decision)
    if not rules or usual is Decision.DENY:  # a scoped rule goes before the matrix, but `deny` always wins
        yield Reason(MATRIX, f"{tool.risk_level} risk, {target.environment}, {level}", usual)
    if target.environment == PRODUCTION and tool.risk_level.rank >= Risk.MEDIUM.rank:
        yield Reason(FLOOR, f"{tool.risk_level} risk on a production target", Decision.CONFIRM)
    if tool.category == "database_ddl":
        yield Reason("schema change", f"{tool.name} changes the schema", Decision.CONFIRM)
    if tool.requires_approval:
        yield Reason("tool", f"{tool.name} always asks", Decision.CONFIRM)
    if tool.risk_level is Risk.CRITICAL:
        yield Reason("critical", "critical work is always reviewed", Decision.REVIEW)


def _fits(name: str, wanted: str) -> bool:
    """Whether a rule's pattern, a name or a glob, matches a name."""
    return name == wanted or fnmatchcase(name, wanted)

"""`policy.yaml` as a value: what may run without approval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aishell.codec import canonical, digest
from aishell.models import Decision, Risk
from aishell.settings.files import checked, fields_of, placed, read
from aishell.settings.schemas import POLICY
from aishell.settings.validation import Known, wrong
from aishell.settings.yamlfile import Document


@dataclass(frozen=True)
class PolicyRule:
    """A rule above the matrix, scoped by globs on tool, target, label and environment."""

    name: str
    decision: Decision
    tool: str = "*"
    target: str = "*"
    label: str = "*"
    environment: str = "*"


@dataclass(frozen=True)
class Earned:
    """A tool runs without approval on a target after this many supervised runs there. `target` None: every target."""

    tool: str
    after: int
    environment: str
    max_risk: Risk
    target: str | None = None


def in_force(constraints: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the constraints in canonical form, sorted, without their places in the file."""
    return sorted({canonical({key: value for key, value in one.items() if key != "where"}) for one in constraints})


@dataclass(frozen=True)
class Policy:
    """`config/policy.yaml`. `matrix[level][risk]` is a decision, or one per environment with `default`."""

    matrix: Mapping[str, Mapping[str, Mapping[str, Decision]]]
    rules: tuple[PolicyRule, ...] = ()
    constraints: tuple[Mapping[str, Any], ...] = ()
    mode: str = "interactive"  # interactive | unattended
    preapprove_max_risk: Risk = Risk.MEDIUM
    earned: tuple[Earned, ...] = ()
    approval_hours: float = 24
    prompt_seconds: float = 300

    @property
    def version(self) -> str:
        """The digest of everything that decides: an approval given under another one is void.

        Names of rules, order, and the waiting times `approval_hours` and `prompt_seconds` decide nothing.
        """
        rules = sorted({(rule.decision, rule.tool, rule.target, rule.label, rule.environment) for rule in self.rules})
        decides = [self.matrix, rules, in_force(self.constraints), self.mode, self.preapprove_max_risk]
        if self.earned:  # a policy without them keeps the digest from before `earned` existed
            decides.append(sorted(canonical(rule) for rule in set(self.earned)))
        return digest(decides)


_MATRIX = {
    "permissive": ("auto", "auto", "auto", "confirm", "review"),
    "moderate": ("auto", "auto", "auto", "confirm", "review"),
    "strict": ("auto", "auto", "confirm", "review", "review"),
}


DEFAULT_POLICY = Policy(
    {
        level: {risk: {"default": Decision(decision)} for risk, decision in zip(Risk, row, strict=True)}
        for level, row in _MATRIX.items()
    }
)


def load_policy(
    config: Path, known: Known | None = None, unearnable: Callable[[Earned], str | None] = lambda rule: None
) -> Policy:
    """Return `policy.yaml`, with defaults for what is absent. `known`: the names that its rules may use (see `Known`).

    `unearnable` says why a rule of `earned` could never let its tool run without approval.
    """
    document = read(config / "policy.yaml", str(config / "policy.yaml"))
    if document is None:
        return DEFAULT_POLICY
    data = checked(document, POLICY, known)
    rules = (
        PolicyRule(**{"name": f"rule {number}", **fields_of(rule), "decision": Decision(rule["decision"])})
        for number, rule in enumerate(data.get("rules") or (), 1)
    )
    values = {name: data[name] for name in ("mode", "approval_hours", "prompt_seconds") if data.get(name) is not None}
    return Policy(
        _matrix(data.get("matrix") or {}),
        tuple(rules),
        placed(document, "constraints"),
        preapprove_max_risk=Risk(data.get("preapprove_max_risk") or "medium"),
        earned=_earned(document, unearnable),
        **values,
    )


def _matrix(given: Mapping[str, Mapping[str, Any] | None]) -> Mapping[str, Mapping[str, Mapping[str, Decision]]]:
    """Return the built-in matrix, overridden by the file's: per risk a decision, or one for each environment."""
    matrix = {level: dict(row) for level, row in DEFAULT_POLICY.matrix.items()}
    for level, row in given.items():
        for risk, decided in (row or {}).items():
            decisions = decided if isinstance(decided, dict) else {"default": decided}
            named = {str(where): Decision(one) for where, one in decisions.items() if one is not None}
            matrix[level][risk] = {**matrix[level][risk], **named}
    return matrix


def _earned(document: Document, unearnable: Callable[[Earned], str | None]) -> tuple[Earned, ...]:
    rules = []
    for number, data in enumerate(document.data.get("earned") or () if document.data else ()):
        rule = Earned(**{**fields_of(data), "max_risk": Risk(data["max_risk"])})
        if (why := unearnable(rule)) is not None:
            hint = (
                "remove the rule: tools that maintain, ask by their risk alone, delete nothing and verify can earn it"
            )
            raise wrong(document, "earned", number, message=f"{rule.tool} cannot run unasked: {why}", hint=hint)
        rules.append(rule)
    return tuple(rules)

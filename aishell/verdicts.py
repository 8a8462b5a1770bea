"""What safety says of a step. Frozen, without I/O, like the other values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aishell.models import Risk


class Decision(StrEnum):
    """What safety says of a step; a higher `rank` is stricter and wins."""

    AUTO = "auto"
    NOTIFY = "notify"
    CONFIRM = "confirm"
    REVIEW = "review"
    DENY = "deny"

    @property
    def rank(self) -> int:
        return list(Decision).index(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing a gate said, with the rule that made it say so."""

    rule: str
    text: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Earning:
    """How far a step's tool has come on a target towards running unasked: a rule of the policy, and what is counted for it."""

    after: int  # so many supervised runs are asked for
    count: int
    events: tuple[int, ...]  # of the audit log: what the count rests on, the newest last
    granted: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say of a step."""

    risk_level: Risk
    decision: Decision
    safe: bool
    reasons: tuple[Reason, ...] = ()
    risks: tuple[str, ...] = ()
    mitigations: tuple[str, ...] = ()
    earned: Earning | None = None  # where a rule of `earned` fits and no more than its kind of confirmation is asked

    @property
    def requires_approval(self) -> bool:
        return self.decision in (Decision.CONFIRM, Decision.REVIEW)

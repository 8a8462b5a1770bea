"""Approvals as values: what a person is shown, what they may answer, and the digest that binds the two.

The core never prompts. It is given a callback that turns a `Request` into an `Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aishell.codec import digest
from aishell.errors import ParameterError
from aishell.models import AgentConfig, Risk, Sent, Step, Table, Verdict
from aishell.registry.tool import Tool
from aishell.settings.policy import Policy, in_force
from aishell.settings.targets import Target

#: A table may grow this much between the approval and the execution before the approval is void.
GROWTH_TOLERANCE = 1.5


@dataclass(frozen=True)
class Covered:
    """A later step of the same tool, with exactly the statements that an answer for all of the tool approves."""

    step_id: str
    statements: tuple[Sent, ...]


@dataclass(frozen=True)
class Edited:
    """That a person gave a step other parameters: who, and each of them as it was and as it is."""

    by: str
    uid: int | None  # as the kernel says; None where the log of an older aishell does not tell
    changes: Mapping[str, tuple[Any, Any]]
    reason: str = ""

    @classmethod
    def between(cls, before: Mapping[str, Any], after: Mapping[str, Any], **who: Any) -> Edited:
        """What makes one of the other."""
        changed = {name: (before.get(name), value) for name, value in after.items() if value != before.get(name)}
        return cls(changes=changed, **who)


@dataclass(frozen=True)
class Request:
    """Everything a person needs to decide on one step."""

    run_id: str
    step: Step
    tool: Tool
    params: Mapping[str, Any]
    target: Target
    server: str  # engine, version, host, database
    statements: Sequence[Sent]
    verdict: Verdict
    digest: str
    tables: tuple[Table, ...] = ()
    busy_sessions: int = 0
    blockers: str | None = None
    others: tuple[Covered, ...] = ()  # what `all of this tool` covers beside it; nothing where it is reviewed
    edits: tuple[Edited, ...] = ()  # what persons have changed of what was planned, the oldest first

    @property
    def level(self) -> str:
        """`confirm` or `review`."""
        return self.verdict.decision.value

    @property
    def parameters(self) -> dict[str, Any]:
        """What was given it, where that is not all said by its statements: of programs, and of what has no SQL."""
        if self.statements and not self.tool.way.calls:
            return {}
        return {name: value for name, value in self.params.items() if value not in (None, [], {})}


@dataclass(frozen=True)
class StandingApproval:
    """What answers for confirmations when nobody is there: up to a risk, in the name of a file that says so."""

    by: str
    up_to: Risk


@dataclass(frozen=True)
class Approve:
    """Yes; `all_of_tool` answers for the request's `others` too, as far as they send what was shown and no more."""

    by: str
    all_of_tool: bool = False
    reason: str = ""
    terminal: str | None = None  # where it was typed; an answer of a program has none, and earns nothing


@dataclass(frozen=True)
class Edit:
    """Run with other parameters, for the same objects: they are checked again and asked again, under a new digest."""

    params: Mapping[str, Any]
    by: str


@dataclass(frozen=True)
class Skip:
    """Not this step; what needs its output is skipped too."""

    by: str


@dataclass(frozen=True)
class Reject:
    """No, and the run says so (exit 5)."""

    by: str
    reason: str


@dataclass(frozen=True)
class Later:
    """Nobody decides now: running steps finish, nothing more is asked or started, and the run waits."""

    reason: str = "decide later"


Answer = Approve | Edit | Skip | Reject | Later
Approver = Callable[[Request], Answer]


def binding(
    tool: Tool,
    params: Mapping[str, Any],
    statements: Sequence[str],
    identity: str,
    objects: Sequence[Mapping[str, Any]],
    rules: Sequence[Any],
) -> str:
    """The digest an approval is bound to.

    Tool version, parameters, exact statements, target identity, the objects' own ids (for indexes: their definitions, for
    a rebuild changes the index's id), for a deletion what it sets off, and the rules it was judged by (`governing`). Whatever
    of it changes voids the approval.
    """
    kept = ("schema", "table", "kind", "oid", "indexes", *(("effects",) if tool.deletes else ()))
    ids = [{key: row.get(key) for key in kept} for row in objects]
    return digest([tool.version, params, list(statements), identity, ids, list(rules)])


def governing(policy: Policy, config: AgentConfig, target: Target, level: str) -> list[Any]:
    """All that decides what becomes of a step: the policy, the agent's constraints and capabilities, the safety level, and
    what the policy goes by of the target."""
    agent = [in_force(config.constraints), config.capabilities]
    return [policy.version, *agent, level, target.name, target.environment, sorted(target.labels)]


def edited(tool: Tool, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Other parameters for the same objects. Raises ParameterError where others are named: nobody looked at those."""
    values = tool.prepare(after)
    other = [name for name, one in tool.parameters.items() if not one.editable and values.get(name) != before.get(name)]
    if other:
        raise ParameterError(
            f"an edit of {tool.name} cannot change {', '.join(other)}",
            hint="only what its file marks `editable` can be edited; for others make a new plan",
        )
    return values


def outgrown(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str | None:
    """The table that grew past the tolerance since the approval, or None."""
    sizes = {(row["schema"], row["table"]): row.get("bytes") or 0 for row in before}
    for row in after:
        old = sizes.get((row["schema"], row["table"]), 0)
        if old and (row.get("bytes") or 0) > old * GROWTH_TOLERANCE:
            return f"{row['schema']}.{row['table']} grew from {old:,} to {row['bytes']:,} bytes"
    return None

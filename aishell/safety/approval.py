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
    """A later step of the same tool, with the exact statements that an approval of the whole tool covers."""

    step_id: str
    statements: tuple[Sent, ...]


@dataclass(frozen=True)
class Edited:
    """A person's change of a step's parameters: who made it, and each old and new value."""

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
        """The parameters, where the statements do not show them all: for programs and steps without SQL."""
        if self.statements and not self.tool.way.calls:
            return {}
        return {name: value for name, value in self.params.items() if value not in (None, [], {})}


@dataclass(frozen=True)
class StandingApproval:
    """Confirms steps when no one is there: up to a risk, on the authority of a configuration file."""

    by: str
    up_to: Risk


@dataclass(frozen=True)
class Approve:
    """Yes; `all_of_tool` also covers the request's `others`, provided that they send exactly what was shown."""

    by: str
    all_of_tool: bool = False
    reason: str = ""
    terminal: str | None = None  # where it was typed; an answer of a program has none, and earns nothing


@dataclass(frozen=True)
class Edit:
    """Run with other parameters on the same objects: checked again, and approval requested again under a new digest."""

    params: Mapping[str, Any]
    by: str


@dataclass(frozen=True)
class Skip:
    """Skip this step and every step that needs its output."""

    by: str


@dataclass(frozen=True)
class Reject:
    """No: the run ends as rejected (exit 5)."""

    by: str
    reason: str


@dataclass(frozen=True)
class Later:
    """No decision now: running steps finish, nothing more is requested or started, and the run waits."""

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
    """Other parameters for the same objects. Raises ParameterError for other objects, which nobody has reviewed."""
    values = tool.prepare(after)
    other = [name for name, one in tool.parameters.items() if not one.editable and values.get(name) != before.get(name)]
    if other:
        raise ParameterError(
            f"an edit of {tool.name} cannot change {', '.join(other)}",
            hint="edit only parameters that its file marks `editable`; make a new plan for others",
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

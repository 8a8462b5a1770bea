"""The residue agent: remove what killed runs left behind in a database and in files, only if that is certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, defaults_of
from aishell.agents.summary import left_over
from aishell.codec import canonical
from aishell.models import (
    AgentConfig,
    Decision,
    Estimate,
    Evidence,
    Inventory,
    Reason,
    Residue,
    Risk,
    Step,
    StepResult,
    StepStatus,
    Task,
    Verdict,
)
from aishell.planning.variables import escaped
from aishell.reporting.diagnosis import described

#: The tool that removes all files in one step.
FILES = "remove_leftovers"


class ResidueAgent(Agent):
    """One step per object in the database, and one for all files. Every step needs approval."""

    type: ClassVar[str] = "residue"
    vocabulary: ClassVar[str] = "aishell.agents.residue_words:WORDS"
    clears: ClassVar[bool] = True
    defaults: ClassVar[AgentConfig] = defaults_of(
        "residue",
        "database_read database_write schema_analyze index_manage file_write backup_restore",
        max_duration=3600,
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {}
    help = """Remove what killed and abandoned runs left behind: scratch databases, replication slots, unfinished files.

    Only what certainly belongs to this site and to a run that is over, and is not in use. A run that can be resumed keeps
    what it has: `aishell runs cancel` gives it up.
    """
    examples: ClassVar[tuple[str, ...]] = ("aishell run residue --dry-run", "aishell run residue --target shop --yes")

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        steps = []
        for number, some in enumerate(_together(inventory.residue)):
            first = some[0]
            files = [path for one in some for path in one.params.get("paths", ())]
            steps.append(
                Step(
                    id=f"remove_{number}",
                    tool=first.tool,
                    params=_meant({**first.params, **({"paths": files} if files else {})}),
                    index=number,
                    rationale="; ".join(map(described, some)),
                    evidence=tuple(
                        Evidence("bytes", one.bytes, one.kind, inventory.measured_at)
                        for one in some
                        if one.bytes is not None
                    ),
                    on_error="continue",
                    estimate=Estimate(None, None, "no basis"),
                )
            )
        left = [one for one in inventory.residue if not one.goes]
        notes = [f"{described(one)} stays: {one.kept}" for one in left]
        if not inventory.residue:
            notes.append("killed runs have left nothing behind here")
        return Draft(tuple(steps), tuple(notes), {"left": len(left)})

    def validate_safety(self, step: Step) -> Verdict | None:
        asks = Reason(
            "residue", "leftovers of a killed run are removed only with a person's approval", Decision.CONFIRM
        )
        return Verdict(Risk.SAFE, Decision.CONFIRM, safe=True, reasons=(asks,))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        done = [one for one in results if one.status is StepStatus.DONE]
        removed = [name for one in done for name in _named(one)]
        data = {"actions_count": len(done), "removed": removed}
        text = f"Removed: {', '.join(removed)}." if removed else "Nothing was removed."
        return data, " ".join([text, *left_over(results)])


def _together(found: Sequence[Residue]) -> Iterator[list[Residue]]:
    """Yield what each call of a tool removes: all files, the invalid indexes of a table, or one other object."""
    calls: dict[str, list[Residue]] = {}
    for one in found:
        if one.goes:
            calls.setdefault(FILES if one.tool == FILES else canonical([one.tool, one.params]), []).append(one)
    yield from calls.values()


def _meant(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return names as literal values."""
    return {
        name: [escaped(one) for one in value] if isinstance(value, (list, tuple)) else escaped(value)
        for name, value in params.items()
    }


def _named(result: StepResult) -> list[str]:
    """Return what a finished step removed."""
    if result.tool == FILES:
        return [str(path) for path in (result.output or {})["removed"]]
    names = ("schema", "table", "database", "slot")
    return [".".join(str(result.params[name]) for name in names if name in result.params)]

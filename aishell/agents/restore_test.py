"""The restore_test agent: the backup that has gone longest without proof, restored into scratch and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft
from aishell.agents.summary import left_over
from aishell.models import AgentConfig, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.estimates import estimate


class RestoreTestAgent(Agent):
    """One backup of the target a run: run each week, it comes round to all of them."""

    type: ClassVar[str] = "restore_test"
    defaults: ClassVar[AgentConfig] = AgentConfig(
        agent_id="restore_test_agent",
        agent_type="restore_test",
        capabilities=frozenset({"database_read", "file_read", "file_write", "backup_restore"}),
        max_duration=24 * 3600,
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {}

    def tables(self, task: Task) -> Sequence[str]:
        return ()

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        bytes_ = inventory.server.database_bytes
        room = None if inventory.server.engine == "sqlite" else bytes_  # a file is restored where backups are
        choose = Step(
            id="choose",
            tool="find_unproven_backup",
            params={},
            rationale="The backup whose last proof is the oldest: each has its turn.",
        )
        restore = Step(
            id="restore_test",
            tool="restore_test",
            params={"backup_id": "${steps.choose.output.backup_id}"},
            index=1,
            needs=("choose",),
            rationale="Only what came back as it was is known to. It goes into scratch, which is removed again.",
            estimate=estimate(inventory, "restore_test", "", bytes_, room),
        )
        return Draft((choose, restore), serving=frozenset({"choose"}))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = {result.step_id: result.output or {} for result in results if result.status is StepStatus.DONE}
        chosen, proof = outputs.get("choose", {}), outputs.get("restore_test", {})
        names = ("backup_id", "unproven_days", "backups", "never_compared")
        data = {"actions_count": int(bool(proof))} | {name: chosen.get(name) for name in names}
        data |= {name: proof.get(name) for name in ("compared", "rung")}
        return data, " ".join([*_told(chosen, proof), *left_over(results)])


def _told(chosen: Mapping[str, Any], proof: Mapping[str, Any]) -> list[str]:
    if not chosen:
        return ["No backup was restored."]
    days = chosen["unproven_days"]
    ago = f"{days:g} days ago" if days >= 1 else "less than a day ago"
    was = f"was last restored {ago}" if chosen["compared_at"] else f"was made {ago} and had never been restored"
    sentences = [f"{chosen['backup_id']} {was}."]
    if not proof:
        return [*sentences, "It was not proven."]
    if proof["rung"] == "restored-and-compared":
        sentences.append(f"It was restored, and {proof['compared']} object(s) came back as they were.")
    else:
        sentences.append("It was restored; it has no fingerprints to compare with.")
    # It was one of those until now.
    never = chosen["never_compared"] - (chosen["compared_at"] is None)
    if never > 0:
        sentences.append(f"{never} of {chosen['backups']} backups were never restored yet.")
    return sentences

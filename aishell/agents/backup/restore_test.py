"""The restore_test agent: restore the backup that has gone longest without a test into a scratch place, and compare it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.backup.steps import chained, proof
from aishell.agents.base import Agent, Draft, Option, defaults_of, described
from aishell.agents.summary import left_over, outputs_of
from aishell.models import AgentConfig, Inventory, Step, StepResult, Task
from aishell.planning.variables import escaped
from aishell.settings.schemas import TEXT


class RestoreTestAgent(Agent):
    """Restores one backup, chosen when the run begins or named, into a scratch place, which is removed again."""

    type: ClassVar[str] = "restore_test"
    vocabulary: ClassVar[str] = "aishell.agents.backup.words:TEST"
    defaults: ClassVar[AgentConfig] = defaults_of(
        "restore_test", "database_read file_read file_write backup_restore", max_duration=24 * 3600
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "backup": described(TEXT, "Test this backup, given by its id or the beginning of it.")
    }
    options: ClassVar[dict[str, Option]] = {"backup": Option(metavar="BACKUP")}
    help = """Restore the backup that has gone longest without a restore test, compare it, and remove the copy.

    The copy is a scratch database or file; the target is not changed. Exit 1 if there is no backup.
    """
    examples: ClassVar[tuple[str, ...]] = ("aishell run restore-test --dry-run", "aishell run restore-test --all --yes")

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        named = task.input_data.get("backup")
        if named is not None:
            return Draft((proof(escaped(named), inventory),))
        choose = Step(
            id="choose",
            tool="find_unproven_backup",
            rationale="Choose the backup that has gone longest without a restore test, or never had one.",
        )
        steps = chained([choose, proof("${steps.choose.output.backup_id}", inventory)])
        return Draft(tuple(steps), serving=frozenset({"choose"}))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = outputs_of(results)
        chosen, proof = outputs.get("choose", {}), outputs.get("restore_test", {})
        data = {
            "actions_count": len(outputs),
            "backup_id": chosen.get("backup_id") or task.input_data.get("backup"),
            "chosen": chosen.get("reason"),
            "last_compared_at": chosen.get("backup", {}).get("compared_at"),
            "compared": proof.get("compared", 0),
            "rung": proof.get("rung"),
        }
        sentences = [f"{data['backup_id']} was chosen: {chosen['reason']}."] if chosen else []
        if not proof:
            sentences.append("No backup was restored.")
        elif proof["compared"]:
            sentences.append(f"It was restored, and {proof['compared']} objects match the backup.")
        else:
            sentences.append("It was restored, but has no fingerprints to compare with.")
        return data, " ".join([*sentences, *left_over(results)])

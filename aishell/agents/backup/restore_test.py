"""The restore_test agent: the backup that nobody has seen come back for the longest time, restored into scratch and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft, Option, defaults_of, described
from aishell.agents.summary import left_over
from aishell.engines import profile
from aishell.models import AgentConfig, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped
from aishell.settings.schemas import TEXT


class RestoreTestAgent(Agent):
    """A backup is chosen when the run begins, or named; it comes back into a scratch place, which goes again."""

    type: ClassVar[str] = "restore_test"
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

    def tables(self, task: Task) -> Sequence[str]:
        return ()

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        named, server = task.input_data.get("backup"), inventory.server
        choose = Step(
            id="choose",
            tool="find_unproven_backup",
            params={},
            rationale="Choose the backup that has gone longest without a restore test, or never had one.",
        )
        # A file is restored where backups are, of whose disk nothing is known here: that is looked at when it begins.
        room = None if profile(server.engine).is_file else server.database_bytes
        prove = Step(
            id="restore_test",
            tool="restore_test",
            params={"backup_id": "${steps.choose.output.backup_id}" if named is None else escaped(named)},
            index=int(named is None),
            rationale="Only a restore that matches proves a backup. It goes into a scratch place, which is removed again.",
            needs=("choose",) if named is None else (),
            estimate=estimate(inventory, "restore_test", "", server.database_bytes, room),
        )
        return Draft((choose, prove) if named is None else (prove,), serving=frozenset({"choose"}))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = {result.step_id: result.output or {} for result in results if result.status is StepStatus.DONE}
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
            sentences.append(f"It came back, and {proof['compared']} objects are as the backup saw them.")
        else:
            sentences.append("It was restored, but has no fingerprints to compare with.")
        return data, " ".join([*sentences, *left_over(results)])

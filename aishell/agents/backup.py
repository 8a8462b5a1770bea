"""The backup agent: a backup, the proof that it can be read, if asked that it comes back, and what may go since then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from aishell.agents.base import Agent, Draft
from aishell.agents.summary import left_over
from aishell.errors import ParameterError
from aishell.models import AgentConfig, Estimate, Evidence, Inventory, Step, StepResult, StepStatus, Task
from aishell.planning.variables import escaped
from aishell.reporting.units import size

#: Bytes a second of a full backup with its fingerprints: rough guesses for a first run; history knows better from then on.
SPEED = {"postgresql": 100e6, "mysql": 80e6, "sqlite": 300e6}
_RULE = {"type": "number", "minimum": 0}
RETENTION = {
    "type": "object",
    "properties": dict.fromkeys(("count", "days", "daily", "weekly", "monthly", "yearly", "at_most"), _RULE),
    "additionalProperties": False,
    "minProperties": 1,
}


class BackupAgent(Agent):
    """One backup of the target, kept in the site's folder of backups."""

    type: ClassVar[str] = "backup"
    defaults: ClassVar[AgentConfig] = AgentConfig(
        agent_id="backup_agent",
        agent_type="backup",
        capabilities=frozenset({"database_read", "file_read", "file_write", "backup_create", "backup_restore"}),
        max_duration=6 * 3600,
    )
    inputs: ClassVar[dict[str, dict[str, Any]]] = {
        "backup_type": {"enum": ["full", "incremental"]},
        "destination": {"type": "string", "minLength": 1},
        "parent": {"type": "string", "minLength": 1},
        "compare": {"type": "boolean"},
        "restore_test": {"type": "boolean"},
        "cleanup_old": {"type": "boolean"},
        "retention": RETENTION,
    }

    def tables(self, task: Task) -> Sequence[str]:
        return ()

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        data, server = task.input_data, inventory.server
        kind = data.get("backup_type", "full")
        bytes_, engine = server.database_bytes, server.engine
        if data.get("cleanup_old") and not data.get("retention"):
            raise ParameterError(
                "cleanup_old needs to be told what to keep",
                hint="set `retention: {count: 7}` in config/agents/backup.yaml",
            )
        if data.get("parent") and kind != "incremental":
            raise ParameterError("parent is for incremental backups", hint="add --type incremental")
        steps = [
            Step(
                id="size",
                tool="calculate_backup_size",
                params={},
                rationale="How much a full backup will take, so that it is not begun where there is no room for it.",
                estimate=Estimate(0.1, None, "engine default"),
            )
        ]
        known = Evidence("database_bytes", bytes_, "as the server tells it", inventory.measured_at)
        chosen = {name: escaped(data[name]) for name in ("destination", "parent") if name in data}
        if "compare" in data:
            chosen["compare"] = data["compare"]
        if kind == "full":
            chosen["expected_bytes"] = "${steps.size.output.bytes}"
        steps.append(
            Step(
                id="backup",
                tool=f"backup_database_{kind}",
                params=chosen,
                index=1,
                rationale="Everything as one moment saw it, while the application goes on."
                if kind == "full"
                else "What has changed since the last verified backup.",
                evidence=(known,),
                needs=("size",),
                estimate=Estimate(
                    None if bytes_ is None else round(bytes_ / SPEED[engine], 1), bytes_, "engine default"
                ),
            )
        )
        steps.append(
            Step(
                id="validate",
                tool="validate_backup",
                params={"backup_id": "${steps.backup.output.backup_id}"},
                index=2,
                rationale="Only what was read from beginning to end counts as a backup.",
                needs=("backup",),
            )
        )
        if data.get("restore_test"):
            steps.append(
                Step(
                    id="restore_test",
                    tool="restore_test",
                    params={"backup_id": "${steps.backup.output.backup_id}"},
                    index=3,
                    rationale="Only what came back as it was is known to.",
                    needs=("validate",),
                )
            )
        if data.get("cleanup_old"):
            steps.append(
                Step(
                    id="cleanup",
                    tool="cleanup_old_backups",
                    params={"retention": dict(data["retention"])},
                    index=len(steps),
                    rationale="The new one is verified: what no rule keeps can go.",
                    needs=(steps[-1].id,),
                )
            )
        return Draft(tuple(steps))

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        outputs = {result.step_id: result.output or {} for result in results if result.status is StepStatus.DONE}
        made, proof = outputs.get("backup", {}), outputs.get("restore_test") or outputs.get("validate") or {}
        removed = outputs.get("cleanup", {}).get("removed", [])
        data = {
            "actions_count": len(outputs),
            "backup_id": made.get("backup_id"),
            "backup_path": made.get("backup_path"),
            "backup_bytes": made.get("bytes"),
            "source_bytes": made.get("source_bytes"),
            "rung": proof.get("rung") or made.get("rung"),
            "removed": removed,
        }
        if not made:
            sentences = ["No backup was made."]
        else:
            sentences = [f"{made['backup_id']} has {size(made['bytes'])} and is {data['rung'].replace('-', ' ')}."]
        if removed:
            sentences.append(f"{len(removed)} old backup(s) were removed.")
        return data, " ".join([*sentences, *left_over(results)])

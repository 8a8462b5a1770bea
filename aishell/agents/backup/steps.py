"""The steps that the plans of backups, restores and risky maintenance share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.agents.base import Draft
from aishell.engines import profile
from aishell.models import Inventory, Step, Task
from aishell.moments import at
from aishell.planning.estimates import estimate
from aishell.planning.variables import escaped


@dataclass(frozen=True)
class BackupSteps:
    """A verified full backup: the ids of the steps that estimate its size, make it and read it in full, and its rationale."""

    size: str
    backup: str
    read: str
    rationale: str

    @property
    def ids(self) -> tuple[str, str, str]:
        return self.size, self.backup, self.read

    def of(self, inventory: Inventory) -> list[Step]:
        """Return the three steps, each needing the one before it."""
        bytes_ = inventory.server.database_bytes
        backup = Step(
            id=self.backup,
            tool="backup_database_full",
            params={"expected_bytes": f"${{steps.{self.size}.output.bytes}}"},
            rationale=self.rationale,
            estimate=estimate(inventory, "backup_database_full", "", bytes_),
            needs=(self.size,),
        )
        return [sized(self.size), backup, read(self.read, self.backup)]


#: A backup before risky maintenance (`create_backup`). Steps that can do no harm run without it.
FIRST = BackupSteps("backup_size", "backup", "backup_read", "A way back, made before any risky change.")
#: The condition of a step that needs that backup; a deferred backup has no output, so the step does not run.
_FIRST_READ = "${steps.backup_read.output.valid} == True"


def sized(step_id: str) -> Step:
    """Return the step that estimates the size of a full backup."""
    return Step(
        id=step_id,
        tool="calculate_backup_size",
        params={},
        rationale="Estimate the size of a full backup, so that it is not started without room for it.",
    )


def read(step_id: str, backup: str) -> Step:
    """Return the step that reads the backup made by the step `backup`."""
    return Step(
        id=step_id,
        tool="validate_backup",
        params={"backup_id": f"${{steps.{backup}.output.backup_id}}"},
        rationale="Only a backup that was read in full counts.",
        needs=(backup,),
    )


def proof(backup_id: str, inventory: Inventory) -> Step:
    """Return the step that tests the restore of a backup."""
    bytes_ = inventory.server.database_bytes
    # A file is restored where backups are, on a disk that is not known here; its room is checked when the step begins.
    room = None if profile(inventory.server.engine).is_file else bytes_
    return Step(
        id="restore_test",
        tool="restore_test",
        params={"backup_id": backup_id},
        rationale="Only a restore that matches proves a backup. It goes into a scratch place, which is removed again.",
        estimate=estimate(inventory, "restore_test", "", bytes_, room),
    )


def meant(value: Any) -> Any:
    """Return an option as a literal value, without references."""
    return escaped(value) if isinstance(value, str) else value


def chained(steps: Sequence[Step]) -> list[Step]:
    """Return the steps, each needing the one before it."""
    return [replace(step, index=n, needs=(steps[n - 1].id,) if n else ()) for n, step in enumerate(steps)]


def backed_up(draft: Draft, task: Task, inventory: Inventory) -> Draft:
    """Return the draft with a backup before risky steps, unless none was requested or a recent one suffices."""
    if not task.input_data.get("create_backup"):
        return draft
    known = inventory.last_backup
    if known is not None:
        warning = f"no backup is made: {known['backup_id']}, begun {at(str(known['started_at']))}, is verified and recent enough"
        return replace(draft, warnings=(*draft.warnings, warning))
    first = [replace(step, on_error="continue") for step in FIRST.of(inventory)]
    steps = [*first, *(guard(step, first) if step.tool in inventory.guarded else step for step in draft.steps)]
    return replace(
        draft,
        steps=tuple(replace(step, index=number) for number, step in enumerate(steps)),
        serving=draft.serving | {step.id for step in first},
    )


def guard(step: Step, steps: Sequence[Step]) -> Step:
    """Return the step, on condition that the backup among `steps` was made and read; unchanged if there is none."""
    first = [one.id for one in steps if one.id in FIRST.ids]
    if not first:
        return step
    condition = _FIRST_READ if step.when is None else f"{_FIRST_READ} and {step.when}"
    return replace(step, needs=(*step.needs, *first), when=condition)

"""A backup before risky maintenance (`create_backup`): made and read first, unless one that is young enough counts already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aishell.agents.backup.steps import BackupSteps
from aishell.agents.base import Draft
from aishell.models import Inventory, Step, Task
from aishell.moments import at

#: What can do no harm goes on without them.
STEPS = BackupSteps("backup_size", "backup", "backup_read", "A way back, made before any risky change.")
#: What a step that has to wait for the backup asks; one that was put off has no output, and nothing goes on from that.
READ = "${steps.backup_read.output.valid} == True"


def backed_up(draft: Draft, task: Task, inventory: Inventory) -> Draft:
    """The draft with a backup at its beginning, which every step needs that can hurt; the same where none was asked for."""
    if not task.input_data.get("create_backup"):
        return draft
    known = inventory.last_backup
    if known is not None:
        told = f"no backup is made: {known['backup_id']}, begun {at(str(known['started_at']))}, is verified and recent enough"
        return replace(draft, warnings=(*draft.warnings, told))
    first = [replace(step, on_error="continue") for step in STEPS.of(inventory)]
    steps = [*first, *(guard(step, first) if step.tool in inventory.guarded else step for step in draft.steps)]
    return replace(
        draft,
        steps=tuple(replace(step, index=number) for number, step in enumerate(steps)),
        serving=draft.serving | {step.id for step in first},
    )


def guard(step: Step, steps: Sequence[Step]) -> Step:
    """The step, if the backup that is among `steps` was made and could be read; as it is where there is none."""
    first = [one.id for one in steps if one.id in STEPS.ids]
    if not first:
        return step
    condition = READ if step.when is None else f"{READ} and {step.when}"
    return replace(step, needs=(*step.needs, *first), when=condition)

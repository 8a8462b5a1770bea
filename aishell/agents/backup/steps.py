"""The steps of a full backup that counts: how much it will take, the backup, and its reading from beginning to end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aishell.models import Inventory, Step
from aishell.planning.estimates import estimate


@dataclass(frozen=True)
class BackupSteps:
    """What its three steps are called in a plan, and what the backup is for."""

    size: str
    backup: str
    read: str
    rationale: str

    @property
    def ids(self) -> tuple[str, str, str]:
        return self.size, self.backup, self.read

    def of(self, inventory: Inventory) -> list[Step]:
        """The three, each needing the one before it."""
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


def sized(step_id: str) -> Step:
    """How much a full backup will take."""
    return Step(
        id=step_id,
        tool="calculate_backup_size",
        params={},
        rationale="Estimate the size of a full backup, so that it is not started without room for it.",
    )


def read(step_id: str, backup: str) -> Step:
    """What the step `backup` has made, read."""
    return Step(
        id=step_id,
        tool="validate_backup",
        params={"backup_id": f"${{steps.{backup}.output.backup_id}}"},
        rationale="Only a backup that was read in full counts.",
        needs=(backup,),
    )

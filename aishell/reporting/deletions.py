"""The results of steps that delete old rows: rows deleted, rows deleted by cascade, rows left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.models import StepResult, StepStatus

DELETES = (
    "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key", "delete_archived_records",
    "delete_related_records",
)  # fmt: skip
#: The tools that drop whole partitions.
DROPS = CONCURRENTLY, EXCLUSIVELY = "drop_old_partitions", "drop_old_partitions_exclusively"
ARCHIVES = ("archive_old_records", "archive_related_records")


def archive_of(result: StepResult, results: Sequence[StepResult]) -> StepResult | None:
    """Return the archive whose rows a step deletes."""
    if "archive" not in result.params:
        return None
    return next((one for one in results if one.tool in ARCHIVES and one.table == result.table), None)


def limit_of(result: StepResult, results: Sequence[StepResult]) -> int | None:
    """Return the most rows that a step was to delete."""
    limited = archive_of(result, results) or result
    return limited.params.get("max_rows")


def left_of(result: StepResult, results: Sequence[StepResult]) -> int | None:
    """Return the old rows left after a deletion, None if they were not counted, as after an interruption.

    The deletion of an archive sees only the archive's rows. These are all old rows if it reached the table's end.
    """
    archive = archive_of(result, results)
    if archive is not None:
        whole = archive.status is StepStatus.DONE and not archive.deferred  # a closing window ends an archive early
        if not whole or archive.params.get("max_rows") is not None:
            return None
    remaining = (result.output or {}).get("remaining")
    return None if remaining is None else int(remaining)


def at_least(figures: Mapping[str, Any]) -> str:
    """Return the words before a count that may lack batches."""
    return "at least " if figures.get("uncounted_batches") else ""


@dataclass(frozen=True)
class Cascaded:
    """Rows deleted or changed by cascade: `rows` by table, of which `changed` were only changed. `at_most`: they
    reference all old rows, and not all of those are known to be deleted, so each number is an upper limit.
    """

    rows: Mapping[str, int]
    changed: Mapping[str, int] = field(default_factory=dict)
    at_most: bool = False

    def words(self, table: str) -> str:
        """Return `330`, `330, and 1 were changed,`, or `at most 8,681`."""
        changed = self.changed.get(table, 0)
        if self.at_most:
            return f"at most {self.rows[table]:,}{' gone or changed,' if changed else ''}"
        return f"{self.rows[table] - changed:,}" + (f", and {changed:,} were changed," if changed else "")


def worked(output: Mapping[str, Any]) -> bool:
    """Whether a step deleted rows, or may have."""
    return bool(output.get("rows_deleted") or output.get("uncounted_batches"))


def cascaded(result: StepResult) -> Cascaded:
    """Return what was deleted by cascade with a step's rows; nothing if the step counted it itself or deleted no row.

    A run that was limited, paused or interrupted deleted a part of what the plan counted, and nothing counts that part:
    DELETE reports only rows of its own table. An archive may have only a part of the old rows.
    """
    output, params = result.output or {}, result.params
    if not worked(output) or "relatives_deleted" in output:
        return Cascaded({})
    rows, changed = (dict(params.get(name) or {}) for name in ("cascades", "changes"))
    return Cascaded(rows, changed, at_most=output.get("remaining") != 0 or "archive" in params)

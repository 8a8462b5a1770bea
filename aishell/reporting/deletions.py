"""What a step that deletes old rows has come to: what went, what went along, what is left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aishell.models import StepResult, StepStatus

DELETES = (
    "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key", "delete_archived_records",
    "delete_related_records",
)  # fmt: skip
#: What drops whole partitions.
DROPS = CONCURRENTLY, EXCLUSIVELY = "drop_old_partitions", "drop_old_partitions_exclusively"
ARCHIVES = ("archive_old_records", "archive_related_records")


def archive_of(result: StepResult, results: Sequence[StepResult]) -> StepResult | None:
    """The archive whose rows a step deletes."""
    if "archive" not in result.params:
        return None
    return next((one for one in results if one.tool in ARCHIVES and one.table == result.table), None)


def limit_of(result: StepResult, results: Sequence[StepResult]) -> int | None:
    """The most rows that were to go."""
    limited = archive_of(result, results) or result
    return limited.params.get("max_rows")


def left_of(result: StepResult, results: Sequence[StepResult]) -> int | None:
    """Old rows that were there behind a deletion; None where nobody has counted them, as where it was cut off.

    The deletion of an archive looks for the archive's own rows alone. These are all where the archive came to the table's end.
    """
    archive = archive_of(result, results)
    if archive is not None:
        whole = archive.status is StepStatus.DONE and not archive.deferred  # a window that closes ends an archive early
        if not whole or archive.params.get("max_rows") is not None:
            return None
    remaining = (result.output or {}).get("remaining")
    return None if remaining is None else int(remaining)


def at_least(figures: Mapping[str, Any]) -> str:
    """The words before a count from which batches may be missing."""
    return "at least " if figures.get("uncounted_batches") else ""


@dataclass(frozen=True)
class Cascaded:
    """`rows` that went or changed by table, and of these those that only `changed`. `at_most`: these refer to all old rows, and
    not all of those are known to have gone: then a row that was to go may have been changed instead.
    """

    rows: Mapping[str, int]
    changed: Mapping[str, int] = field(default_factory=dict)
    at_most: bool = False

    def words(self, table: str) -> str:
        """`330`, `330, and 1 were changed,`, or `at most 8,681`."""
        changed = self.changed.get(table, 0)
        if self.at_most:
            return f"at most {self.rows[table]:,}{' gone or changed,' if changed else ''}"
        return f"{self.rows[table] - changed:,}" + (f", and {changed:,} were changed," if changed else "")


def worked(output: Mapping[str, Any]) -> bool:
    """Whether a step has deleted rows, or may have."""
    return bool(output.get("rows_deleted") or output.get("uncounted_batches"))


def cascaded(result: StepResult) -> Cascaded:
    """What went with the rows that a step deleted; nothing where the step itself has counted it, or deleted no row.

    A run that was limited, paused or interrupted has taken a part of what the plan counted, and nothing counts that part: a
    DELETE tells the rows of its own table. An archive may have a part of the old rows only.
    """
    output, params = result.output or {}, result.params
    if not worked(output) or "relatives_deleted" in output:
        return Cascaded({})
    rows, changed = (dict(params.get(name) or {}) for name in ("cascades", "changes"))
    return Cascaded(rows, changed, at_most=output.get("remaining") != 0 or "archive" in params)

"""The rows of other tables that a deletion took along or changed, told from what was counted when it was planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aishell.models import StepResult


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

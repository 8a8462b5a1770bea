"""How many old rows a clean-up has left in a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aishell.models import StepResult, StepStatus

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

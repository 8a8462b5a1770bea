"""What is known of a log table, as the figures that its steps rest on. Pure."""

from __future__ import annotations

from aishell.agents.log_cleanup.tables import LogTable
from aishell.models import Evidence, Table


def evidence_of(log: LogTable, at: str) -> tuple[Evidence, ...]:
    """The age of its rows, how many of them are old, and what they take; measured at `at`."""
    rule, table = log.rule, log.table
    size = None if table.bytes is None else table.bytes + (table.index_bytes or 0)
    return (
        Evidence("oldest", log.oldest, f"least {log.column}", at),
        Evidence("newest", log.newest, f"greatest {log.column}", at),
        Evidence("cutoff", str(log.cutoff), f"{rule.retention_days} days before the database's clock", at),
        Evidence("retention_days", rule.retention_days, "as asked", at),
        _old_rows(log, at),
        _old_days(log, at),
        _row_bytes(table, at),
        Evidence("table_bytes", size, "size of the table and its indexes", at),
    )


def _row_bytes(table: Table, at: str) -> Evidence:
    """What a row takes, or why nobody knows."""
    size, method = table.row_bytes, "size of the table less what is free, by its rows"
    if size is None:
        return Evidence(
            "bytes_per_row", None, method, at, withheld=table.withheld or "how much is free was not looked at"
        )
    return Evidence("bytes_per_row", round(size), method, at, table.row_bytes_method)


def _old_days(log: LogTable, at: str) -> Evidence:
    """In how many days the old rows came, or why nobody knows."""
    method, why = "as the old rows came, but for a few far before the others", None
    if log.old.days is None:
        why = "there is no sample of its dates, or one with too few that are old"
    return Evidence("old_days", log.old.days, method, at, withheld=why)


def _old_rows(log: LogTable, at: str) -> Evidence:
    """How many rows are old, or why nobody knows."""
    old = log.old
    if old.rows is None:
        least = f"at least {old.least:,}: " if old.least else ""
        return Evidence("old_rows", None, "unknown", at, withheld=f"{least}{old.method}")
    return Evidence("old_rows", log.old_rows, old.method, at, None if old.exact else "an estimate")

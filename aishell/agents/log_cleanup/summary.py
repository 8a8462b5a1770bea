"""Summarise a log clean-up in figures and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aishell.agents.summary import left_over, method_of
from aishell.models import StepResult, StepStatus, Task
from aishell.reporting.deletions import ARCHIVES, DELETES, DROPS, at_least, cascaded, left_of, limit_of
from aishell.reporting.units import roughly, size


def summarise(task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
    """Return `output_data` of the JSON contract (model.md), and the reasoning."""
    tables = _tables(results)
    partitions = [result for result in results if result.tool in DROPS and result.output is not None]
    data = {
        "actions_count": sum(1 for result in results if result.status is StepStatus.DONE),
        "tables_processed": len(tables),
        "rows_deleted": sum(table["rows_deleted"] for table in tables.values()),
        "rows_archived": sum(output["rows_archived"] for output in _archives(results).values()),
        "tables": tables,
        **_doubts(tables.values()),
    }
    if partitions:
        data["partitions_dropped"] = sum(table.get("partitions_dropped", 0) for table in tables.values())
        data["bytes_reclaimed"] = sum(table.get("bytes_dropped", 0) for table in tables.values())
        data["bytes_method"] = method_of([result.output or {} for result in partitions])
    return data, _reasoning(data, results)


def _archives(results: Sequence[StepResult]) -> dict[str, Mapping[str, Any]]:
    """Return the output of each archive step, by table."""
    return {
        result.table: result.output
        for result in results
        if result.tool in ARCHIVES and result.output is not None and "archive_path" in result.output
    }


def _tables(results: Sequence[StepResult]) -> dict[str, dict[str, Any]]:
    """Return the figures of each table whose rows or partitions were deleted or archived."""
    nothing = {"rows_deleted": 0, "remaining": None, "cutoff": None, "seconds": 0.0}
    tables = {
        result.table: _deleted(result, results)
        for result in results
        if result.tool in DELETES and result.output is not None
    }
    for name, output in _archives(results).items():
        figures = ("rows_archived", "relatives_archived", "archive_path", "archive_bytes")
        tables.setdefault(name, dict(nothing)).update({key: output[key] for key in figures if key in output})
    for result in results:
        if result.tool in DROPS and result.output is not None:
            table = tables.setdefault(result.table, nothing | {"cutoff": result.params.get("cutoff")})
            table["seconds"] = round(table["seconds"] + result.execution_time, 3)
            table |= _partitions(result.output)
    return tables


def _deleted(result: StepResult, results: Sequence[StepResult]) -> dict[str, Any]:
    """Return the figures of one table whose rows were deleted."""
    output = result.output or {}
    table: dict[str, Any] = {
        "rows_deleted": output["rows_deleted"],
        "remaining": left_of(result, results),
        "cutoff": result.params.get("cutoff"),
        "seconds": round(result.execution_time, 3),
    }
    if (limit := limit_of(result, results)) is not None:
        table["max_rows"] = limit
    if output.get("uncounted_batches"):
        table |= {key: output.get(key) for key in ("uncounted_batches", "rows_uncounted")}
    if "relatives_deleted" in output:
        counted = ("relatives_deleted", "relatives_changed", "rows_cascaded")
        return table | {key: output[key] for key in counted if key in output}
    if (others := cascaded(result)).rows:
        table["cascades_at_most" if others.at_most else "cascades"] = dict(others.rows)
        if others.changed and not others.at_most:
            table["cascades_changed"] = dict(others.changed)
    return table


def _doubts(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what may be missing from the counts of all tables; empty if every batch was counted."""
    doubtful = [table for table in tables if table.get("uncounted_batches")]
    if not doubtful:
        return {}
    most = [table["rows_uncounted"] for table in doubtful]
    return {
        "uncounted_batches": sum(table["uncounted_batches"] for table in doubtful),
        "rows_uncounted": None if None in most else sum(most),
    }


def _partitions(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of dropped partitions; bytes are those of the files.

    `rows_dropped` is the sum of known rows, counted or else from the statistics (`rows_method`); None if none are known.
    """
    parts = [
        {
            **{key: row[key] for key in ("partition", "bound", "bytes")},
            "rows": row["rows"] if counted is None else counted,
            "rows_method": "counted" if counted is not None else "not counted" if row["rows"] is None else "statistics",
        }
        for row, counted in zip(output["dropped"], output["rows_counted"], strict=True)
    ]
    known = [part["rows"] for part in parts if part["rows"] is not None]
    return {
        "partitions_dropped": output["partitions_dropped"],
        "rows_dropped": sum(known) if known else None,
        "bytes_dropped": output["bytes_before"] - output["bytes_after"],
        "bytes_method": method_of([output]),
        "partitions": parts,
    }


def _rows_of(partitions: Sequence[Mapping[str, Any]]) -> str:
    """Return how many rows were in dropped partitions, in words; uncounted rows are never shown as 0."""
    unknown = sum(1 for part in partitions if part["rows"] is None)
    if unknown == len(partitions):
        return "rows not counted"
    about = "about " if any(part["rows_method"] == "statistics" for part in partitions) else ""
    known = f"{about}{sum(part['rows'] or 0 for part in partitions):,} rows"
    return f"{known}, those of {unknown} partition(s) not counted" if unknown else known


def _missing(data: Mapping[str, Any]) -> str:
    """Return what may be missing from the count, and why."""
    cut = f"{data['uncounted_batches']} time(s) the process was killed, or cut off from the database, while batches ran"
    most = data["rows_uncounted"]
    if most is None:
        return f"{cut}: each time the rows of one or two batches may have gone that are not counted."
    return f"{cut}: up to {most:,} more row(s) may have gone that are not counted."


def _left(name: str, table: Mapping[str, Any]) -> list[str]:
    """Return how many old rows are left, and why. The rows of a batch that may have run count towards a limit."""
    limited = "max_rows" in table
    if table["remaining"]:
        reached = limited and table["rows_deleted"] + (table.get("rows_uncounted") or 0) >= table["max_rows"]
        return [f"{table['remaining']:,} old row(s) of {name} are left{': max_rows is reached' if reached else ''}."]
    if table["remaining"] is None and limited:
        return [f"How many old rows of {name} are left was not counted: no more than {table['max_rows']:,} were to go."]
    return []


def _along(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was deleted or changed with the old rows of a table, if an archive recorded it."""
    least = at_least(table)
    if table.get("rows_cascaded"):
        yield f"Of those of {name} {least}{table['rows_cascaded']:,} went only because a row they reference did."
    gone, changed = table.get("relatives_deleted"), table.get("relatives_changed")
    if gone or (least and gone is not None):
        yield f"With those of {name} went {least}{gone:,} row(s) of other tables."
    if changed or (least and changed is not None):
        yield f"{least.capitalize()}{changed:,} row(s) that stay were changed, because they referred to rows that went."


def _dropped(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    if table.get("partitions_dropped"):
        figures = f"{_rows_of(table['partitions'])}, {roughly(table)}{size(table['bytes_dropped'])}"
        yield f"{table['partitions_dropped']} old partition(s) of {name} were dropped ({figures})."


def _cascaded(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was deleted or changed with the old rows of a table, if only a count beforehand recorded it."""
    for child, number in table.get("cascades", {}).items():
        changed = table.get("cascades_changed", {}).get(child, 0)
        if number > changed:
            yield f"With them went {number - changed:,} row(s) of {child}, as counted before."
        if changed:
            yield f"{changed:,} row(s) of {child} stay and were changed, as counted before."
    for child, number in table.get("cascades_at_most", {}).items():
        yield (
            f"With them went or changed at most {number:,} row(s) of {child}: so many referred to the old rows of {name} "
            "when they were counted, and not all of those are known to have gone."
        )


def _archived(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    if table.get("archive_path"):
        others = table.get("relatives_archived")
        more = f", and {others:,} line(s) of what goes or changes with them," if others else ""
        yield f"{table['rows_archived']:,} row(s) of {name}{more} are in {table['archive_path']}."


def _counted(data: Mapping[str, Any]) -> list[str]:
    """Return how many rows were deleted, in total and per table."""
    if not data["rows_deleted"] and not data.get("uncounted_batches"):
        return [] if data.get("partitions_dropped") else ["No row was deleted."]
    each = "; ".join(
        f"{name}: {at_least(table)}{table['rows_deleted']:,}"
        for name, table in data["tables"].items()
        if table["rows_deleted"] or table.get("uncounted_batches")
    )
    along = any(table.get("rows_cascaded") for table in data["tables"].values())
    counted = f"{data['rows_deleted']:,} {'' if along else 'old '}row(s) were deleted ({each})."
    return [f"At least {counted} {_missing(data)}" if data.get("uncounted_batches") else counted]


def _reasoning(data: dict[str, Any], results: Sequence[StepResult]) -> str:
    stopped = [result.step_id for result in results if result.status is StepStatus.PENDING]
    sentences = _counted(data)
    sentences += [
        f"The step {name} was stopped before its end: it goes on when the run is resumed." for name in stopped
    ]
    for name, table in data["tables"].items():
        for describe in (_left, _dropped, _cascaded, _along, _archived):
            sentences += describe(name, table)
    return " ".join([*sentences, *left_over(results)])

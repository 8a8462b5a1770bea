"""A log clean-up in figures and in a few plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.agents import log_partitions
from aishell.agents.summary import left_over
from aishell.models import StepResult, StepStatus, Task
from aishell.reporting.units import size

DELETES = (
    "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key", "delete_archived_records",
    "delete_related_records",
)  # fmt: skip
ARCHIVES = ("archive_old_records", "archive_related_records")


def summarise(task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
    """`output_data` of the JSON contract (model.md), and the reasoning."""
    tables: dict[str, dict[str, Any]] = {}
    archives = {
        f"{result.params.get('schema')}.{result.params.get('table')}": result.output
        for result in results
        if result.tool in ARCHIVES and result.output is not None
    }
    for result in results:
        if result.tool in DELETES and result.output is not None:
            name = f"{result.params.get('schema')}.{result.params.get('table')}"
            tables[name] = {
                "rows_deleted": result.output["rows_deleted"],
                "remaining": result.output.get("remaining"),
                "cutoff": result.params.get("cutoff"),
                "seconds": round(result.execution_time, 3),
            }
            if "relatives_deleted" in result.output:
                tables[name] |= {key: result.output[key] for key in ("relatives_deleted", "relatives_changed")}
            elif result.params.get("cascades"):
                tables[name]["cascades"] = dict(result.params["cascades"])
    for name, output in archives.items():
        table = tables.setdefault(name, {"rows_deleted": 0, "remaining": None, "cutoff": None, "seconds": 0.0})
        figures = ("rows_archived", "relatives_archived", "archive_path", "archive_bytes")
        table |= {key: output[key] for key in figures if key in output}
    partitions = [result for result in results if result.tool in log_partitions.TOOLS and result.output is not None]
    for result in partitions:
        name = f"{result.params.get('schema')}.{result.params.get('table')}"
        nothing = {"rows_deleted": 0, "remaining": None, "cutoff": result.params.get("cutoff"), "seconds": 0.0}
        table = tables.setdefault(name, nothing)
        table["seconds"] = round(table["seconds"] + result.execution_time, 3)
        table |= _partitions(result.output or {})
    rows = sum(table["rows_deleted"] for table in tables.values())
    data = {
        "actions_count": sum(1 for result in results if result.status is StepStatus.DONE),
        "tables_processed": len(tables),
        "rows_deleted": rows,
        "rows_archived": sum(output["rows_archived"] for output in archives.values()),
        "tables": tables,
    }
    if partitions:
        data["partitions_dropped"] = sum(table.get("partitions_dropped", 0) for table in tables.values())
        data["bytes_reclaimed"] = sum(table.get("bytes_dropped", 0) for table in tables.values())
    return data, _reasoning(data, results)


def _partitions(output: Mapping[str, Any]) -> dict[str, Any]:
    """What went with whole partitions. `rows_dropped` is what the statistics knew; bytes are those of the files."""
    return {
        "partitions_dropped": output["partitions_dropped"],
        "rows_dropped": output["rows_dropped"],
        "bytes_dropped": output["bytes_before"] - output["bytes_after"],
        "partitions": [{key: row[key] for key in ("partition", "bound", "rows", "bytes")} for row in output["dropped"]],
    }


def _reasoning(data: dict[str, Any], results: Sequence[StepResult]) -> str:
    if data["rows_deleted"]:
        each = "; ".join(
            f"{name}: {table['rows_deleted']:,}" for name, table in data["tables"].items() if table["rows_deleted"]
        )
        sentences = [f"{data['rows_deleted']:,} old row(s) were deleted ({each})."]
    else:
        sentences = ["No row was deleted."] if not data.get("partitions_dropped") else []
    for name, table in data["tables"].items():
        if table.get("partitions_dropped"):
            figures = f"about {table['rows_dropped']:,} rows, {size(table['bytes_dropped'])}"
            sentences.append(f"{table['partitions_dropped']} old partition(s) of {name} were dropped ({figures}).")
        for child, number in table.get("cascades", {}).items():
            sentences.append(f"With them went or changed {number:,} row(s) of {child}, as counted before.")
        if table.get("relatives_deleted") or table.get("relatives_changed"):
            gone, changed = table["relatives_deleted"], table["relatives_changed"]
            sentences.append(
                f"With those of {name} went {gone:,} row(s) of other tables, and {changed:,} were changed."
            )
        if table.get("archive_path"):
            others = table.get("relatives_archived")
            more = f", and {others:,} of other tables," if others else ""
            sentences.append(f"{table['rows_archived']:,} row(s) of {name}{more} are in {table['archive_path']}.")
    return " ".join([*sentences, *left_over(results)])

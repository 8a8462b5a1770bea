"""A maintenance run in figures and in a few plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.models import Cause, StepResult, StepStatus, Task

_REWRITES = ("rebuild_table",)
_OPTIMIZES = ("optimize_table", "optimize_offline_table", "incremental_vacuum")
_SHRINKS = (
    "optimize_table",
    "optimize_offline_table",
    "rebuild_fragmented_indexes",
    "incremental_vacuum",
    "rebuild_table",
)


def summarise(task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
    """`output_data` of the JSON contract (model.md), and the reasoning."""
    done = [r for r in results if r.status is StepStatus.DONE and r.output is not None]
    corrupted = [  # also by a check that failed on other objects
        row
        for r in results
        if r.tool == "check_table_corruption"
        for row in (r.output or {}).get("corrupted_tables", [])
    ]
    before, after = (
        sum(_number(r, key) for r in done if r.tool in _SHRINKS) for key in ("bytes_before", "bytes_after")
    )
    rewritten = {r.table for r in done if r.tool in (*_OPTIMIZES, *_REWRITES)}
    processed = {r.table for r in done if r.table}
    processed |= {
        f"{t['schema']}.{t['table']}"
        for r in done
        for t in r.params.get("tables") or ()
        if r.tool == "batch_update_statistics"
    }
    data: dict[str, Any] = {
        "maintenance_type": task.input_data.get("maintenance_type", "standard"),
        "actions_count": len(done),
        "tables_processed": len(processed),
        "indexes_rebuilt": sum(_number(r, "indexes_rebuilt") for r in done),
        "statistics_updated": sum(_number(r, "statistics_updated") for r in done),
        "tables_optimized": sum(1 for r in done if r.tool in _OPTIMIZES),
        "corruption_found": bool(corrupted),
        "corrupted_tables": corrupted,
        "corruption_repaired": False,
        "repaired_tables": [],
        "fragmentation_data": {
            r.table or "whole file": {
                **{key: (r.output or {}).get(key) for key in ("fragmentation_percent", "method", "recommendation")},
                **({"recommendation": "none: this run has done it"} if r.table in rewritten else {}),
            }
            for r in done
            if r.tool == "analyze_table_fragmentation"
        },
        "bytes_before": before,
        "bytes_after": after,
        "bytes_reclaimed": before - after,
        "bytes_method": method_of([r.output or {} for r in done if r.tool in _SHRINKS]),
        "backup_id": next(((r.output or {})["backup_id"] for r in done if r.tool == "validate_backup"), None),
    }
    return data, reasoning(data, results)


def reasoning(data: dict[str, Any], results: Sequence[StepResult]) -> str:
    """What was found, what was done, what was left and why."""
    health = next((r for r in results if r.tool == "analyze_database_health"), None)
    if health is not None and health.status is StepStatus.SKIPPED:
        sentences = ["The health check did not run."]
    else:
        findings = 0 if health is None else len((health.output or {}).get("findings", []))
        sentences = [f"The health check made {findings} finding(s)."]
    if data["corruption_found"]:
        sentences.append(
            f"{len(data['corrupted_tables'])} object(s) are corrupted. Nothing was rewritten; restore them from a backup."
        )
    sentences += _unchecked(results)
    optimised = [r for r in results if r.tool in _OPTIMIZES and r.status is StepStatus.DONE]
    tables = [r for r in optimised if r.table]
    rewrites = sum(1 for r in results if r.tool in _REWRITES and r.status is StepStatus.DONE)
    dropped = sum(_number(r, "indexes_dropped") for r in results if r.status is StepStatus.DONE)
    did = [
        f"optimised {len(tables)} table(s)" if tables else "",
        f"rewrote {rewrites} table(s)" if rewrites else "",
        "rewrote the file" if len(optimised) > len(tables) else "",
        f"rebuilt {data['indexes_rebuilt']} index(es)" if data["indexes_rebuilt"] else "",
        f"dropped {dropped} index(es) that a rebuild had left" if dropped else "",
        f"refreshed the statistics of {data['statistics_updated']} table(s)" if data["statistics_updated"] else "",
    ]
    done = [text for text in did if text]
    if data["backup_id"]:
        sentences.append(f"A backup was made first: {data['backup_id']}.")
    tried = any(
        r.status in (StepStatus.FAILED, StepStatus.REJECTED, StepStatus.IN_DOUBT)
        or r.cause in (Cause.PRIVILEGE, Cause.DEFERRED)
        for r in results
    )
    over = any(r.tool == "generate_maintenance_report" for r in results)  # the last step: nothing waits or was given up
    idle = "Nothing needed to be changed." if over and not tried else "Nothing was changed."
    sentences.append(f"aishell {_listed(done)}." if done else idle)
    if data["bytes_reclaimed"]:
        sizes = f"({data['bytes_before']:,} before, {data['bytes_after']:,} after)"
        about = "about " if data["bytes_method"] == "statistics" else ""
        given = f"{about}{data['bytes_reclaimed']:,} bytes were reclaimed {sizes}."
        sentences.append(
            f"{given[0].upper()}{given[1:]}"
            if data["bytes_reclaimed"] > 0
            else f"The objects worked on grew by {about}{-data['bytes_reclaimed']:,} bytes {sizes}."
        )
    sentences += left_over(results)
    return " ".join(sentences)


def method_of(outputs: Sequence[Mapping[str, Any]]) -> str | None:
    """Where figures of bytes come from: `statistics` where one of them does, else `file size`; None where there are none."""
    if not outputs:
        return None
    return "statistics" if any(roughly(output) for output in outputs) else "file size"


def roughly(output: Mapping[str, Any]) -> str:
    """The word before bytes that statistics tell."""
    return "about " if output.get("bytes_method") == "statistics" else ""


def _unchecked(results: Sequence[StepResult]) -> list[str]:
    """A sentence when the check for damage looked at less than it was to."""
    checks = [r for r in results if r.tool == "check_table_corruption"]
    if any(r.status is StepStatus.SKIPPED and r.cause is Cause.PRIVILEGE for r in checks):
        return ["Nothing was checked for corruption; any changes were made unchecked."]
    outputs = [r.output for r in checks if r.output]
    left = [row for output in outputs for row in output.get("not_checked") or ()]
    if not left:
        return []
    checked = sum(len(output.get("checked") or ()) for output in outputs)
    reason = f"{left[0].get('reason')}"
    if not checked and not any(output.get("corrupted_tables") for output in outputs):
        return [f"Nothing was checked for corruption: {reason}."]
    return [f"{len(left)} object(s) were not checked for corruption: {reason}."]


def left_over(results: Sequence[StepResult]) -> list[str]:
    """A sentence each for what was left out, skipped, refused and failed, with the reasons of the first."""
    sentences = []
    without = [r for r in results if r.cause is Cause.PRIVILEGE]
    if without:
        sentences.append(f"Left out for lack of privileges: {_shown(without)}.")
    for status, word in (
        (StepStatus.SKIPPED, "skipped"),
        (StepStatus.REJECTED, "refused"),
        (StepStatus.FAILED, "failed"),
    ):
        left = [r for r in results if r.status is status and r.cause is not Cause.PRIVILEGE]
        if left:
            sentences.append(f"{len(left)} step(s) {word}: {_shown(left)}.")
    return sentences


def _shown(left: Sequence[StepResult]) -> str:
    shown = "; ".join(f"{r.step_id} ({r.reason or r.error})" for r in left[:5])
    return shown + (f" and {len(left) - 5} more" if len(left) > 5 else "")


def _number(result: StepResult, key: str) -> int:
    value = (result.output or {}).get(key)
    return int(value) if isinstance(value, (int, float)) else 0


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

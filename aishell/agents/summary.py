"""Summarise a maintenance run in figures and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aishell.models import Cause, StepResult, StepStatus, Task
from aishell.reporting.units import roughly

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
    """Return `output_data` of the JSON contract (model.md), and the reasoning."""
    done = [r for r in results if r.status is StepStatus.DONE and r.output is not None]
    shrunk = [r for r in done if r.tool in _SHRINKS]
    corrupted = _corrupted(results)
    before, after = total(shrunk, "bytes_before"), total(shrunk, "bytes_after")
    data: dict[str, Any] = {
        "maintenance_type": task.input_data.get("maintenance_type", "standard"),
        "actions_count": len(done),
        "tables_processed": len(_processed(done)),
        "indexes_rebuilt": total(done, "indexes_rebuilt"),
        "statistics_updated": total(done, "statistics_updated"),
        "tables_optimized": sum(1 for r in done if r.tool in _OPTIMIZES),
        "corruption_found": bool(corrupted),
        "corrupted_tables": corrupted,
        "corruption_repaired": False,
        "repaired_tables": [],
        "fragmentation_data": _fragmentation(done),
        "bytes_before": before,
        "bytes_after": after,
        "bytes_reclaimed": before - after,
        "bytes_method": method_of([r.output or {} for r in shrunk]),
        "backup_id": next(((r.output or {})["backup_id"] for r in done if r.tool == "validate_backup"), None),
    }
    return data, reasoning(data, results)


def _corrupted(results: Sequence[StepResult]) -> list[Any]:
    """Return the damaged objects, including those of a check that failed on other objects."""
    checks = [r.output or {} for r in results if r.tool == "check_table_corruption"]
    return [row for output in checks for row in output.get("corrupted_tables", [])]


def _processed(done: Sequence[StepResult]) -> set[str]:
    named = [t for r in done if r.tool == "batch_update_statistics" for t in r.params.get("tables") or ()]
    return {r.table for r in done if r.table} | {f"{t['schema']}.{t['table']}" for t in named}


def _fragmentation(done: Sequence[StepResult]) -> dict[str, dict[str, Any]]:
    """Return the findings for each table, without advice on tables that this run rewrote."""
    rewritten = {r.table for r in done if r.tool in (*_OPTIMIZES, *_REWRITES)}
    found = {}
    for r in done:
        if r.tool == "analyze_table_fragmentation":
            figures = {key: (r.output or {}).get(key) for key in ("fragmentation_percent", "method", "recommendation")}
            if r.table in rewritten:
                figures["recommendation"] = "none: this run has done it"
            found[r.table or "whole file"] = figures
    return found


def reasoning(data: dict[str, Any], results: Sequence[StepResult]) -> str:
    """Return sentences on what was found, done and left undone, and why."""
    sentences = [_health(results)]
    if data["corruption_found"]:
        sentences.append(
            f"{len(data['corrupted_tables'])} object(s) are corrupted. Nothing was rewritten; restore them from a backup."
        )
    sentences += _unchecked(results)
    if data["backup_id"]:
        sentences.append(f"A backup was made first: {data['backup_id']}.")
    done = list(_done(data, results))
    sentences.append(f"aishell {_listed(done)}." if done else _idle(results))
    if data["bytes_reclaimed"]:
        sentences.append(_reclaimed(data))
    return " ".join([*sentences, *left_over(results)])


def _health(results: Sequence[StepResult]) -> str:
    check = next((r for r in results if r.tool == "analyze_database_health"), None)
    if check is not None and check.status is StepStatus.SKIPPED:
        return "The health check did not run."
    findings = 0 if check is None else len((check.output or {}).get("findings", []))
    return f"The health check made {findings} finding(s)."


def _done(data: Mapping[str, Any], results: Sequence[StepResult]) -> Iterator[str]:
    """Yield what was changed, each as the end of a sentence."""
    done = [r for r in results if r.status is StepStatus.DONE]
    optimised = [r for r in done if r.tool in _OPTIMIZES]
    tables = [r for r in optimised if r.table]
    for number, text in (
        (len(tables), "optimised {} table(s)"),
        (sum(1 for r in done if r.tool in _REWRITES), "rewrote {} table(s)"),
        (len(optimised) - len(tables), "rewrote the file"),
        (data["indexes_rebuilt"], "rebuilt {} index(es)"),
        (total(done, "indexes_dropped"), "dropped {} index(es) that a rebuild had left"),
        (data["statistics_updated"], "refreshed the statistics of {} table(s)"),
    ):
        if number:
            yield text.format(number)


def _idle(results: Sequence[StepResult]) -> str:
    """Say that nothing was changed, or that nothing needed to be if everything was checked and no step failed."""
    in_vain = (StepStatus.FAILED, StepStatus.REJECTED, StepStatus.IN_DOUBT)
    tried = any(r.status in in_vain or r.cause in (Cause.PRIVILEGE, Cause.DEFERRED) for r in results)
    over = any(r.tool == "generate_maintenance_report" for r in results)  # the last step: nothing waits or was given up
    return "Nothing needed to be changed." if over and not tried else "Nothing was changed."


def _reclaimed(data: Mapping[str, Any]) -> str:
    sizes = f"({data['bytes_before']:,} before, {data['bytes_after']:,} after)"
    about = "about " if data["bytes_method"] == "statistics" else ""
    if data["bytes_reclaimed"] < 0:
        return f"The objects worked on grew by {about}{-data['bytes_reclaimed']:,} bytes {sizes}."
    return f"{about.capitalize()}{data['bytes_reclaimed']:,} bytes were reclaimed {sizes}."


def method_of(outputs: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the source of byte figures: `statistics` if any output has it, else `file size`; None without outputs."""
    if not outputs:
        return None
    return "statistics" if any(roughly(output) for output in outputs) else "file size"


def _unchecked(results: Sequence[StepResult]) -> list[str]:
    """Return a sentence if the corruption check was incomplete."""
    checks = [r for r in results if r.tool == "check_table_corruption"]
    if any(r.status is StepStatus.SKIPPED and r.cause is Cause.PRIVILEGE for r in checks):
        return ["Nothing was checked for corruption; any changes were made unchecked."]
    outputs = [r.output for r in checks if r.output]
    left = [row for output in outputs for row in output.get("not_checked") or ()]
    if not left:
        return []
    checked = sum(len(output.get("checked") or ()) for output in outputs)
    reason = left[0].get("reason")
    if not checked and not any(output.get("corrupted_tables") for output in outputs):
        return [f"Nothing was checked for corruption: {reason}."]
    return [f"{len(left)} object(s) were not checked for corruption: {reason}."]


def outputs_of(results: Sequence[StepResult]) -> dict[str, Mapping[str, Any]]:
    """Return the output of each finished step, by its id."""
    return {result.step_id: result.output or {} for result in results if result.status is StepStatus.DONE}


def left_over(results: Sequence[StepResult]) -> list[str]:
    """Return a sentence each on steps left out, skipped, refused and failed, with the reasons of the first ones."""
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


def total(results: Sequence[StepResult], key: str) -> int:
    """Return the sum of a figure over the results that have it."""
    values = ((result.output or {}).get(key) for result in results)
    return sum(int(value) for value in values if isinstance(value, (int, float)))


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

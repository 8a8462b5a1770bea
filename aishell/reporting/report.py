"""The maintenance report: what the run recorded, for the person who reads it in the morning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aishell.agents.cascaded import cascaded
from aishell.models import Plan, Server, StepResult, StepStatus, now
from aishell.registry.context import Context
from aishell.reporting.markdown import literal
from aishell.reporting.units import about, exact, gain, printable, size

_SEVERITIES = ("critical", "warning", "info")
_MARKS = {
    StepStatus.DONE: "done",
    StepStatus.SKIPPED: "skipped",
    StepStatus.FAILED: "FAILED",
    StepStatus.REJECTED: "refused",
}
_COUNTS = {
    "indexes_rebuilt": "index(es) rebuilt",
    "statistics_updated": "table(s) analysed",
    "indexes_dropped": "left-over index(es) dropped",
    "rows_deleted": "row(s) deleted",
    "partitions_dropped": "partition(s) dropped",
}
#: What a step of SQLite works on that names no table.
WHOLE_FILE = "whole file"
MAX_LINES = 40  # per section; the rest is counted


def maintenance_report(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """`{report, format}` from the results of the run so far."""
    plan, server = context.facts["plan"], context.facts["server"]
    results: list[StepResult] = sorted(context.results, key=lambda result: result.step_index)
    lines = [
        f"# Maintenance of {_name(context.target)} ({_name(params['maintenance_type'])})",
        "",
        f"{_name(f'{server.product} {server.version_text}')}, database {_name(server.database)}; "
        f"run {context.run_id[:8]}, {now()[:19]}Z",
        "",
        *_findings(results),
        *_steps(plan, results),
        *_logs(plan, results),
        *_damage(results),
        *_left(plan, results),
        *_figures(results, server),
    ]
    return {"report": "\n".join(lines), "format": "markdown"}


def _findings(results: Sequence[StepResult]) -> Iterable[str]:
    found = [f for r in results if r.tool == "analyze_database_health" for f in (r.output or {}).get("findings", [])]
    if not found:
        return ["## Findings", "", "None.", ""]
    found.sort(key=lambda f: _SEVERITIES.index(f["severity"]) if f["severity"] in _SEVERITIES else len(_SEVERITIES))
    acted = _acted_on(results)
    lines = [f"- **{_name(f['severity'])}** {_subject(f)}: {_told(f, acted.get(_about(f)))}" for f in found]
    return ["## Findings, before anything was done", "", *_cut(lines), ""]


def _subject(finding: Mapping[str, Any]) -> str:
    """What was found, and of which object where it is of one."""
    return " ".join(filter(None, (_name(finding["finding"]), _name(finding.get("object")))))


def _about(finding: Mapping[str, Any]) -> str:
    """What a finding is about: a table by its name, or the whole file."""
    return WHOLE_FILE if finding["finding"] == "free_space" else str(finding.get("object"))


def _told(finding: Mapping[str, Any], acted: Sequence[str] | None) -> str:
    """The value of a finding, and what it says; that advice is out of date where the run has changed the object since."""
    value, detail = _name(finding.get("value")), _name(finding.get("detail"))
    if acted:
        return f"{value}; since then {', '.join(acted)}"
    return ". ".join(filter(None, (value, detail)))


def _acted_on(results: Sequence[StepResult]) -> dict[str, list[str]]:
    """What steps of the run did to a table, by its name: `optimize_orders: dead rows 100 → 0`."""
    acted: dict[str, list[str]] = {}
    for result in results:
        output = result.output or {}
        if "bytes_before" in output or any(output.get(field) for field in _COUNTS):
            table = result.params.get("table")
            name = f"{result.params.get('schema')}.{table}" if table else WHOLE_FILE
            acted.setdefault(name, []).append(f"{_name(result.step_id)}: {_effect(result)}")
    return {name: did for name, did in acted.items() if any(did)}


def _steps(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    by_id = {step.id: step for step in plan.steps}
    rows = []
    for result in results:
        expected = by_id[result.step_id].estimate.seconds
        predicted = about(expected).removeprefix("about ")
        mark = _MARKS.get(result.status, result.status)
        rows.append(
            f"| {_name(result.step_id)} | {mark} | {_effect(result)} | {predicted} | {result.execution_time:.1f} s |"
        )
    return ["## Steps", "", "| step | result | effect | predicted | took |", "|---|---|---|---|---|", *_cut(rows), ""]


def _effect(result: StepResult) -> str:
    """What a step changed, in figures it measured itself."""
    output = result.output or {}
    if result.status is not StepStatus.DONE and not output.get("rows_deleted"):
        return ""
    parts = []
    if output.get("bytes_before") is not None and output.get("bytes_after") is not None:
        parts.append(f"{size(output['bytes_before'])} → {size(output['bytes_after'])}")
    if output.get("dead_rows_before") is not None and output.get("dead_rows_after") is not None:
        parts.append(f"dead rows {output['dead_rows_before']:,} → {output['dead_rows_after']:,}")
    for field, words in _COUNTS.items():
        if isinstance(output.get(field), int):
            least = "at least " if field == "rows_deleted" and output.get("uncounted_batches") else ""
            parts.append(f"{least}{output[field]:,} {words}")
    if output.get("fragmentation_percent") is not None:
        parts.append(f"{output['fragmentation_percent']} % fragmented")
    return ", ".join(parts)


def _logs(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    """What went from each log table, altogether and by the day it was written."""
    by_id = {step.id: step for step in plan.steps}
    rows = []
    for result in results:
        gone = (result.output or {}).get("rows_deleted")
        if gone is None or (result.status is not StepStatus.DONE and not gone):
            continue
        least = "at least " if (result.output or {}).get("uncounted_batches") else ""
        known = {item.metric: item.value for item in by_id[result.step_id].evidence}
        days, width = known.get("old_days"), known.get("bytes_per_row")
        table = _name(f"{result.params.get('schema')}.{result.params.get('table')}")
        # The rows may have been far more than the statistics knew: no more came from the table than it had.
        bytes_ = min(gone * width, known.get("table_bytes") or 0) if width else None
        held = f"about {size(bytes_)}" if bytes_ is not None else "unknown"
        daily, a_day = f"{gone / days:,.0f}" if days else "unknown", "unknown"
        if days and bytes_ is not None:
            a_day = f"about {size(bytes_ / days)}"
        rows.append(f"| {table} | {_name(known.get('cutoff'))} | {least}{gone:,} | {held} | {daily} | {a_day} |")
        if "relatives_deleted" in (result.output or {}):
            rows.append(f"| other tables | with {table} | {_relatives(result)} | | | |")
        others = cascaded(result)
        rows += [
            f"| {_name(child)} | with {table} | {others.words(child)} as counted before | | | |"
            for child in others.rows
        ]
    if not rows:
        return []
    head = ["| table | rows before | deleted | bytes | rows a day | bytes a day |", "|---|---|---|---|---|---|"]
    return ["## Log tables", "", *head, *_cut(rows), ""]


def _relatives(result: StepResult) -> str:
    """The rows of other tables that a step has deleted and changed."""
    output = result.output or {}
    return f"{output['relatives_deleted']:,}, and {output['relatives_changed']:,} were changed"


def _damage(results: Sequence[StepResult]) -> Iterable[str]:
    checks = [r for r in results if r.tool == "check_table_corruption"]
    if not checks:
        return []
    damaged = [row for r in checks for row in (r.output or {}).get("corrupted_tables", [])]
    unchecked = [row for r in checks for row in (r.output or {}).get("not_checked", [])]
    lines = [
        f"- {_name('.'.join(str(v) for k, v in row.items() if k in ('schema', 'table')))}: {_name(row.get('reason'))}"
        for row in damaged
    ]
    checked = sum(len((r.output or {}).get("checked") or ()) for r in checks)
    if not damaged:
        lines = [f"No damage was found in {checked} object(s)." if checked else "Nothing was checked."]
    if unchecked:
        lines.append(f"{len(unchecked)} object(s) were not checked: {_name(unchecked[0].get('reason'))}")
    if damaged:
        lines.append("Nothing was rewritten. Restore what is damaged from a backup that was compared.")
    return ["## Corruption check", "", *_cut(lines), ""]


def _left(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    """What was not done, and what the role may not do, with the statements that would let it."""
    left = [r for r in results if r.status in (StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.REJECTED)]
    lines = [f"- {_name(r.step_id)}: {_name(r.reason or r.error)}" for r in left]
    lines += [f"- {_name(o.step)}, left out: {_name(o.object)}: {_name(o.reason)}" for o in plan.left_out]
    grants = dict.fromkeys(grant for one in plan.left_out for grant in one.grants)
    hints = dict.fromkeys(one.hint for one in plan.left_out if one.hint)
    told = ["An administrator can allow what was left out:", "", *_cut([f"    {printable(g)}" for g in grants]), ""]
    told = [*(told if grants else []), *(f"{_name(hint)}." for hint in hints)]
    return ["## Left, and why", "", *_cut(lines), "", *told] if lines else []


def _figures(results: Sequence[StepResult], server: Server) -> Iterable[str]:
    outputs = [r.output or {} for r in results if r.status is StepStatus.DONE and "bytes_after" in (r.output or {})]
    before = sum(o["bytes_before"] or 0 for o in outputs)
    after = sum(o["bytes_after"] or 0 for o in outputs)
    lines = (
        [f"Worked on {size(before)}, now {size(after)}: {gain(before, after)}."]
        if outputs
        else ["Nothing was rewritten."]
    )
    if server.database_bytes is not None:
        lines.append(f"The database had {size(server.database_bytes)} when its last change began.")
    return ["## Figures", "", *lines]


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more"]


def _name(text: object) -> str:
    """A name, or a sentence with names, on a line of the report: exactly as it is, and no mark-up of Markdown."""
    return literal(exact(str(text))) if text is not None else ""

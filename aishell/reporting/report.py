"""The maintenance report: what the run recorded, for the person who reads it in the morning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aishell.commands import TOLD, addressed
from aishell.engines import profile
from aishell.models import Evidence, Plan, Server, StepResult, StepStatus, now
from aishell.moments import at
from aishell.planning.hooking import worth_telling
from aishell.reporting.deletions import DROPS, at_least, cascaded, left_of, worked
from aishell.reporting.health import SEVERITIES
from aishell.reporting.night import COUNTS
from aishell.reporting.units import about, exact, gain, literal, printable, qualified, roughly, size
from aishell.running.context import Context

_MARKS = {
    StepStatus.DONE: "done",
    StepStatus.SKIPPED: "skipped",
    StepStatus.FAILED: "FAILED",
    StepStatus.REJECTED: "refused",
}
_COUNTS = {**COUNTS, "rows_deleted": "row(s) deleted"}
#: What a SQLite step without a table works on.
WHOLE_FILE = "whole file"
#: The finding that corruption does not show in the catalogs; outdated once the run has checked the tables.
UNSEEN_DAMAGE = "corruption_not_visible"
MAX_LINES = 40  # per section; the rest is counted


def maintenance_report(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Return `{report, format}` from the results of the run so far."""
    plan, server = context.facts["plan"], context.facts["server"]
    results: list[StepResult] = sorted(context.results, key=lambda result: result.step_index)
    lines = [
        f"# Maintenance of {_name(context.target)} ({_name(params['maintenance_type'])})",
        "",
        f"{_name(f'{server.product} {server.version_text}')}, database {_name(server.database)}; "
        f"run {context.run_id[:8]}, {at(now())}",
        "",
        *_findings(results, context.target),
        *_steps(plan, results),
        *_logs(plan, results),
        *_damage(plan, results),
        *_left(plan, results),
        *(["## Backlog", "", _name(backlog), ""] if (backlog := context.backlog()) else []),
        *_figures(results, server),
    ]
    return {"report": "\n".join(lines), "format": "markdown"}


def _findings(results: Sequence[StepResult], target: str) -> Iterable[str]:
    found = [f for r in results if r.tool == "analyze_database_health" for f in (r.output or {}).get("findings", [])]
    if not found:
        return ["## Findings", "", "None.", ""]
    found.sort(key=lambda f: SEVERITIES.index(f["severity"]) if f["severity"] in SEVERITIES else len(SEVERITIES))
    acted = _acted_on(results)
    if any(r.tool == "check_table_corruption" and (r.output or {}).get("checked") for r in results):
        acted[UNSEEN_DAMAGE] = ["the tables were checked, see below"]
    lines = []
    for f in found:
        subject = " ".join(filter(None, (_name(f["finding"]), _name(f.get("object")))))
        lines.append(f"- **{_name(f['severity'])}** {subject}: {_statement(f, acted.get(_about(f)), target)}")
    return ["## Findings, before anything was done", "", *_cut(lines), ""]


def _about(finding: Mapping[str, Any]) -> str:
    """Return the subject of a finding: a table by name, or the whole file."""
    if finding["finding"] == UNSEEN_DAMAGE:
        return UNSEEN_DAMAGE
    return WHOLE_FILE if finding["finding"] == "free_space" else str(finding.get("object"))


def _statement(finding: Mapping[str, Any], acted: Sequence[str] | None, target: str) -> str:
    """Return a finding's value and advice; the advice is outdated if the run has since changed the object."""
    value = _name(finding.get("value"))
    if acted:
        return f"{value}; since then {', '.join(acted)}"
    return ". ".join(filter(None, (value, _advice(str(finding.get("detail") or ""), target))))


def _advice(text: str, target: str) -> str:
    """Return a tool's sentence. Commands in it get this target and are code spans, free of mark-up."""
    pieces = TOLD.split(addressed(text, target))
    return "".join(f"`aishell {printable(one)}`" if n % 2 else _name(one) for n, one in enumerate(pieces))


def _acted_on(results: Sequence[StepResult]) -> dict[str, list[str]]:
    """Return what steps of the run did to each table, by name: `optimize_orders: dead rows 100 → 0`."""
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
    if not rows:
        return ["## Steps", "", "None.", ""]
    return ["## Steps", "", "| step | result | effect | predicted | took |", "|---|---|---|---|---|", *_cut(rows), ""]


def _effect(result: StepResult) -> str:
    """Return what a step changed, in figures that it measured itself."""
    output = result.output or {}
    if result.status is not StepStatus.DONE and not worked(output):
        return ""
    parts = []
    if output.get("bytes_before") is not None and output.get("bytes_after") is not None:
        parts.append(f"{roughly(output)}{size(output['bytes_before'])} → {size(output['bytes_after'])}")
    if output.get("dead_rows_before") is not None and output.get("dead_rows_after") is not None:
        parts.append(f"dead rows {output['dead_rows_before']:,} → {output['dead_rows_after']:,}")
    for field, words in _COUNTS.items():
        if isinstance(output.get(field), int):
            least = at_least(output) if field == "rows_deleted" else ""
            parts.append(f"{least}{output[field]:,} {words}")
    if output.get("fragmentation_percent") is not None:
        parts.append(f"{output['fragmentation_percent']} % fragmented")
    return ", ".join(parts)


def _logs(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    """Return what was deleted from each log table, and how much was written to it per day."""
    by_id = {step.id: step for step in plan.steps}
    dropped = {result.table: (result.output or {}).get("rows_dropped") for result in results if result.tool in DROPS}
    rows: list[str] = []
    for result in results:
        output = result.output or {}
        if output.get("rows_deleted") is not None and (result.status is StepStatus.DONE or worked(output)):
            left = left_of(result, results)
            rows += _log(result, by_id[result.step_id].evidence, left, dropped.get(result.table, 0))
    if not rows:
        return []
    head = [
        "| table | older than | deleted | left | bytes | rows a day | bytes a day |",
        "|---|---|---|---|---|---|---|",
    ]
    return ["## Log tables", "", *head, *_cut(rows), ""]


def _log(result: StepResult, evidence: Sequence[Evidence], left: int | None, dropped: int | None) -> Iterator[str]:
    """Yield the table rows on a step's deletion: its own table, and tables affected by cascade."""
    output = result.output or {}
    known = {item.metric: item.value for item in evidence}
    word = next((one.error for one in evidence if one.metric == "bytes_per_row"), None) or "about"
    least = at_least(output)
    gone, width, table = output["rows_deleted"], known.get("bytes_per_row"), _name(result.table)
    # There may be far more rows than the statistics say, so the table's size is the upper limit.
    bytes_ = min(gone * width, known.get("table_bytes") or 0) if width else None
    held = f"{word} {size(bytes_)}" if bytes_ is not None else "unknown"
    rate = _a_day(result, left, known.get("old_days"), dropped)
    daily = "unknown" if rate is None else f"about {rate:,.0f}"
    a_day = "unknown" if rate is None or width is None else f"{word} {size(rate * width)}"
    still = "not counted" if left is None else f"{left:,}"
    yield f"| {table} | {_name(known.get('cutoff'))} | {least}{gone:,} | {still} | {held} | {daily} | {a_day} |"
    if "relatives_deleted" in output:
        went, changed = (f"{least}{output[name]:,}" for name in ("relatives_deleted", "relatives_changed"))
        yield f"| other tables | with {table} | {went}, and {changed} were changed | | | | |"
    others = cascaded(result)
    for child in others.rows:
        yield f"| {_name(child)} | with {table} | {others.words(child)} as counted before | | | | |"


def _a_day(result: StepResult, left: int | None, days: float | None, dropped: int | None) -> float | None:
    """Return how many of the now old rows were added per day: all of them, by the days from the first to the cut-off.

    `dropped`: rows deleted with partitions of the table. None if not all rows are known, and with filters: the dates of
    the other rows do not show for how long the filtered rows have been added.
    """
    output = result.output or {}
    if not days or left is None or dropped is None or result.params.get("filters") or output.get("uncounted_batches"):
        return None
    return float((output["rows_deleted"] + left + dropped) / days)


def _damage(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    without = [one.reason for one in plan.left_out if one.tool == "check_table_corruption"]
    if without:
        text = f"Nothing was checked: {_name(without[0])}. Any changes of this run were made unchecked."
        return ["## Corruption check", "", text, ""]
    outputs = [result.output or {} for result in results if result.tool == "check_table_corruption"]
    return ["## Corruption check", "", *_cut(_checked(outputs)), ""] if outputs else []


def _checked(outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines on what checks for damage have found."""
    damaged, unchecked, checked = (
        [row for output in outputs for row in output.get(name) or ()]
        for name in ("corrupted_tables", "not_checked", "checked")
    )
    lines = [f"- {_name(qualified(row))}: {_name(row.get('reason'))}" for row in damaged]
    if not damaged:
        lines = [f"No damage was found in {len(checked)} object(s)." if checked else "Nothing was checked."]
    if unchecked:
        lines.append(f"{len(unchecked)} object(s) were not checked: {_name(unchecked[0].get('reason'))}")
    if damaged:
        lines.append("Nothing was rewritten. Restore the damaged objects from a backup that passed a restore test.")
    return lines


def _left(plan: Plan, results: Sequence[StepResult]) -> Iterable[str]:
    """Return what was not done, and what the role may not do, with the statements that would allow it."""
    left = [
        r
        for r in worth_telling(plan, results)
        if r.status in (StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.REJECTED)
    ]
    lines = [f"- {_name(r.step_id)}: {_name(r.reason or r.error)}" for r in left]
    lines += [f"- {_name(o.step)}, left out: {_name(o.object)}: {_name(o.reason)}" for o in plan.left_out]
    grants = dict.fromkeys(grant for one in plan.left_out for grant in one.grants)
    hints = dict.fromkeys(one.hint for one in plan.left_out if one.hint)
    remedies = ["An administrator can allow what was left out:", "", *_cut([f"    {printable(g)}" for g in grants]), ""]
    remedies = [*(remedies if grants else []), *(f"{_name(hint)}." for hint in hints)]
    return ["## Left, and why", "", *_cut(lines), "", *remedies] if lines else []


def _figures(results: Sequence[StepResult], server: Server) -> Iterable[str]:
    outputs = [r.output or {} for r in results if r.status is StepStatus.DONE and "bytes_after" in (r.output or {})]
    before = sum(o["bytes_before"] or 0 for o in outputs)
    after = sum(o["bytes_after"] or 0 for o in outputs)
    about_ = next((word for output in outputs if (word := roughly(output))), "")
    lines = (
        [f"Worked on {about_}{size(before)}, now {about_}{size(after)}: {about_}{gain(before, after)}."]
        if outputs
        else ["No step changed the size of a table, an index or a file."]
    )
    if server.database_bytes is not None:
        guess = profile(server.engine).counts_by_statistics(server.features)
        whole = f"{'about ' if guess else ''}{size(server.database_bytes)}"
        lines.append(f"The size of the database was {whole} when last measured.")
    return ["## Figures", "", *lines]


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more"]


def _name(text: object) -> str:
    """Return a name, or a sentence with names, exactly as it is, without effect as Markdown."""
    return literal(exact(str(text))) if text is not None else ""

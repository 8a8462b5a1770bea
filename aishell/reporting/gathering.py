"""Gather a night, or one run, from `state.db` into the values of `reporting.night`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aishell.backups.store.catalog import CatalogEntry
from aishell.models import OK, RunState, StepStatus, timestamp
from aishell.planning.backlog import sentences
from aishell.reporting import needs
from aishell.reporting.diagnosis import backup
from aishell.reporting.night import (
    COUNTS,
    BacklogChange,
    Effect,
    Need,
    NewestBackup,
    NightFinding,
    NightReport,
    NightSum,
    Postponed,
    RunReport,
    RunSummary,
    SizeChange,
    StepSummary,
    ToolTime,
    Trend,
    WorkflowSummary,
)
from aishell.reporting.so_far import so_far
from aishell.reporting.units import roughly
from aishell.state import nights
from aishell.state.backlog import Backlog
from aishell.state.connection import Record
from aishell.state.store import Store

#: The days covered by sums and trends.
LONG = 30
DAY = timedelta(days=1)
_AT_WORK = (RunState.PLANNING, RunState.EXECUTING, RunState.CHECKPOINTING)

Period = tuple[str, str]


def gather_night(
    store: Store,
    since: datetime,
    until: datetime,
    *,
    targets: Iterable[str],
    backups: Sequence[CatalogEntry],
    running: Callable[[str], bool],
    further: Iterable[Need] = (),
    site: str = "",
    day: str = "",
    daemon: Callable[[], bool] = lambda: True,
    workflow_status: Callable[[Record], str] = lambda row: str(row.status),
) -> NightReport:
    """Return what was done after `since` until `until`, both in UTC, and what is open.

    `targets`: the targets whose backups are judged; `running`: whether a process holds a run's lock; `further`: other
    needs; `site`: the name of the site; `day`: the night's day; `daemon`: whether one runs; `workflow_status`: the
    status of a workflow run.
    """
    first, last = timestamp(since), timestamp(until)
    rows, past = nights.night(store, first, last, timestamp(until - LONG * DAY))
    runs = _runs(rows, (first, last), running)
    kept = [_backup(name, [one for one in backups if one.target == name], until) for name in targets]
    counted = [step for run in runs for step in run.steps if step.counted]
    owed, workflows = list(_backlog(store, first)), list(_workflows(rows, workflow_status))
    wanted = [*needs.of_runs(runs, rows, last), *needs.of_site(rows, kept), *needs.of_backlog(owed)]
    wanted += [*needs.of_workflows(workflows), *needs.of_daemon(rows, daemon), *further]
    return NightReport(
        since=first,
        until=last,
        needs=tuple(needs.sorted_needs(wanted)),
        runs=tuple(runs),
        sizes=tuple(_sizes(rows.objects)),
        tools=tuple(_tools(counted)),
        left=tuple(_left(rows.runs)),
        backups=tuple(kept),
        nights=tuple(_sums(past.effects, until)),
        trends=tuple(_trends(past, until)),
        site=site,
        workflows=tuple(workflows),
        backlog=tuple(owed),
        day=day,
    )


def gather_run(store: Store, run_id: str, until: datetime, *, running: Callable[[str], bool]) -> RunReport:
    """Return one run, by its full id, with everything that it did."""
    rows = nights.of_run(store, run_id)
    (run,) = _runs(rows, None, running)
    outputs = [(row, _object(row.output)) for row in rows.steps]
    return RunReport(
        run=run,
        needs=tuple(needs.sorted_needs(needs.of_runs([run], rows, timestamp(until), whole=True))),
        sizes=tuple(_sizes(rows.objects)),
        tools=tuple(_tools(run.steps)),
        left=tuple(_left(rows.runs)),
        findings=tuple(one for row, output in outputs for one in findings(run.target, row.tool, output)),
        own_report=next((str(output["report"]) for _, output in reversed(outputs) if output.get("report")), None),
    )


def findings(target: str, tool: str, output: Mapping[str, Any]) -> Iterator[NightFinding]:
    """Yield the findings of a health check."""
    for one in output.get("findings") or () if tool == "analyze_database_health" else ():
        names = {name: one.get(name) for name in ("severity", "finding", "object")}
        yield NightFinding(target, **names, value=str(one.get("value") or ""), detail=str(one.get("detail") or ""))


def _runs(rows: nights.Rows, period: Period | None, running: Callable[[str], bool]) -> list[RunSummary]:
    steps: dict[str, list[StepSummary]] = defaultdict(list)
    for row in rows.steps:
        steps[row.run_id].append(_step(row, period))
    return [_run(row, tuple(steps[row.id]), running) for row in rows.runs]


def _run(row: Record, steps: tuple[StepSummary, ...], running: Callable[[str], bool]) -> RunSummary:
    result = _object(row.result)
    # An earlier result is outdated if the run continues, was killed since, or was cancelled by a person.
    cancelled = row.state == RunState.CANCELLED
    status = None if row.state in _AT_WORK else "cancelled" if cancelled else result.get("status")
    return RunSummary(
        run_id=row.id,
        **row.columns("agent target engine state requested_by schedule created_at ended_at workflow stage"),
        status=status,
        execution_time=result.get("execution_time"),
        reasoning=str(result.get("reasoning") or ""),
        steps=steps,
        running=row.state in _AT_WORK and running(row.id),
    )


def _step(row: Record, period: Period | None) -> StepSummary:
    params, output = _object(row.params), _object(row.output)
    begun = so_far(row)
    ended = row.ended_at or (row.started_at if begun else None)
    if begun is not None:
        output = {**output, "rows_deleted": begun["rows_deleted"], "uncounted_batches": int(begun["at_least"])}
    return StepSummary(
        **row.columns("run_id step_id tool status ended_at approved_by cause"),
        table=f"{params.get('schema')}.{params['table']}" if params.get("table") else "",
        execution_time=float(row.seconds or 0.0),
        effect=effect(row.status, output),
        why=row.error or row.reason,
        counted=period is None or (ended is not None and period[0] < ended <= period[1]),
    )


def effect(status: str, output: Mapping[str, Any]) -> Effect:
    """Return the effect of a step: sizes and counts only if it is done, deleted rows in any case."""
    done = status == StepStatus.DONE
    before, after = ((_whole(output.get(name)) if done else None) for name in ("bytes_before", "bytes_after"))
    sized = before is not None and after is not None
    return Effect(
        before if sized else None,
        after if sized else None,
        ("statistics" if roughly(output) else "file size") if sized else None,
        _whole(output.get("rows_deleted")) or 0,
        bool(output.get("uncounted_batches")) and "rows_deleted" in output,
        {name: number for name in COUNTS if done and (number := _whole(output.get(name)))},
    )


def _sizes(objects: Iterable[Record]) -> Iterator[SizeChange]:
    """Yield each object once, the most changed first."""
    found: dict[tuple[str, str], SizeChange] = {}
    for row in objects:
        if row.bytes_before is None or row.bytes_after is None:
            continue
        key = row.target, row.object
        first = found[key].bytes_before if key in found else row.bytes_before
        guessed = "statistics" in (row.bytes_method, found[key].bytes_method if key in found else None)
        found[key] = SizeChange(*key, first, row.bytes_after, "statistics" if guessed else "file size")
    yield from sorted(
        found.values(), key=lambda one: (-abs(one.bytes_before - one.bytes_after), -one.bytes_before, one.object)
    )


def _tools(steps: Iterable[StepSummary]) -> Iterator[ToolTime]:
    """Yield the longest first. Steps that never started took no time."""
    took: dict[str, list[float]] = defaultdict(list)
    for step in steps:
        if step.execution_time > 0:
            took[step.tool].append(step.execution_time)
    times = [ToolTime(tool, len(seconds), sum(seconds)) for tool, seconds in took.items()]
    yield from sorted(times, key=lambda one: (-one.execution_time, one.tool))


def _left(runs: Iterable[Record]) -> Iterator[Postponed]:
    for row in runs:
        for one in _object(row.result).get("output_data", {}).get("deferred") or ():
            name = one.get("object") or one.get("step_id") or ""
            yield Postponed(row.target, row.id, str(name), str(one.get("reason") or ""))


def _workflows(rows: nights.Rows, status: Callable[[Record], str]) -> Iterator[WorkflowSummary]:
    stages: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    targets: dict[str, set[str]] = defaultdict(set)
    for row in rows.stages:
        stages[row.workflow_id][row.stage][row.status] += 1
        targets[row.workflow_id].add(row.target)
    for row in rows.workflows:
        by_status = {name: dict(counts) for name, counts in stages[row.id].items()}
        yield WorkflowSummary(
            row.id, row.workflow, status(row), row.created_at, row.ended_at, len(targets[row.id]), by_status
        )


def _backlog(store: Store, since: str) -> Iterator[BacklogChange]:
    for (target, agent), one in Backlog(store).nights(since).items():
        before, after = one.before, one.after
        yield BacklogChange(
            target,
            agent,
            items_before=before.items,
            items=after.items,
            seconds_before=before.seconds,
            seconds=after.seconds,
            oldest=after.oldest,
            window=one.window,
            window_too_small=bool(one.short),
            text=" ".join(sentences(before, after, one.short, one.window)),
        )


def _backup(name: str, entries: Sequence[CatalogEntry], until: datetime) -> NewestBackup:
    """Return a target's newest backup that counts, with the judgement of `doctor`."""
    found = backup(name, entries, until)
    good = [one for one in entries if one.verified and not one.replaced]
    if not good:
        return NewestBackup(name, False, found.text)
    last = good[-1]
    age = max(0.0, (until - datetime.fromisoformat(last.started_at)).total_seconds())
    known = {"backup_id": last.backup_id, "rung": last.verification_level, "started_at": last.started_at}
    return NewestBackup(name, found.level == OK, found.text, **known, age=age, bytes=last.bytes)


def _sums(effects: Sequence[Record], until: datetime) -> Iterator[NightSum]:
    """Yield a sum for each day before `until`, oldest first, starting with the first day on which anything was done."""
    days: dict[int, list[Record]] = defaultdict(list)
    for row in effects:
        days[_days_before(row.ended_at, until)].append(row)
    for number in range(max(days, default=-1), -1, -1):
        timed = [row for row in days[number] if row.seconds]
        sized = [
            row for row in timed if row.status == StepStatus.DONE and None not in (row.bytes_before, row.bytes_after)
        ]
        yield NightSum(
            until=timestamp(until - number * DAY),
            steps=len(timed),
            failed=sum(1 for row in timed if row.status == StepStatus.FAILED),
            execution_time=sum(row.seconds for row in timed),
            bytes_reclaimed=sum(row.bytes_before - row.bytes_after for row in sized),
            rows_deleted=sum(_whole(row.rows_deleted) or 0 for row in days[number]),
        )


def _trends(past: nights.Past, until: datetime) -> Iterator[Trend]:
    """Yield the last measurement of each day, for whatever was measured on at least two days."""
    series: dict[tuple[str, str, str], dict[int, tuple[str, float]]] = defaultdict(dict)
    for row in past.databases:
        series["database_bytes", row.target, ""][_days_before(row.at, until)] = row.at, float(row.value)
    for row in past.bloat:
        name = f"{row.schema}.{row.table}" if row.table else ""
        series["fragmentation_percent", row.target, name][_days_before(row.at, until)] = row.at, float(row.value)
    for row in past.objects:
        if row.bytes_after is not None:
            series["object_bytes", row.target, row.object][_days_before(row.at, until)] = row.at, float(row.bytes_after)
    for (metric, target, name), days in sorted(series.items()):
        if len(days) > 1:
            yield Trend(target, name, metric, tuple(days[number] for number in sorted(days, reverse=True)))


def _days_before(at: str, until: datetime) -> int:
    """Return how many days before `until` a time is; 0 is the last day."""
    return max(0, (until - datetime.fromisoformat(at)) // DAY)


def _object(text: str | None) -> dict[str, Any]:
    return dict(json.loads(text)) if text else {}


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

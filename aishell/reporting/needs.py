"""What needs a person after a night, and the command that helps. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from aishell.commands import command, on
from aishell.models import Cause, RunState, StepStatus
from aishell.moments import at, nominal
from aishell.reporting.night import KINDS, BacklogChange, Need, NewestBackup, RunSummary, StepSummary, WorkflowSummary
from aishell.reporting.units import qualified
from aishell.scheduling.due import settle
from aishell.scheduling.schedules import Schedule
from aishell.state.backlog import GROWTH
from aishell.state.connection import Record
from aishell.state.nights import Rows
from aishell.state.schedule_runs import ScheduleState

T = TypeVar("T")
_ORDER = list(KINDS)
#: Tool whose output may name something that needs a person -> the list in its output.
_LOOKING = {"check_table_corruption": "corrupted_tables", "analyze_database_health": "findings"}


def sorted_needs(found: Iterable[Need]) -> list[Need]:
    """Return the needs sorted by kind, most urgent first, and within a kind newest first."""
    newest = sorted(found, key=lambda need: need.at or "", reverse=True)
    return sorted(newest, key=lambda need: _ORDER.index(need.kind))


def of_runs(runs: Sequence[RunSummary], rows: Rows, until: str, *, whole: bool = False) -> Iterator[Need]:
    """Yield the needs of runs. `until`: the time by which requests count as expired.

    `whole`: the report shows the findings in full, so no command has to.
    """
    own = {row.id: row for row in rows.runs}
    alike = _grouped(runs, lambda run: (run.agent, run.target, own[run.run_id].input))
    looked = _grouped((row for row in rows.steps if row.output and row.tool in _LOOKING), lambda row: row.run_id)
    asked = _grouped(rows.approvals, lambda row: row.run_id)
    for run in runs:
        yield from _seen(run, looked[run.run_id], whole)
        if run.state == RunState.CANCELLED or run.running:
            continue
        result = json.loads(own[run.run_id].result or "{}")
        yield from _failed(run, result, _made_up(run, alike[run.agent, run.target, own[run.run_id].input]))
        yield from _stopped(run, asked[run.run_id])
        yield from _questions(run, asked[run.run_id], until)
        yield from _without(run, result.get("output_data", {}).get("left_out") or [])


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> Mapping[Hashable, list[T]]:
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _without(run: RunSummary, left_out: Sequence[Mapping[str, Any]]) -> Iterator[Need]:
    """Yield the need for privileges of a completed run that left steps out."""
    if left_out and run.state == RunState.COMPLETED:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        text = f"{run.agent} left out {left_out[0].get('step')}{more}: {left_out[0].get('reason')}"
        yield _need("privileges", run, text, command("doctor", *on(run.target)))


def of_site(rows: Rows, backups: Iterable[NewestBackup]) -> Iterator[Need]:
    """Yield the needs of no run: missed times, missing backups, a changed audit log, holds and incidents."""
    for row in rows.alarms:
        found = json.loads(row.data).get("found")
        yield Need("audit", "", f"the audit log was changed: {found}", row.at, command("audit", "verify"))
    known = {row.id for row in rows.runs}
    yield from _unrun([row for row in rows.ledger if row.run_id not in known])
    for one in (one for one in backups if not one.ok):
        remedy = command("run", "backup", *on(one.target))
        yield Need("backup", one.target, f"the newest verified backup: {one.text}", one.started_at, remedy)
    yield from _ongoing(rows)
    yield from _unbegun(rows, known)


def _ongoing(rows: Rows) -> Iterator[Need]:
    """Yield what lasts until a person or its cause ends it: holds, incidents, undeliverable notifications."""
    for row in rows.holds:
        what = "no step begins" if row.target else "no step begins on any target"
        lifts = command("release", *(on(row.target) if row.target else ()))
        yield Need("hold", row.target, f"{what}, by {row.placed_by}: {row.reason}", row.placed_at, lifts)
    for row in rows.incidents:
        target = json.loads(row.about).get("target") or ""
        title = row.title.removeprefix(f"{target}: ") if target else row.title
        text = f"{title} ({row.severity}, rule {row.rule})"
        yield Need("incident", target, text, row.opened_at, command("notify", "incidents"))
    for row in rows.unsent:
        status = "given up" if row.status == "failed" else "not delivered yet"
        text = (
            f"service {row.service}: {row.number} notification(s) {status}, the first of {at(row.since)}: {row.reason}"
        )
        yield Need("notification", "", text, row.at, command("notify", "list"))


def _unbegun(rows: Rows, known: Collection[str]) -> Iterator[Need]:
    """Yield stages of workflows that failed before their run began."""
    names = {row.id: row.workflow for row in rows.workflows}
    for row in rows.stages:
        if row.status == "failed" and row.run_id not in known:
            text = f"workflow {names[row.workflow_id]}, stage {row.stage}: {row.reason or 'it failed'}"
            show = command("workflows", "show", row.workflow_id[:8])
            yield Need("failure", row.target, text, row.ended_at, show, row.run_id)


def _unrun(ledger: Iterable[Record]) -> Iterator[Need]:
    """Yield nominal times without a run: one need per schedule, target and status, described by the newest."""
    for found in _grouped(ledger, lambda row: (row.schedule, row.target, row.status)).values():
        newest, times = found[-1], sum(row.times for row in found)
        began = f" since {nominal(found[0].local_at)}" if len(found) > 1 else ""
        since = f" ({times} times{began})" if times > 1 else ""
        text = f"schedule {newest.schedule} of {nominal(newest.local_at)}{since}: {newest.status}, {newest.reason}"
        at, history = newest.ended_at or newest.decided_at, command("schedule", "history", newest.schedule)
        kind = "missed" if newest.status == "missed" else "failure"
        yield Need(kind, newest.target, text, at, history, newest.run_id)


def of_workflows(workflows: Iterable[WorkflowSummary]) -> Iterator[Need]:
    """Yield interrupted workflows."""
    for one in workflows:
        if one.status == "interrupted":
            text = f"the workflow {one.workflow} has not finished, and no process works on it"
            resume = command("run", "workflow", "--resume", one.workflow_id[:8])
            yield Need("killed", "", text, one.created_at, resume)


def of_backlog(owed: Iterable[BacklogChange]) -> Iterator[Need]:
    """Yield growing backlogs and windows that are too small. The backlog of a first night is not growth."""
    for one in owed:
        if one.window_too_small or (one.items_before and _grew(one)):
            yield Need("backlog", one.target, f"{one.agent}: {one.text}", one.oldest, command("backlog", "list"))


def _grew(one: BacklogChange) -> bool:
    """Whether a backlog grew by its expected time, or by its items if no time is known."""
    if not one.seconds_before and not one.seconds:
        return one.items > one.items_before
    return one.seconds > (1 + GROWTH) * one.seconds_before


def of_daemon(rows: Rows, alive: Callable[[], bool]) -> Iterator[Need]:
    """Yield a daemon that ended without a stop request. `alive`: returns whether one runs now."""
    if rows.daemon is not None and not alive():
        data = json.loads(rows.daemon.data)
        text = f"the daemon on {data.get('host')} (process {data.get('pid')}) ended unexpectedly"
        yield Need("daemon", "", text, rows.daemon.at, command("schedule", "start"))


def overlooked(
    schedules: Iterable[Schedule],
    known: Mapping[str, ScheduleState],
    until: datetime,
) -> Iterator[Need]:
    """Yield schedules whose times passed unnoticed: nothing, such as cron, calls `run-due`."""
    run_due = command("schedule", "run-due")
    for one in schedules:
        seen = known.get(one.name)
        if seen is None:
            text = f"schedule {one.name} has never been checked for due times"
            yield Need("missed", "", text, None, run_due)
            continue
        entries = settle(one, seen.settled, until - one.grace, seen.pause)
        passed = [entry for entry in entries if entry.status != "skipped"]
        if passed:
            times, first = sum(entry.times for entry in passed), one.timing.display(passed[0].nominal)
            text = f"schedule {one.name} is not checked for due times; {times} time(s) have passed since {first}"
            yield Need("missed", "", text, passed[-1].nominal.isoformat(), run_due)


def _need(kind: str, run: RunSummary, text: str, remedy: str | None) -> Need:
    return Need(kind, run.target, text, run.ended_at or run.created_at, remedy, run.run_id)


def _seen(run: RunSummary, checks: Iterable[Record], whole: bool) -> Iterator[Need]:
    """Yield damage, and critical findings of the health check, from the steps that are counted."""
    backups = command("backups", "list", "--target", run.target)
    remedy = None if whole else command("runs", "report", run.run_id[:8])
    counted = {step.step_id for step in run.steps if step.counted}
    for step in (step for step in checks if step.step_id in counted):
        for row in json.loads(step.output).get(_LOOKING[step.tool]) or ():
            if step.tool == "check_table_corruption":
                text = f"{qualified(row)} is damaged: {row.get('reason')}"
                yield Need("damage", run.target, text, step.ended_at, backups, run.run_id)
            elif row.get("severity") == "critical":
                yield _need("finding", run, _finding(row), remedy)


def _finding(one: Mapping[str, Any]) -> str:
    value = str(one.get("value") or "")
    name = "" if str(one.get("object")) in value else one.get("object")
    detail = f": {one['detail']}" if one.get("detail") else ""
    return " ".join(filter(None, (one.get("finding"), name, value))) + detail


def _made_up(run: RunSummary, alike: Iterable[RunSummary]) -> str:
    """Return a note that a later run with the same input succeeded. The failure is still reported: it may recur."""
    again = [one.run_id[:8] for one in alike if one.status == "success" and one.created_at > run.created_at]
    return f" (run {again[-1]} did the same later and succeeded)" if again else ""


def _failed(run: RunSummary, result: dict[str, Any], made_up: str) -> Iterator[Need]:
    """Yield failed or rejected steps, one need per run and outcome: the first step, and the number of others."""
    show = command("runs", "show", run.run_id[:8])
    failures = [step for step in run.steps if step.status == StepStatus.FAILED]
    denied = [step for step in failures if step.cause == Cause.PRIVILEGE and run.status != "failure"]
    if denied:
        text = f"{run.agent}, {_first(denied, 'failed')}{made_up}"
        yield _need("privileges", run, text, command("doctor", *on(run.target)))
    if failed := [step for step in failures if step not in denied]:
        yield _need("failure", run, f"{run.agent}, {_first(failed, 'failed')}{made_up}", show)
    elif run.status == "failure":
        error = (result.get("error") or {}).get("message") or "it ended before its first step"
        yield _need("failure", run, f"{run.agent}: {error}{made_up}", show)
    if expired := [step for step in run.steps if step.cause == Cause.EXPIRED]:
        yield _need("expired", run, f"{run.agent}, {_first(expired, 'expired')}", show)
    if rejected := [step for step in run.steps if step.status == StepStatus.REJECTED and step not in expired]:
        yield _need("refused", run, f"{run.agent}, {_first(rejected, 'refused')}", show)
    elif refused := result.get("output_data", {}).get("refused"):
        text = "; ".join(map(str, refused))
        yield _need("refused", run, f"{run.agent}: {text}", command("runs", "resume", run.run_id[:8]))


def _first(steps: Sequence[StepSummary], word: str) -> str:
    more = f"; {len(steps) - 1} more step(s) {word}" if len(steps) > 1 else ""
    return f"step {steps[0].step_id}: {steps[0].why or word}{more}"


def _stopped(run: RunSummary, asked: Sequence[Record]) -> Iterator[Need]:
    """Yield runs that have not ended and that no process works on."""
    resume = command("runs", "resume", run.run_id[:8])
    doubtful = [step for step in run.steps if step.status == StepStatus.IN_DOUBT]
    if doubtful:
        text = f"{run.agent}: whether {doubtful[0].step_id} ({doubtful[0].tool}) took effect is not known"
        yield _need("in_doubt", run, text, resume)
    elif run.state in (RunState.PLANNING, RunState.EXECUTING, RunState.CHECKPOINTING):
        yield _need("killed", run, f"{run.agent} is {run.state}, and no process works on it", resume)
    elif run.state == RunState.PAUSED:
        yield _need("paused", run, f"{run.agent} is paused", resume)
    elif run.state == RunState.WAITING_APPROVAL and not asked:
        yield _need("paused", run, f"{run.agent} was answered and has not been resumed", resume)


def _questions(run: RunSummary, asked: Sequence[Record], until: str) -> Iterator[Need]:
    """Yield pending requests, and expired ones, whose steps are rejected when the run is resumed."""
    for row in asked:
        request = json.loads(row.request)
        what = f"{row.step_id} ({request.get('tool')}, {request.get('risk')} risk)"
        if row.expires_at >= until:
            kind, text = "approval", f"{run.agent} needs approval for {what} by {at(row.expires_at)}"
            remedy = command("approvals", "show", row.id)
        else:
            kind, text = (
                "expired",
                f"{run.agent} needed approval for {what}, and nobody answered by {at(row.expires_at)}",
            )
            remedy = command("runs", "resume", run.run_id[:8])
        yield Need(kind, run.target, text, row.requested_at, remedy, run.run_id)

"""Events of the audit log as input of notification rules, with self-contained messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aishell.commands import command, on
from aishell.models import RunState
from aishell.moments import at
from aishell.notifying.conditions import METRICS, RUN_METRICS, SECONDS
from aishell.notifying.events import EVENTS, SEVERITIES
from aishell.notifying.rules import Facets
from aishell.reporting import step_requests
from aishell.reporting.units import duration, printable
from aishell.state.connection import Record
from aishell.state.outbox import data_of, result_of

#: Events on connections to a target -> their wording in a title.
BREAKERS = {
    "target_unreachable": "cannot be reached",
    "breaker_opened": "is not connected to for a while",
    "breaker_closed": "answers again",
}
#: The types of audit events that are read.
TYPES = (
    "state_changed", "step_skipped", "approval_requested", "approval_expired", "schedule_decided", "audit_broken",
    "incident_opened", "incident_closed", "workflow_decided", "window_too_small", "hold_placed", "configuration_refused",
    "daemon_started", "daemon_stopped", *BREAKERS,
)  # fmt: skip
#: Status of an ended run -> event.
_ENDS = {"success": "run_succeeded", "partial": "run_partial", "rejected": "run_rejected", "failure": "run_failed"}
#: Maximum characters of a message that are sent.
_LONGEST = 4000

Labels = Callable[[str], Collection[str]]


@dataclass(frozen=True)
class Happening:
    """What happened, for rules. `events`: its names; `metrics`: those of a run that has ended, else None."""

    events: tuple[str, ...]
    cause: str
    about: Facets
    title: str
    body: str
    severity: str | None = None  # None: that of its kind
    metrics: Mapping[str, float | None] | None = None

    def severity_of(self, event: str) -> str:
        return self.severity or EVENTS[event].severity

    def described(self, title: str, *lines: str, **others: Any) -> Happening:
        """A copy with a title, fit for a mail header, and a body of the lines that are not empty."""
        text = "\n".join(printable(part) for line in lines for part in line.splitlines() if part)
        body = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
        return replace(self, title=printable(title)[:200], body=body, **others)


def read(event: Record, labels: Labels) -> Iterator[Happening]:
    """The happenings of an event; mostly none. `labels`: target name -> its labels."""

    def facets(target: str | None, schedule: str = "", agent: str | None = "") -> Facets:
        return Facets(target or "", tuple(labels(target or "")), schedule, agent or "")

    data = data_of(event)
    about = facets(event.target, event.schedule, event.agent)
    one = Happening((event.type,), f"event {event.id}", about, "", "")
    target = str(data.get("target") or "")
    match event.type:
        case "state_changed" if data.get("to") in (RunState.COMPLETED, RunState.FAILED):
            yield _ended(one, event, data)
        case "step_skipped" if data.get("status") == "in_doubt":
            yield one.described(
                f"{about.target}: a step is in doubt",
                f"A step of {_agent(event)} on {about.target} is in doubt: {data.get('error') or data.get('reason')}",
                "Its outcome is unknown: check the database, and settle the step.",
                *_run(event),
                events=("run_in_doubt",),
            )
        case "approval_requested" if event.approval == "pending":
            yield one.described(
                f"{about.target}: a step needs approval",
                f"A step of {_agent(event)} on {about.target} is waiting for a person.",
                *_approval_lines(event),
                f"See it with `{command('approvals', 'show', data.get('approval'))}`; answer with approve or reject.",
                *_run(event),
            )
        case "approval_expired":
            yield one.described(
                f"{about.target}: an approval expired",
                f"No one answered the approval {data.get('approval')} of the step {data.get('step')} on {about.target}.",
                "The step is rejected; the next run asks again. The daemon and `run-due` end the runs of schedules by themselves;"
                f" `{command('runs', 'resume', event.run_id[:8])}` ends this one now.",
                *_run(event),
                cause=f"approval {event.id} expired",
            )
        case "workflow_decided" if data.get("decision") == "failed" and not data.get("run_ended", True):
            yield _stage_failed(one, event, data, facets(target, event.schedule, str(data.get("agent") or "")))
        case "schedule_decided" if data.get("decision") in ("missed", "failed"):
            name, missed = str(data.get("schedule")), data.get("decision") == "missed"
            place, what = f" on {target}" if target else "", "was missed" if missed else "failed"
            yield one.described(
                f"{name}{place}: {'missed' if missed else 'could not run'}",
                f"The time {data.get('nominal')} of the schedule {name}{place} {what}: {data.get('reason')}",
                f"See `{command('schedule', 'history', name)}`.",
                events=("schedule_missed" if missed else "schedule_failed",),
                about=Facets(schedule=name),
            )
        case "window_too_small":
            arose, done = (duration(float(data.get(name) or 0)) for name in ("arose", "done"))
            yield one.described(
                f"{about.target}: the window is too small",
                f"The window of {_agent(event)} on {about.target} is too small for the work that arises.",
                f"Over the last {data.get('nights')} nights about {arose} of work came up per night, and {done} was done.",
                f"See `{command('backlog', 'list')}`.",
                *_run(event),
            )
        case "hold_placed":
            lifts = command("release", *(on(target) if target else ()))
            yield one.described(
                f"{target or 'every target'} is on hold",
                f"{data.get('by')} has stopped {target or 'every target'}: {data.get('reason')}",
                f"No new step starts there until `{lifts}`.",
                about=facets(target),
            )
        case "configuration_refused":
            yield one.described(
                "the changed configuration is invalid",
                f"The previous one stays in force: {data.get('message')}",
                _hint(data),
            )
        case "daemon_started":
            schedules = len(data.get("schedules") or ())
            yield one.described(
                "the daemon has started", f"Process {data.get('pid')} on {data.get('host')}, {schedules} schedule(s)."
            )
        case "daemon_stopped":
            running = len(data.get("running") or ())
            yield one.described(
                "the daemon was stopped",
                f"By {data.get('reason')}. No schedule runs until `{command('schedule', 'start')}`.",
                f"{running} run(s) continue without it." if running else "",
            )
        case "audit_broken":
            found = f"The audit log is damaged: {data.get('found')}"
            yield one.described("the audit log is damaged", found, f"See `{command('audit', 'verify')}`.")
        case "target_unreachable" | "breaker_opened" | "breaker_closed":
            yield one.described(
                f"{target} {BREAKERS[event.type]}",
                _connection(event.type, data),
                f"`{command('targets', 'test', target)}` tries a connection now.",
                about=facets(target),
            )
        case "incident_opened" | "incident_closed":
            opened, title = event.type == "incident_opened", data.get("title")
            severe = opened and data.get("severity") in SEVERITIES
            yield one.described(
                f"incident: {title}" if opened else f"incident over: {title}",
                str(title) if opened else f"It is over: {data.get('reason') or title}",
                f"rule: {data.get('rule')}",
                about=facets(target, str(data.get("schedule") or ""), str(data.get("agent") or "")),
                severity=str(data["severity"]) if severe else None,
            )


def _stage_failed(one: Happening, event: Record, data: Mapping[str, Any], about: Facets) -> Happening:
    """A stage whose run did not start, was killed, or timed out: no event of a run reports it."""
    stage = data.get("stage")
    return one.described(
        f"{about.target}: {stage}: failure",
        f"The stage {stage} of the workflow {data.get('workflow')} failed on {about.target}: {data.get('reason')}",
        f"schedule: {event.schedule}" if event.schedule else "",
        f"more: {command('workflows', 'show', str(data.get('workflow_id'))[:8])}",
        events=("run_failed", *(("backup_failed",) if about.agent == "backup" else ())),
        about=about,
        # For rules of an agent's file, such as `errors_encountered > 0`.
        metrics={**dict.fromkeys(RUN_METRICS), "errors_encountered": 1},
    )


def figures(metrics: Mapping[str, float | None], names: Collection[str]) -> list[str]:
    """Figures of a run, one line each."""
    known = ((name, metrics.get(name)) for name in names)
    return [f"{name}: {worded(name, value)}" for name, value in known if value is not None]


def worded(metric: str, value: float | None) -> str:
    """A value of a metric with its unit."""
    if value is None:
        return "unknown"
    if value == float("inf"):
        return "none"
    return duration(value) if METRICS[metric].unit == SECONDS else f"{value:,.0f} {METRICS[metric].unit}"


def _ended(one: Happening, event: Record, data: Mapping[str, Any]) -> Happening:
    result = result_of(event) or {}
    status = str(result.get("status", data.get("reason")))
    if data["to"] == RunState.FAILED and status != "rejected":  # a run stopped by a hook can be resumed
        status = "failure"
    error = result.get("error") or {}
    failed = [done for done in result.get("actions_taken") or () if done.get("status") == "failed"]
    lost = event.agent == "backup" and (status == "failure" or (status == "partial" and (failed or error)))
    events = [_ENDS.get(status), "backup_failed" if lost else None]
    metrics = _metrics(result, failed, status)
    return one.described(
        f"{event.target}: {_agent(event)}: {status}",
        f"{_agent(event)} on {event.target} ended: {status}.",
        f"error: {error.get('message') or data.get('reason')}" if status == "failure" or error else "",
        _hint(error),
        str(result.get("reasoning") or ""),
        *figures(metrics, ("execution_time", "errors_encountered", "steps_deferred")),
        *_run(event),
        events=tuple(filter(None, events)),
        metrics=metrics,
    )


def _metrics(result: Mapping[str, Any], failed: Collection[Any], status: str) -> dict[str, float | None]:
    """The metrics of a run; None for those that its agent does not count."""
    output = result.get("output_data") or {}
    known = {name: output.get(name) for name in RUN_METRICS}
    known["execution_time"] = result.get("execution_time")
    # A run can fail without a failed step.
    known["errors_encountered"] = len(failed) or int(status == "failure")
    known["steps_deferred"] = len(output.get("deferred") or ())
    return {name: value if isinstance(value, (int, float)) else None for name, value in known.items()}


def _connection(kind: str, data: Mapping[str, Any]) -> str:
    target, reason = data.get("target"), data.get("reason")
    if kind == "target_unreachable":
        return f"A connection to {target} failed: {reason}"
    if kind == "breaker_closed":
        return f"The server of {target} answered, or a person closed the breaker: {reason}."
    return (
        f"{data.get('failures')} connections to {target} in a row failed, the last with: {reason}\n"
        "None is tried for a minute, then one; nothing runs on the target until a connection succeeds."
    )


def _hint(error: Mapping[str, Any]) -> str:
    return f"hint: {error['hint']}" if error.get("hint") else ""


def _agent(event: Record) -> str:
    return str(event.agent or "a run").replace("_", " ")


def _approval_lines(event: Record) -> Iterator[str]:
    """The tool of a pending step, its objects and figures, and when the approval expires."""
    request = json.loads(event.request)
    yield f"tool: {request.get('tool')} ({request.get('risk')} risk)"
    yield from (f"on: {text}" for text in step_requests.objects(request))
    yield from (f"measured: {text}" for text in step_requests.figures(request))
    yield f"answer by {at(str(event.answer_by))}"


def _run(event: Record) -> Iterator[str]:
    """Where to find more about the run."""
    yield f"run {str(event.run_id)[:8]} on host {event.host}, {at(str(event.at))}"
    if event.schedule:
        yield f"schedule: {event.schedule}"
    yield f"more: {command('runs', 'show', str(event.run_id)[:8])}"

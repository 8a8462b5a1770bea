"""An event of the audit log as what rules are asked about, in words that a person can act upon without anything else. Pure."""

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

#: Those that are of connections to a target, with how a title says it.
BREAKERS = {
    "target_unreachable": "cannot be reached",
    "breaker_opened": "is not connected to for a while",
    "breaker_closed": "answers again",
}
#: The types of the audit log that are looked at.
TYPES = (
    "state_changed", "step_skipped", "approval_requested", "approval_expired", "schedule_decided", "audit_broken",
    "incident_opened", "incident_closed", "workflow_decided", "window_too_small", "hold_placed", "configuration_refused",
    "daemon_started", "daemon_stopped", *BREAKERS,
)  # fmt: skip
#: What a run that has ended came to, by the status of its result.
_ENDS = {"success": "run_succeeded", "partial": "run_partial", "rejected": "run_rejected", "failure": "run_failed"}
#: Characters of a message that are sent; a server can say more.
_LONGEST = 4000

Labels = Callable[[str], Collection[str]]


@dataclass(frozen=True)
class Happening:
    """What happened, for rules. `events`: the names it goes by; `metrics`: of a run that has ended, else None."""

    events: tuple[str, ...]
    cause: str
    about: Facets
    title: str
    body: str
    severity: str | None = None  # where it is not that of its kind
    metrics: Mapping[str, float | None] | None = None

    def severity_of(self, event: str) -> str:
        return self.severity or EVENTS[event].severity

    def told(self, title: str, *lines: str, **others: Any) -> Happening:
        """The same with a title, which goes into a header of a mail, and its lines without the empty ones."""
        text = "\n".join(printable(part) for line in lines for part in line.splitlines() if part)
        body = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
        return replace(self, title=printable(title)[:200], body=body, **others)


def read(event: Record, labels: Labels) -> Iterator[Happening]:
    """What an event means for rules; nothing, mostly. `labels`: those of a target by its name."""

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
            yield one.told(
                f"{about.target}: a step is in doubt",
                f"A step of {_agent(event)} on {about.target} is in doubt: {data.get('error') or data.get('reason')}",
                "Its end was not seen: look at the database, and say what became of it.",
                *_run(event),
                events=("run_in_doubt",),
            )
        case "approval_requested" if event.approval == "pending":
            yield one.told(
                f"{about.target}: a step needs approval",
                f"A step of {_agent(event)} on {about.target} waits for a person.",
                *_asked(event),
                f"See it with `{command('approvals', 'show', data.get('approval'))}`, answer it with approve or reject.",
                *_run(event),
            )
        case "approval_expired":
            yield one.told(
                f"{about.target}: an approval expired",
                f"Nobody answered the approval {data.get('approval')} of the step {data.get('step')} on {about.target}.",
                "It is rejected, and the next run asks again. The daemon and `run-due` end the runs of schedules by themselves;"
                f" `{command('runs', 'resume', event.run_id[:8])}` ends this one now.",
                *_run(event),
                cause=f"approval {event.id} expired",
            )
        case "workflow_decided" if data.get("decision") == "failed" and not data.get("run_ended", True):
            yield _stage_failed(one, event, data, facets(target, event.schedule, str(data.get("agent") or "")))
        case "schedule_decided" if data.get("decision") in ("missed", "failed"):
            name, missed = str(data.get("schedule")), data.get("decision") == "missed"
            place, what = f" on {target}" if target else "", "was missed" if missed else "failed"
            yield one.told(
                f"{name}{place}: {'missed' if missed else 'could not run'}",
                f"The time {data.get('nominal')} of the schedule {name}{place} {what}: {data.get('reason')}",
                f"See `{command('schedule', 'history', name)}`.",
                events=("schedule_missed" if missed else "schedule_failed",),
                about=Facets(schedule=name),
            )
        case "window_too_small":
            arose, done = (duration(float(data.get(name) or 0)) for name in ("arose", "done"))
            yield one.told(
                f"{about.target}: the window is too small",
                f"The window of {_agent(event)} on {about.target} is too small for the work that arises.",
                f"Over the last {data.get('nights')} nights about {arose} of work came up per night, and {done} was done.",
                f"See `{command('backlog', 'list')}`.",
                *_run(event),
            )
        case "hold_placed":
            lifts = command("release", *(on(target) if target else ()))
            yield one.told(
                f"{target or 'every target'} is on hold",
                f"{data.get('by')} has stopped {target or 'every target'}: {data.get('reason')}",
                f"No step begins there until `{lifts}`.",
                about=facets(target),
            )
        case "configuration_refused":
            yield one.told(
                "the changed configuration is refused",
                f"The one before stays in force: {data.get('message')}",
                _hint(data),
            )
        case "daemon_started":
            schedules = len(data.get("schedules") or ())
            yield one.told(
                "the daemon has started", f"Process {data.get('pid')} on {data.get('host')}, {schedules} schedule(s)."
            )
        case "daemon_stopped":
            running = len(data.get("running") or ())
            yield one.told(
                "the daemon was stopped",
                f"By {data.get('reason')}. No schedule runs until `{command('schedule', 'start')}`.",
                f"{running} run(s) continue without it." if running else "",
            )
        case "audit_broken":
            found = f"The audit log is damaged: {data.get('found')}"
            yield one.told("the audit log is damaged", found, f"See `{command('audit', 'verify')}`.")
        case "target_unreachable" | "breaker_opened" | "breaker_closed":
            yield one.told(
                f"{target} {BREAKERS[event.type]}",
                _connection(event.type, data),
                f"`{command('targets', 'test', target)}` tries a connection now.",
                about=facets(target),
            )
        case "incident_opened" | "incident_closed":
            opened, title = event.type == "incident_opened", data.get("title")
            severe = opened and data.get("severity") in SEVERITIES
            yield one.told(
                f"incident: {title}" if opened else f"incident over: {title}",
                str(title) if opened else f"It is over: {data.get('reason') or title}",
                f"rule: {data.get('rule')}",
                about=facets(target, str(data.get("schedule") or ""), str(data.get("agent") or "")),
                severity=str(data["severity"]) if severe else None,
            )


def _stage_failed(one: Happening, event: Record, data: Mapping[str, Any], about: Facets) -> Happening:
    """A stage whose run did not begin, was killed, or took too long: no run tells of it."""
    stage = data.get("stage")
    return one.told(
        f"{about.target}: {stage}: failure",
        f"The stage {stage} of the workflow {data.get('workflow')} failed on {about.target}: {data.get('reason')}",
        f"schedule: {event.schedule}" if event.schedule else "",
        f"more: {command('workflows', 'show', str(data.get('workflow_id'))[:8])}",
        events=("run_failed", *(("backup_failed",) if about.agent == "backup" else ())),
        about=about,
        # Rules of an agent's file, such as `errors_encountered > 0`, are to hear of it too.
        metrics={**dict.fromkeys(RUN_METRICS), "errors_encountered": 1},
    )


def figures(metrics: Mapping[str, float | None], names: Collection[str]) -> list[str]:
    """Figures of a run, a line each."""
    known = ((name, metrics.get(name)) for name in names)
    return [f"{name}: {worded(name, value)}" for name, value in known if value is not None]


def worded(metric: str, value: float | None) -> str:
    """A value of a metric with its unit."""
    if value is None:
        return "not known"
    if value == float("inf"):
        return "there is none"
    return duration(value) if METRICS[metric].unit == SECONDS else f"{value:,.0f} {METRICS[metric].unit}"


def _ended(one: Happening, event: Record, data: Mapping[str, Any]) -> Happening:
    result = result_of(event) or {}
    status = str(result.get("status", data.get("reason")))
    if data["to"] == RunState.FAILED and status != "rejected":  # what a hook kept from running can be gone on with
        status = "failure"
    error = result.get("error") or {}
    failed = [done for done in result.get("actions_taken") or () if done.get("status") == "failed"]
    lost = event.agent == "backup" and (status == "failure" or (status == "partial" and (failed or error)))
    events = [_ENDS.get(status), "backup_failed" if lost else None]
    metrics = _metrics(result, failed, status)
    return one.told(
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
    """The metrics of a run: what its agent does not count is not known."""
    output = result.get("output_data") or {}
    known = {name: output.get(name) for name in RUN_METRICS}
    known["execution_time"] = result.get("execution_time")
    # A run that could not go on has failed, also where no step of it has.
    known["errors_encountered"] = len(failed) or int(status == "failure")
    known["steps_deferred"] = len(output.get("deferred") or ())
    return {name: value if isinstance(value, (int, float)) else None for name, value in known.items()}


def _connection(kind: str, data: Mapping[str, Any]) -> str:
    target, reason = data.get("target"), data.get("reason")
    if kind == "target_unreachable":
        return f"A connection to {target} failed: {reason}"
    if kind == "breaker_closed":
        return f"The server of {target} has answered, or a person has closed the breaker: {reason}."
    return (
        f"{data.get('failures')} connections to {target} in a row failed, the last with: {reason}\n"
        "None is tried for a minute, then one; nothing runs on it until one is answered."
    )


def _hint(error: Mapping[str, Any]) -> str:
    return f"hint: {error['hint']}" if error.get("hint") else ""


def _agent(event: Record) -> str:
    return str(event.agent or "a run").replace("_", " ")


def _asked(event: Record) -> Iterator[str]:
    """What waits: the tool, on what, how much was measured, and until when it can be answered."""
    request = json.loads(event.request)
    yield f"tool: {request.get('tool')} ({request.get('risk')} risk)"
    yield from (f"on: {text}" for text in step_requests.objects(request))
    yield from (f"measured: {text}" for text in step_requests.figures(request))
    yield f"to be answered until {at(str(event.answer_by))}"


def _run(event: Record) -> Iterator[str]:
    """Where to read on."""
    yield f"run {str(event.run_id)[:8]} on host {event.host}, {at(str(event.at))}"
    if event.schedule:
        yield f"schedule: {event.schedule}"
    yield f"more: {command('runs', 'show', str(event.run_id)[:8])}"

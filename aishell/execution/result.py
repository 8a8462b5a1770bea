"""From a finished walk to the run's result, state and exit code."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aishell.codec import plain
from aishell.commands import command
from aishell.errors import AishellError, HookError, StateError
from aishell.execution import hooking, rollback
from aishell.execution.run import Run
from aishell.interrupts import uninterrupted
from aishell.models import Cause, Plan, RunResult, RunState, StepResult, StepStatus
from aishell.planning import backlog
from aishell.planning.hooking import due, still_to_run, worth_telling
from aishell.settings.schemas import ON_ERROR
from aishell.state.backlog import Backlog

#: (status, run state, exit code), by what happened; model.md, Exit codes.
_STOPPED = {
    "interrupted": ("cancelled", RunState.PAUSED, 130),
    "paused": ("partial", RunState.PAUSED, 4),
    "held": ("partial", RunState.PAUSED, 4),
    "cancelled": ("cancelled", RunState.CANCELLED, 1),
}


@dataclass(frozen=True)
class Ending:
    """How the walk over a run's steps ended. `stopped`: None | paused | held | cancelled | interrupted."""

    waiting: tuple[str, ...] = ()
    stopped: str | None = None
    broken: AishellError | None = None
    error_step: str | None = None
    refused: tuple[tuple[str | None, HookError], ...] = ()  # by hooks: steps, None for the whole run


def concluded(run: Run, outcome: Ending, plan: dict[str, Any], started: float) -> RunResult:
    """Record and return the result of a finished walk. `started`: on the monotonic clock, seconds; without time at prompts."""
    with uninterrupted():  # the work is done and only has to be recorded
        result, state = build(run, outcome, plan, time.monotonic() - started - run.waited)
        result = _with_hooks(run, result)  # Ctrl-C ends a hook that is running
        if state in (RunState.COMPLETED, RunState.FAILED):
            run.runs.workflow_completed(run.id, run.owner, run.task_id, run.total)
            result = replace(result, checkpoints=(*result.checkpoints, "workflow_completed"))
        document = {key: value for key, value in plain(result).items() if key != "plan"}
        run.enter(state, result=document, reason=result.status, happened=run.job.sending.rest())
        return replace(result, audit_head=_anchored(run))


def _with_hooks(run: Run, result: RunResult) -> RunResult:
    """Call the hooks after a run; the result with all hooks that failed."""
    error = str((result.error or {}).get("message", ""))
    if result.status == "failure" and not due(run.plan, run.results):  # else they were called when the step failed
        hooking.tell(run, ON_ERROR, status=result.status, error=error)
    hooking.tell(run, "after_run", status=result.status, error=error)
    if not run.failed_hooks:
        return result
    data = {**result.output_data, "warnings": [*run.plan.warnings, *run.warnings], "hooks_failed": run.failed_hooks}
    return replace(result, output_data=data)


def _anchored(run: Run) -> str:
    """Write the head of the audit log beside the store. A failure is only reported, since the run itself is recorded."""
    try:
        return run.runs.drop_anchor()
    except StateError as error:
        run.observer.notice(f"{error.message}; {error.hint}")
        return run.runs.head()[1]


def conclude(run: Run, outcome: Ending, *, alarming: bool = False) -> tuple[str, RunState, int]:
    """Status, state and exit code of a walk. `alarming`: the run is not a success even if every step was."""
    if outcome.stopped is not None:
        return _STOPPED[outcome.stopped]
    if outcome.broken is not None or outcome.error_step is not None:
        if outcome.waiting and outcome.broken is None and _goes_on(run):
            return "waiting_approval", RunState.WAITING_APPROVAL, 1  # a step after the failure waits for a person
        return "failure", RunState.FAILED, outcome.broken.exit_code if outcome.broken else 1
    code, status = _by_steps(list(run.results.values()), refused=bool(outcome.refused), alarming=alarming)
    if outcome.waiting:
        return "waiting_approval", RunState.WAITING_APPROVAL, code if code in (1, 5) else 3
    if outcome.refused:
        return status, RunState.FAILED, code  # not completed: it can be resumed
    return status, RunState.COMPLETED, code


def _by_steps(results: Sequence[StepResult], *, refused: bool, alarming: bool) -> tuple[int, str]:
    """Exit code and status of a run that reached its end, by the outcomes of its steps."""
    statuses = {result.status for result in results}
    if alarming or StepStatus.FAILED in statuses:
        return 1, "partial"
    if refused or StepStatus.REJECTED in statuses:
        return 5, "rejected"
    return (4, "partial") if any(map(deferred, results)) else (0, "success")


def _goes_on(run: Run) -> bool:
    """Whether a run with a failed step still has to roll back or to run tools on errors."""
    return rollback.rolling(run.plan, run.results) or still_to_run(run.plan, run.results)


def build(run: Run, outcome: Ending, plan: dict[str, Any], seconds: float) -> tuple[RunResult, RunState]:
    """The result of the JSON contract."""
    known = {**run.begun, **run.results}  # begun steps that this process did not resume have done something too
    results = tuple(known[step.id] for step in run.plan.steps if step.id in known)
    data, reasoning = run.job.agent.summarise(run.plan.task, (*worth_telling(run.plan, results), *without(run.plan)))
    alarming = run.job.agent.alarming(data) or bool(run.plan.left_out)
    status, state, code = conclude(run, outcome, alarming=alarming)
    data |= {
        "deferred": [item for result in results for item in _deferred(result)],
        "warnings": [*run.plan.warnings, *run.warnings],
        "waiting": list(outcome.waiting),
        "left_out": list(run.plan.left_out),
        **({"held": True} if outcome.stopped == "held" else {}),
    }
    data.setdefault("actions_count", sum(result.status is StepStatus.DONE for result in results))
    if (back := rollback.outcome(run.plan, run.results, run.job.pick)) is not None:
        data |= {"rolled_back": list(back.undone), "not_rolled_back": list(back.left)}
        reasoning = f"{reasoning} {rollback.sentence(back)}"
    if "model" in run.plan.summary:
        data["model"] = run.plan.summary["model"]
    if outcome.stopped is None and outcome.broken is None and (night := _backlog(run, results)) is not None:
        data["backlog"], sentences = night
        reasoning = " ".join([reasoning, *sentences])
    if outcome.refused:
        data["refused"] = [refusal.message for _, refusal in outcome.refused]
        reasoning = f"{reasoning if known else 'Nothing was sent.'} Not done: {'; '.join(data['refused'])}."
    result = RunResult(
        **run.job.named(),
        run_id=run.id,
        task_id=run.task_id,
        dry_run=False,
        status=status,
        state=state.value,
        plan=plan,
        actions_taken=results,
        output_data=data,
        reasoning=reasoning,
        execution_time=round(seconds, 3),
        checkpoints=tuple(row.name for row in run.runs.checkpoints(run.id)),
        error=_error(run, outcome, results),
        exit_code=code,
        audit_head=run.runs.head()[1],
    )
    return result, state


def without(plan: Plan) -> tuple[StepResult, ...]:
    """What a plan leaves out, as skipped steps, for an agent's summary."""
    left, cause = StepStatus.SKIPPED, Cause.PRIVILEGE
    return tuple(
        StepResult(-1, one.step, one.tool, {}, left, reason=f"{one.object}: {one.reason}", cause=cause)
        for one in plan.left_out
    )


def why(document: Mapping[str, Any]) -> str:
    """Why a run failed or was refused, from the document of its result; empty where it was neither."""
    if document.get("error"):
        return str(document["error"].get("message") or "")
    if refused := document.get("output_data", {}).get("refused"):
        return "; ".join(map(str, refused))
    rejected = [step for step in document.get("actions_taken", ()) if step["status"] == StepStatus.REJECTED]
    return f"step {rejected[0]['step_id']}: {rejected[0]['reason'] or 'refused'}" if rejected else ""


def _deferred(result: StepResult) -> list[dict[str, Any]]:
    """What a step left for another run: the objects by name where they are known, else the step."""
    if not deferred(result):
        return []
    table = result.params.get("table")
    whole = {"object": f"{result.params.get('schema')}.{table}" if table else "", "reason": result.reason}
    return [{"step_id": result.step_id, "tool": result.tool, **left} for left in result.deferred or (whole,)]


def _error(run: Run, outcome: Ending, results: Sequence[StepResult]) -> dict[str, Any] | None:
    """The error of a run: the one that broke it, else that of its first failed step, else of the first hook that refused."""
    failed = next((result for result in results if result.status is StepStatus.FAILED), None)
    error: AishellError | None = outcome.broken
    if error is not None:
        kind, message, step, hint = type(error).__name__, error.message, outcome.error_step, error.hint
    elif failed is not None:
        kind, message, step = "StepError", failed.error or "failed", failed.step_id
        hint = f"see `{command('runs', 'show', run.id[:8])}`"
    elif outcome.refused:
        step, refusal = outcome.refused[0]
        kind, message, hint = "HookError", refusal.message, refusal.hint
    else:
        return None
    return {"type": kind, "message": message, "step_id": step, "hint": hint}


def deferred(result: StepResult) -> bool:
    """Whether a step, or some of its objects, was left for another run."""
    return result.cause is Cause.DEFERRED or bool(result.deferred)


def backlog_sentence(run: Run) -> str:
    """A sentence on how the backlog has changed so far; empty where there is nothing to say."""
    night = _backlog(run, list(run.results.values()))
    return " ".join(night[1]) if night is not None else ""


def _backlog(run: Run, results: Sequence[StepResult]) -> tuple[dict[str, Any], list[str]] | None:
    """`output_data.backlog`, with sentences on how it changed; None for a run that an earlier release began.

    `results`: of the finished steps. Stored as the end of the run's night until it is called again.
    """
    worked = round(sum(result.execution_time for result in results), 3)
    night = Backlog(run.runs.store).ended(run.id, worked, cut=any(map(deferred, results)))
    if night is None:
        return None
    figures = {
        **{name: getattr(night.after, name) for name in ("items", "seconds", "unknown", "oldest")},
        "items_before": night.before.items,
        "seconds_before": night.before.seconds,
        "window_seconds": None if night.window is None else round(night.window, 3),
        "window_too_small": bool(night.short),
    }
    return figures, backlog.sentences(night.before, night.after, night.short, night.window)

"""Runs one step: resolve, hooks, find, judge, approve, record the intent, run, verify, record the outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aishell.codec import canonical, pack, plain, unpack
from aishell.errors import AishellError, DatabaseError, StepError, UnexpectedError
from aishell.execution import earning, hooking
from aishell.execution.authorize import CALM_POLL, WAIT_FOR_CALM, Authorized, authorize
from aishell.execution.closing import CLOSED, Closing
from aishell.execution.obstacles import holders, with_grants
from aishell.execution.recording import Recorder, interrupted, record, skipped, watched, with_figures
from aishell.execution.result import backlog_sentence
from aishell.execution.retry import retrying
from aishell.execution.run import NoOutputError, Run, blank
from aishell.models import Cause, Row, Step, StepResult, StepStatus, now
from aishell.planning import conditions
from aishell.planning.variables import resolve
from aishell.registry.hooks import Call
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import Context, InDoubtError, ObjectResult, ToolResult, label_of, settled
from aishell.running.per_object import to_undo
from aishell.running.results import conclude
from aishell.safety.locks import lock_of, wait_of
from aishell.state import audit, calls
from aishell.state.connection import Connection
from aishell.telemetry.tracebacks import unexpected


class InterruptedStepError(StepError):
    """The step was interrupted and is pending again. `result`: what it had done by then."""

    def __init__(self, message: str, result: StepResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Earlier:
    """What an attempt in another process left: the frozen objects, and the results of those that it finished."""

    attempt: int
    params: Mapping[str, Any]
    found: Sequence[Row] | None
    done: Sequence[ObjectResult] = ()
    approved_by: str | None = None
    checkpoint: BatchCheckpoint | None = None
    interrupted: bool = False  # the end of its last statement was not seen


@dataclass(frozen=True)
class _Cleared:
    """A step that has passed the gates. `idle`: why there is nothing to do."""

    tool: Tool
    authorized: Authorized
    idle: str | None = None


def execute(run: Run, step: Step, earlier: Earlier | None = None) -> StepResult:
    """Run a step and record it; a step that fails is a result, not an exception.

    Raises WaitingError when a person has to decide, InterruptedStepError after Ctrl-C, StateError when state cannot be written.
    """
    try:
        if earlier is None and step.when is not None and not conditions.holds(step.when, run.lookup):
            return skipped(run, step, Cause.CONDITION, f"not needed: {conditions.described(step.when, run.lookup)}")
        params = earlier.params if earlier else resolve(dict(step.params), run.lookup)
    except NoOutputError as error:
        return skipped(run, step, _given_up(run, step), error.message)
    except StepError as error:
        return record(run, step, blank(step, StepStatus.FAILED, error=error.message))
    before = earlier.attempt if earlier else 0
    result = replace(blank(step, StepStatus.FAILED, attempts=before, started_at=now()), params=plain(params))
    try:
        cleared = _through_gates(run, step, params, result, earlier)
    except (StepError, DatabaseError, UnexpectedError) as error:
        return record(run, step, replace(result, error=_message(error)))
    except AishellError:
        raise
    except (Exception, SystemExit) as error:  # a constraint may be somebody else's
        return record(run, step, replace(result, error=_message(unexpected(error))))
    if isinstance(cleared, StepResult):
        return cleared
    authorized = cleared.authorized
    approved = replace(result, approved_by=authorized.approved_by)
    if authorized.status is not None:
        refused = replace(approved, status=authorized.status, cause=authorized.cause, reason=authorized.reason)
        return record(run, step, refused)
    if cleared.idle is not None:
        return _idle(run, step, cleared.tool, authorized.values, result, cleared.idle)
    result = replace(approved, params=plain(authorized.values), attempts=before + 1)
    return _run(run, step, cleared.tool, authorized, result, earlier)


def _through_gates(
    run: Run, step: Step, params: Mapping[str, Any], result: StepResult, earlier: Earlier | None
) -> _Cleared | StepResult:
    """The step after the gates; its result where a hook vetoes it or there is nothing to undo."""
    tool = run.job.pick(step.tool)
    values, veto = _prepare(run, step, tool, params)
    if veto is not None:
        return record(run, step, replace(result, status=StepStatus.REJECTED, reason=f"vetoed by a hook: {veto}"))
    found, extras = _objects(run, step, tool, values, earlier)
    done = earlier is not None and bool(earlier.done)
    if tool.undoing and not found and not done:
        return _idle(run, step, tool, values, result, "nothing to undo: nothing has changed")
    authorized = authorize(run, step, tool, values, found, approved_by=earlier.approved_by if earlier else None)
    if authorized.found is not None and not authorized.found and not done:
        more = f" ({len(extras)} not in the plan)" if extras else ""
        return _Cleared(tool, authorized, f"nothing to do: no object needs it now{more}")
    return _Cleared(tool, _after_hooks(run, step, tool, authorized) if authorized.status is None else authorized)


def _after_hooks(run: Run, step: Step, tool: Tool, authorized: Authorized) -> Authorized:
    """Call the hooks before a step, then judge the step again, for a hook can take an hour."""
    run.guarded.add(step.id)
    if not hooking.guard(run, "before_step", step):
        return authorized
    if run.options.left <= 0:
        return replace(authorized, status=StepStatus.SKIPPED, cause=Cause.DEFERRED, reason=f"deferred: {CLOSED}")
    anew = authorize(run, step, tool, authorized.values, authorized.found, approved_by=authorized.approved_by)
    return replace(anew, digest=anew.digest or authorized.digest)


def _idle(run: Run, step: Step, tool: Tool, values: dict[str, Any], result: StepResult, reason: str) -> StepResult:
    """Record a step as skipped, with the figures of a tool that found no objects, or with what it had done earlier."""
    context = _context(Recorder(run, step, tool))
    output = conclude(tool, values, [], context).output if step.id not in run.begun else None
    return record(run, step, replace(result, status=StepStatus.SKIPPED, cause=Cause.IDLE, output=output, reason=reason))


def _run(
    run: Run, step: Step, tool: Tool, authorized: Authorized, result: StepResult, earlier: Earlier | None
) -> StepResult:
    started = time.monotonic()  # here, so that waiting for an approval does not count
    try:
        _start_in_turn(run, step, tool, authorized, result, earlier)
    except earning.NoLongerEarnedError as error:
        run.observer.notice(f"{step.id}: {error.message}; judging the step again")
        return execute(run, step, earlier)
    except calls.TooManyCallsError as error:
        return record(run, step, replace(result, status=StepStatus.REJECTED, reason=f"refused: {error.message}"))
    recorder = Recorder(run, step, tool, result.attempts)
    context = _context(recorder, earlier)
    run.job.sending.open(context.marker, recorder.happened)
    try:
        with watched(recorder):
            outcome = _send(tool, authorized, context, earlier.done if earlier else ())
    except (Exception, SystemExit) as error:  # a tool's own Python can raise anything
        output = plain(dict(context.so_far)) if context.so_far is not None else None
        result = replace(result, output=output, execution_time=time.monotonic() - started)
        return _stopped(recorder, context, authorized.values, result, error)
    result = replace(
        result,
        status=StepStatus(outcome.status),
        cause=_cause(outcome),
        output=plain(outcome.output),
        reason=outcome.reason if outcome.status != "failed" else None,
        error=outcome.reason if outcome.status == "failed" else None,
        execution_time=time.monotonic() - started,
        deferred=tuple(_deferred(authorized.values, one) for one in outcome.objects if one.status == "deferred"),
    )
    ended = record(run, step, with_grants(run.job, step, result), recorder)
    run.warn(run.job.hooks.after(_call(run, step, authorized.values), outcome))
    return ended


def _send(tool: Tool, authorized: Authorized, context: Context, done: Sequence[ObjectResult]) -> ToolResult:
    """Run the tool on the objects that are left; `done`: those that an earlier process finished."""
    if done and not authorized.found:
        return conclude(tool, authorized.values, done, context)
    outcome = dispatch.run(tool, authorized.values, authorized.found, context)
    return conclude(tool, authorized.values, [*done, *outcome.objects], context) if done else outcome


def _stopped(
    recorder: Recorder, context: Context, values: Mapping[str, Any], result: StepResult, error: BaseException
) -> StepResult:
    """Record a step that did not finish, with its figures so far. Raises InterruptedStepError for an interrupt."""
    run, step = recorder.run, recorder.step
    if not isinstance(error, AishellError):
        error = unexpected(error, f"the tool {recorder.tool.name}")
    if isinstance(error, InDoubtError):
        return record(run, step, replace(result, status=StepStatus.IN_DOUBT, error=error.message), recorder)
    if not isinstance(error, DatabaseError):
        return record(run, step, replace(result, error=_message(error)), recorder)
    if error.kind == "cancelled" and (run.cancelled.is_set() or run.stop_request):
        stopped = with_figures(run, step, replace(result, status=StepStatus.PENDING, reason="interrupted"))
        interrupted(recorder, stopped)
        raise InterruptedStepError(f"{step.id} was interrupted", stopped) from error
    if error.kind == "statement_timeout":
        recorder.happened.append(("step_timeout", {"seconds": context.options.statement_timeout}))
    explained = DatabaseError(context.explained(error, values), kind=error.kind, code=error.code, hint=error.hint)
    result = replace(result, cause=Cause.PRIVILEGE if error.kind == "permission" else None, error=_message(explained))
    return record(run, step, with_grants(run.job, step, result), recorder)


def _prepare(run: Run, step: Step, tool: Tool, params: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The parameters after the hooks, checked again where a hook changed them; and why a hook vetoes the step."""
    values = tool.prepare(params)
    changed, veto = run.job.hooks.before(_call(run, step, values))
    return (tool.prepare(changed) if changed is not values else values), veto.reason if veto else None


def _objects(
    run: Run, step: Step, tool: Tool, values: Mapping[str, Any], earlier: Earlier | None
) -> tuple[list[Row] | None, list[Row]]:
    """The objects to work on, which are found now and in the frozen plan, and those found now that are not in the plan."""
    if earlier is not None and earlier.found is not None:
        through = {result.label for result in earlier.done}
        return [dict(r) for r in earlier.found if label_of(tool, values, dict(r)) not in through], []
    context = _context(Recorder(run, step, tool))
    if tool.undoing:
        return to_undo(tool, values, _objects_of(run, step), context), []
    rows = dispatch.find(tool, values, context)
    if rows is not None and any(row.get("settled") is not None for row in rows):
        rows = settled(lambda: dispatch.find(tool, values, context) or [], context.rest)
    if rows is None or step.found is None:
        return rows, []
    inside = tool.among(step.found, rows)
    return inside, [row for row in rows if row not in inside]


def _objects_of(run: Run, step: Step) -> Sequence[Row]:
    """The objects of the step that is undone, as frozen when it began; for a step of an earlier run, they are in the plan."""
    if step.undoes is None:
        return [dict(row) for row in reversed(step.found or ({},))]
    row = next(row for row in run.runs.steps(run.id) if row.step_id == step.undoes)
    return unpack(json.loads(row.found)) if row.found else [{}]


def _start_in_turn(
    run: Run, step: Step, tool: Tool, authorized: Authorized, result: StepResult, earlier: Earlier | None
) -> None:
    """Start the step; where other runs have used up the tool's rate limit since it was judged, wait for the next call."""
    deadline = time.monotonic() + WAIT_FOR_CALM
    while True:
        try:
            return _start(run, step, tool, authorized, result, earlier)
        except calls.TooManyCallsError:
            if time.monotonic() > deadline or run.options.left < 0 or run.cancelled.wait(CALM_POLL):
                raise


def _start(
    run: Run, step: Step, tool: Tool, authorized: Authorized, result: StepResult, earlier: Earlier | None
) -> None:
    """Record the intent, durably, before anything is sent."""
    found = earlier.found if earlier and earlier.found is not None else authorized.found
    values = {
        "attempt": result.attempts,
        "params": canonical(audit.redact(plain(authorized.values))),
        "digest": authorized.digest,
        "idempotency_key": f"{run.id}:{step.index}",
        "found": canonical(pack(found)) if found is not None else None,
        "approved_by": authorized.approved_by,
    }
    subject, earned = earning.begun(run, step, tool), authorized.verdict.earned
    undone = subject is not None and bool(subject.takes_back)
    lost = earning.lost(run, subject, f"{step.id} undoes its work") if undone else []

    def happened(connection: Connection) -> Sequence[tuple[str, Mapping[str, Any]]]:
        if tool.rate_limit is not None:
            calls.take(connection, tool.name, tool.rate_limit)
        used = earning.used(run, tool, earned, connection) if earned is not None and earned.granted else ()
        return [*lost, *used]

    ids = (run.id, run.owner, step.index, values)
    run.runs.step_started(*ids, task_id=run.task_id, total=run.total, subject=subject, before=happened)
    run.headway.begin(step.index)
    run.observer.step_started(step, run.total)


def _context(recorder: Recorder, earlier: Earlier | None = None) -> Context:
    """The context of a step's tool, which reports to `recorder`."""
    run, step, tool = recorder.run, recorder.step, recorder.tool
    checkpoint = earlier.checkpoint if earlier else None
    wait = wait_of(tool)
    tries = min(lock_of(tool).tries, run.job.config.max_retries)
    return Context(
        database=run.job.database,
        marker=run.marker(step),
        options=run.job.options(tool),
        run_id=run.id,
        task_id=run.task_id,
        step_id=step.id,
        agent_id=run.job.config.agent_id,
        target=run.job.target.name,
        results=run.results.values(),
        facts={"plan": run.plan, "server": run.job.known_server()},
        on_sent=recorder.sent,
        on_program=recorder.program_started,
        on_objects=recorder.objects_ended,
        progress=partial(run.progress, step),
        cancelled=run.cancelled.is_set,
        attempt=retrying(tries, recorder.retried, wait.patience if wait.sliced else None),
        patience=wait.patience,
        on_session=recorder.session_changed,
        on_batch=recorder.batch_ended,
        others_ran=lambda: run.runs.others_ran(run.id),
        waiters_seen=recorder.take_waiting,
        archives=run.job.archives,
        backups=run.job.backups,
        expected_rows=next((item.value for item in step.evidence if item.metric == "old_rows"), None),
        holders=partial(holders, run.job),
        backlog=partial(backlog_sentence, run),
        closes=Closing(run, step, checkpoint.seconds if checkpoint else 0.0).closes,
        rest=run.cancelled.wait,
        checkpoint=checkpoint,
        interrupted=earlier is not None and earlier.interrupted,
        earlier=[one.after for one in earlier.done if one.after is not None] if earlier else (),
    )


def _given_up(run: Run, step: Step) -> Cause:
    """The cause of a step that refers to a missing output: where that step was left for another run, so is this one."""
    causes = {run.results[need].cause for need in run.graph.needs[step.id] if need in run.results}
    passed_on = (Cause.DEFERRED, Cause.STOPPED, Cause.NEED)
    return next((cause for cause in passed_on if cause in causes), Cause.CONDITION)


def _cause(outcome: ToolResult) -> Cause | None:
    if outcome.denied:
        return Cause.PRIVILEGE
    if outcome.status != "skipped":
        return None
    return Cause.DEFERRED if outcome.deferred else Cause.IDLE


def _deferred(values: Mapping[str, Any], left: ObjectResult) -> dict[str, Any]:
    """An object left for another run, by the table it belongs to, since plans are made by table."""
    names = {**values, **left.before}
    table = f"{names['schema']}.{names['table']}" if names.get("table") and names.get("schema") else left.label
    return {"object": table, "reason": left.reason if left.label == table else f"{left.label}: {left.reason}"}


def _call(run: Run, step: Step, values: Mapping[str, Any]) -> Call:
    return Call(step.tool, values, run.job.target.name, run.id, step.id)


def _message(error: AishellError) -> str:
    code = f" [{error.code}]" if isinstance(error, DatabaseError) and error.code else ""
    hint = f"; {error.hint}" if error.hint else ""
    return f"{error.message}{code}{hint}"

"""One step, through all gates: resolve, hooks, find, judge, approve, record the intent, run, verify, record the outcome."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from aishell.codec import canonical, pack, plain, unpack
from aishell.databases.base import Session, Statement
from aishell.errors import AishellError, DatabaseError, StepError, UnexpectedError
from aishell.execution import denied, earning, hooking, nights
from aishell.execution.authorize import CALM_POLL, WAIT_FOR_CALM, Authorized, authorize, calm
from aishell.execution.blocking import holders
from aishell.execution.closing import CLOSED, Closing
from aishell.execution.costs import cost_of
from aishell.execution.progress import watched
from aishell.execution.retry import retrying
from aishell.execution.run import NoOutputError, Run
from aishell.models import Cause, Row, Shift, Step, StepResult, StepStatus, now
from aishell.planning import backlog, conditions
from aishell.planning.variables import resolve
from aishell.registry.hooks import Call
from aishell.registry.tool import Tool
from aishell.running import dispatch, undoing
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import Context, InDoubtError, ObjectResult, ToolResult, label_of
from aishell.running.identity import settled
from aishell.running.results import conclude
from aishell.safety.locks import lock_of, wait_of
from aishell.state import audit, calls
from aishell.state.connection import Connection
from aishell.state.history import size
from aishell.telemetry.tracebacks import unexpected

#: Seconds between two looks at replicas and load while batches go by.
CALM_CHECK = 1.0


class InterruptedStepError(StepError):
    """The step was interrupted; it is pending again. `result`: what it had done by then."""

    def __init__(self, message: str, result: StepResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Earlier:
    """What an attempt in another process left: the frozen objects, and those it finished."""

    attempt: int
    params: Mapping[str, Any]
    found: Sequence[Row] | None
    done: Sequence[ObjectResult] = ()
    approved_by: str | None = None
    checkpoint: BatchCheckpoint | None = None
    interrupted: bool = False  # nobody saw the end of what it had sent


@dataclass
class _Record:
    """What is to be written with the outcome."""

    happened: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    server_session: str = ""
    waiting: threading.Event = field(default_factory=threading.Event)  # others were seen waiting for our locks

    def take(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What happened since it was asked last; a batch is written down while the next one runs."""
        happened = self.happened[:]
        del self.happened[: len(happened)]  # others add to this very list meanwhile
        return happened

    def take_waiting(self) -> bool:
        seen = self.waiting.is_set()
        self.waiting.clear()
        return seen


def execute(run: Run, step: Step, earlier: Earlier | None = None) -> StepResult:
    """Run a step and record it. Raises WaitingError when a person has to decide, InterruptedStepError after Ctrl-C,
    StateError when state cannot be written; a failing step is a result, not an exception."""
    try:
        if earlier is None and step.when is not None and not conditions.holds(step.when, run.lookup):
            return skipped(run, step, Cause.CONDITION, f"not needed: {conditions.described(step.when, run.lookup)}")
        params = earlier.params if earlier else resolve(dict(step.params), run.lookup)
    except NoOutputError as error:
        return skipped(run, step, _given_up(run, step), error.message)
    except StepError as error:
        return record(
            run, step, StepResult(step.index, step.id, step.tool, step.params, StepStatus.FAILED, error=error.message)
        )
    before = earlier.attempt if earlier else 0
    result = StepResult(
        step.index, step.id, step.tool, plain(params), StepStatus.FAILED, attempts=before, started_at=now()
    )
    try:
        tool = run.job.pick(step.tool)
        values, veto = _prepare(run, step, tool, params)
        if veto is not None:
            return record(run, step, replace(result, status=StepStatus.REJECTED, reason=f"vetoed by a hook: {veto}"))
        found, extras = _objects(run, step, tool, values, earlier)
        if tool.undoing and not found and not (earlier and earlier.done):
            return _idle(run, step, tool, values, result, "nothing to take back: all is as it was")
        authorized = authorize(run, step, tool, values, found, approved_by=earlier.approved_by if earlier else None)
        idle = authorized.found is not None and not authorized.found and not (earlier and earlier.done)
        if authorized.status is None and not idle:
            authorized = _let(run, step, tool, authorized)
        values, found = authorized.values, authorized.found
    except (StepError, DatabaseError, UnexpectedError) as error:
        return record(run, step, replace(result, error=_told(error)))
    except AishellError:
        raise
    except (Exception, SystemExit) as error:  # a constraint may be somebody else's
        return record(run, step, replace(result, error=_told(unexpected(error))))
    if authorized.status is not None:
        return record(
            run,
            step,
            replace(
                result,
                status=authorized.status,
                cause=authorized.cause,
                reason=authorized.reason,
                approved_by=authorized.approved_by,
            ),
        )
    if idle:
        reason = "nothing to do: no object needs it now" + (f" ({len(extras)} not in the plan)" if extras else "")
        return _idle(run, step, tool, values, result, reason)
    result = replace(result, params=plain(values), approved_by=authorized.approved_by, attempts=before + 1)
    return _run(run, step, tool, authorized, result, earlier)


def _let(run: Run, step: Step, tool: Tool, authorized: Authorized) -> Authorized:
    """What is let through when the hooks before a step have let it: the gates are asked again, for a hook can take an hour."""
    run.guarded.add(step.id)
    if not hooking.guard(run, "before_step", step):
        return authorized
    if run.options.left <= 0:
        return replace(authorized, status=StepStatus.SKIPPED, cause=Cause.DEFERRED, reason=f"deferred: {CLOSED}")
    anew = authorize(run, step, tool, authorized.values, authorized.found, approved_by=authorized.approved_by)
    return replace(anew, digest=anew.digest or authorized.digest)


def _idle(run: Run, step: Step, tool: Tool, values: dict[str, Any], result: StepResult, reason: str) -> StepResult:
    """Skipped, with the figures of a step that found no object, or of what it had done when it found some."""
    output = conclude(tool, values, [], _context(run, step, tool)).output if step.id not in run.begun else None
    return record(run, step, replace(result, status=StepStatus.SKIPPED, cause=Cause.IDLE, output=output, reason=reason))


def _run(
    run: Run, step: Step, tool: Tool, authorized: Authorized, result: StepResult, earlier: Earlier | None
) -> StepResult:
    values, found = authorized.values, authorized.found
    started = time.monotonic()  # here: what a person takes to approve is not the step's
    try:
        _start_in_turn(run, step, tool, authorized, result, earlier)
    except earning.NoLongerEarnedError as error:
        run.observer.said(f"{step.id}: {error.message}; it is judged anew")
        return execute(run, step, earlier)
    except calls.TooManyCallsError as error:
        return record(run, step, replace(result, status=StepStatus.REJECTED, reason=f"refused: {error.message}"))
    record_ = _Record()
    context = _context(run, step, tool, record_, result.attempts)
    if earlier:
        context.checkpoint, context.interrupted = earlier.checkpoint, earlier.interrupted
        if earlier.checkpoint is not None:
            context.closes = Closing(run, step, earlier.checkpoint.seconds).closes
        context.earlier = [one.after for one in earlier.done if one.after is not None]
    run.job.sending.open(context.marker, record_.happened)
    try:
        with watched(run, step, tool, record_):
            done = list(earlier.done) if earlier else []
            if done and not found:
                outcome = conclude(tool, values, done, context)
            else:
                outcome = dispatch.run(tool, values, found, context)
                if done:
                    outcome = conclude(tool, values, [*done, *outcome.objects], context)
    except InDoubtError as error:
        doubtful = replace(_failed(result, error, context, started), status=StepStatus.IN_DOUBT, error=error.message)
        return record(run, step, doubtful, record_)
    except DatabaseError as error:
        result = replace(result, output=_so_far(context), execution_time=time.monotonic() - started)
        result = replace(result, cause=Cause.PRIVILEGE if error.kind == "permission" else None)
        if error.kind == "cancelled" and (run.cancelled.is_set() or run.asked_to):
            stopped = _with_figures(run, step, replace(result, status=StepStatus.PENDING, reason="interrupted"))
            _interrupted(run, step, record_, stopped)
            raise InterruptedStepError(f"{step.id} was interrupted", stopped) from error
        if error.kind == "statement_timeout":
            record_.happened.append(("step_timeout", {"seconds": context.options.statement_timeout}))
        told = DatabaseError(context.told(error, values), kind=error.kind, code=error.code, hint=error.hint)
        return record(run, step, denied.explained(run.job, step, replace(result, error=_told(told))), record_)
    except AishellError as error:
        return record(run, step, _failed(result, error, context, started), record_)
    except (Exception, SystemExit) as error:  # a tool's own Python can raise anything
        raised = unexpected(error, f"the tool {tool.name}")
        return record(run, step, _failed(result, raised, context, started), record_)
    result = replace(
        result,
        status={"done": StepStatus.DONE, "skipped": StepStatus.SKIPPED, "failed": StepStatus.FAILED}[outcome.status],
        cause=_cause(outcome),
        output=plain(outcome.output),
        reason=outcome.reason if outcome.status != "failed" else None,
        error=outcome.reason if outcome.status == "failed" else None,
        execution_time=time.monotonic() - started,
        deferred=tuple(_deferred(values, one) for one in outcome.objects if one.status == "deferred"),
    )
    ended = record(run, step, denied.explained(run.job, step, result), record_)
    run.warn(run.job.hooks.after(_call(run, step, values), outcome))
    return ended


def _failed(result: StepResult, error: AishellError, context: Context, started: float) -> StepResult:
    """The result of a step that stopped, with what it had counted by then."""
    return replace(result, error=_told(error), output=_so_far(context), execution_time=time.monotonic() - started)


def _so_far(context: Context) -> dict[str, Any] | None:
    """The figures of a step that did not come to its end; None where nothing was counted."""
    return plain(dict(context.so_far)) if context.so_far is not None else None


def _with_figures(run: Run, step: Step, result: StepResult) -> StepResult:
    """A step that an earlier process had begun tells what that had done, where this one has no figures of its own."""
    begun = run.begun.get(step.id)
    return replace(result, output=begun.output) if begun is not None and result.output is None else result


def _prepare(run: Run, step: Step, tool: Tool, params: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The checked parameters after the hooks; changed ones pass the same checks."""
    values = tool.prepare(params)
    changed, veto = run.job.hooks.before(_call(run, step, values))
    return (tool.prepare(changed) if changed is not values else values), veto.reason if veto else None


def _objects(
    run: Run, step: Step, tool: Tool, values: Mapping[str, Any], earlier: Earlier | None
) -> tuple[list[Row] | None, list[Row]]:
    """The objects to work on: those found now that are in the frozen plan too; and those that are not."""
    if earlier is not None and earlier.found is not None:
        through = {result.label for result in earlier.done}
        return [dict(r) for r in earlier.found if label_of(tool, values, dict(r)) not in through], []
    context = _context(run, step, tool)
    if tool.undoing:
        return undoing.objects(tool, values, _objects_of(run, step), context), []
    rows = dispatch.find(tool, values, context)
    if rows is not None and any(row.get("settled") is not None for row in rows):
        rows = settled(lambda: dispatch.find(tool, values, context) or [], context.rest)
    if rows is None or step.found is None:
        return rows, []
    inside = tool.among(step.found, rows)
    return inside, [row for row in rows if row not in inside]


def _objects_of(run: Run, step: Step) -> Sequence[Row]:
    """The objects that the step began with which is taken back, as they were frozen then; of an earlier run in the plan."""
    if step.undoes is None:
        return [dict(row) for row in reversed(step.found or ({},))]
    row = next(row for row in run.runs.steps(run.id) if row.step_id == step.undoes)
    return unpack(json.loads(row.found)) if row.found else [{}]


def _start_in_turn(
    run: Run, step: Step, tool: Tool, authorized: Authorized, result: StepResult, earlier: Earlier | None
) -> None:
    """Start the step; where other runs have taken the last call of the tool since it was judged, wait for the next."""
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
    """The intent, durable before anything is sent."""
    found = earlier.found if earlier and earlier.found is not None else authorized.found
    values = {
        "attempt": result.attempts,
        "params": canonical(audit.redact(plain(authorized.values))),
        "digest": authorized.digest,
        "idempotency_key": f"{run.id}:{step.index}",
        "found": canonical(pack(found)) if found is not None else None,
        "approved_by": authorized.approved_by,
    }
    subject = earning.begun(run, step, tool)
    earned = (
        authorized.verdict.earned
        if authorized.verdict.earned is not None and authorized.verdict.earned.granted
        else None
    )
    lost = (
        earning.lost(run, subject, f"{step.id} undoes its work") if subject is not None and subject.takes_back else []
    )

    def told(connection: Connection) -> Sequence[tuple[str, Mapping[str, Any]]]:
        if tool.rate_limit is not None:
            calls.take(connection, tool.name, tool.rate_limit)
        return [*lost, *(earning.used(run, tool, earned, connection) if earned is not None else ())]

    run.runs.step_started(
        run.id,
        run.owner,
        step.index,
        values,
        task_id=run.task_id,
        total=run.total,
        subject=subject,
        before=told,
    )
    run.headway.begin(step.index)
    run.observer.step_started(step, run.total)


def _context(run: Run, step: Step, tool: Tool, record_: _Record | None = None, attempt: int = 1) -> Context:
    kept = record_ or _Record()

    def sent(statement: Statement, session: Session) -> None:
        kept.server_session = session.server_session

    def objects_ended(results: Sequence[ObjectResult]) -> None:
        if tool.read_only:
            return  # nothing was changed: a resumed check begins anew
        rows = [_history(run, step, tool, result, attempt) for result in results]
        if tool.way.single:
            kept.objects += rows  # one object: written with the step's outcome
            return
        run.runs.objects_ended(run.id, step.index, rows, kept.take())

    checked = time.monotonic()

    def batch_ended(checkpoint: BatchCheckpoint, batch: Mapping[str, Any]) -> str | None:
        nonlocal checked
        happened = [*kept.take(), ("batch_committed", {"number": checkpoint.batches, **plain(batch)})]
        asked = run.runs.batch_ended(run.id, run.owner, step.index, checkpoint.text(), happened)
        run.asked_to = run.asked_to or asked
        if run.cancelled.is_set() or run.asked_to:
            raise DatabaseError("stopped between two batches", kind="cancelled")
        if run.options.left < 0:
            return CLOSED
        if time.monotonic() < checked + CALM_CHECK:
            return None
        why = calm(run, step, tool)
        checked = time.monotonic()
        return why

    active: list[Session] = []

    def session_changed(session: Session | None) -> None:
        for old in active:
            run.session(old, False)
        active[:] = [session] if session else []
        if session:
            run.session(session, True)
            if run.cancelled.is_set():
                raise DatabaseError("cancelled before it was sent", kind="cancelled")

    def retried(number: int, error: BaseException) -> None:
        kept.happened.append(("step_retried", {"try": number, "error": str(error)}))
        run.observer.said(f"{step.id}: attempt {number} failed ({error}), retrying")

    wait = wait_of(tool)
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
        on_sent=sent,
        on_program=lambda line, source: kept.happened.append(("program_started", {"line": line, "source": source})),
        on_objects=objects_ended,
        progress=partial(run.progress, step),
        cancelled=run.cancelled.is_set,
        attempt=retrying(
            min(lock_of(tool).tries, run.job.config.max_retries), retried, wait.patience if wait.sliced else None
        ),
        patience=wait.patience,
        on_session=session_changed,
        on_batch=batch_ended,
        others_ran=lambda: run.runs.others_ran(run.id),
        waiters_seen=kept.take_waiting,
        archives=run.job.archives,
        backups=run.job.backups,
        expected_rows=next((item.value for item in step.evidence if item.metric == "old_rows"), None),
        holders=partial(holders, run.job),
        backlog=partial(nights.sentence, run),
        closes=Closing(run, step).closes,
        rest=run.cancelled.wait,
    )


def record(run: Run, step: Step, result: StepResult, record_: _Record | None = None) -> StepResult:
    """Commit a step's outcome: row, checkpoint, history and events in one transaction."""
    result = _with_figures(run, step, result)
    values = {
        "status": result.status,
        "attempt": result.attempts,
        "output": canonical(result.output) if result.output is not None else None,
        "error": result.error,
        "reason": result.reason,
        "cause": result.cause,
        "approved_by": result.approved_by,
        "seconds": result.execution_time,
        "deferred": canonical(result.deferred) if result.deferred else None,
    }
    moved = backlog.shift(step, result, read_only=run.job.pick(step.tool).read_only)
    _commit(run, step, values, record_ or _Record(), cost_of(run.job.target.name, step, result), moved)
    run.observer.step_ended(step, result)
    return result


def _interrupted(run: Run, step: Step, kept: _Record, result: StepResult) -> None:
    """The statement was cancelled and its end seen: the step is pending again, and resume runs it."""
    output = canonical(result.output) if result.output is not None else None
    _commit(run, step, {"status": result.status, "reason": result.reason, "output": output}, kept)


def _commit(
    run: Run,
    step: Step,
    values: Mapping[str, Any],
    kept: _Record,
    cost: Mapping[str, Any] | None = None,
    shift: Shift | None = None,
) -> None:
    read = run.job.sending.close(run.marker(step))
    subject = earning.failed(run, step, values["status"])
    lost = earning.lost(run, subject, f"{step.id} of the run {run.id[:8]}: {values['status']}")
    asked = run.runs.step_ended(
        run.id,
        run.owner,
        step.index,
        {**values, "server_session": kept.server_session},
        task_id=run.task_id,
        total=run.total,
        happened=[*kept.happened, *read, *lost],
        objects=kept.objects,
        cost=cost,
        shift=None if shift is None or run.facts is None else (run.facts, shift),
        subject=subject,
    )
    run.asked_to = run.asked_to or asked


def skipped(run: Run, step: Step, cause: Cause, reason: str) -> StepResult:
    """Record that a step does not run."""
    result = StepResult(
        step.index, step.id, step.tool, plain(step.params), StepStatus.SKIPPED, reason=reason, cause=cause
    )
    return record(run, step, result)


def _given_up(run: Run, step: Step) -> Cause:
    """Why there is no output of a step that this one refers to: what was left for another night leaves this one too."""
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
    """An object left for another night, by the table it belongs to: that is what plans go by."""
    names = {**values, **left.before}
    table = f"{names['schema']}.{names['table']}" if names.get("table") and names.get("schema") else left.label
    return {"object": table, "reason": left.reason if left.label == table else f"{left.label}: {left.reason}"}


def _history(run: Run, step: Step, tool: Tool, result: ObjectResult, attempt: int) -> dict[str, Any]:
    return {
        "target": run.job.target.name,
        "object": result.label or run.job.known_server().database,
        "tool": tool.name,
        "run_id": run.id,
        "step_index": step.index,
        "attempt": attempt,
        "status": result.status,
        "at": now(),
        "seconds": result.seconds,
        "bytes_before": size(result.before),
        "bytes_after": size(result.after),
        "before": canonical(result.before),
        "after": canonical(result.after) if result.after is not None else None,
        "reason": result.reason,
    }


def _call(run: Run, step: Step, values: Mapping[str, Any]) -> Call:
    return Call(step.tool, values, run.job.target.name, run.id, step.id)


def _told(error: AishellError) -> str:
    """What went wrong, and what to do about it."""
    code = f" [{error.code}]" if isinstance(error, DatabaseError) and error.code else ""
    hint = f"; {error.hint}" if error.hint else ""
    return f"{error.message}{code}{hint}"

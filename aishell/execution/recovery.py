"""What an earlier process left: steps that were started and have no outcome. Found out by looking at the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.codec import plain, unpack
from aishell.execution import rollback
from aishell.execution.executor import Earlier
from aishell.execution.recording import record
from aishell.execution.run import Run
from aishell.models import Cause, Plan, Row, StepResult, StepStatus
from aishell.registry.tool import Tool
from aishell.running import dispatch
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import ALL_OR_NONE, Context, ObjectResult, label_of
from aishell.running.per_object import clean, wait_for_end
from aishell.running.results import so_far
from aishell.state.connection import Record
from aishell.state.runs import who

#: What a person may say of a step in doubt.
DECISIONS = ("retry", "done", "abort")
#: Why a step was skipped that may be called for when what failed is tried once more: a condition may look at that.
_LEFT_OUT = (Cause.STOPPED, Cause.NEED, Cause.CONDITION)
UNKNOWN = "whether the statement took effect is not known"


def finished(row: Record) -> bool:
    """Whether a step is through."""
    return row.status in (StepStatus.DONE, StepStatus.REJECTED, StepStatus.FAILED, StepStatus.SKIPPED)


def reopened(plan: Plan, rows: Sequence[Record], pick: Callable[[str], Tool]) -> dict[int, StepStatus]:
    """What a run that had failed tries once more: failures and what they left out. A run that is rolled back goes only back.

    It stands in the rows from then on, for a process that is killed in the second attempt does not tell the next one.
    """
    back = rollback.begun(plan, {row.step_id: result_of(plan, row) for row in rows})
    found = {}
    for row in rows:
        step = plan.steps[row.step_index]
        waited = row.status == StepStatus.SKIPPED and row.cause in _LEFT_OUT
        if (row.status == StepStatus.FAILED or waited) and (step.undoes is not None or not back):
            # What was begun and left out then has an end that nobody saw; of batches what was reached says so.
            doubtful = waited and row.attempt and not pick(step.tool).way.batches
            found[row.step_index] = StepStatus.STARTED if doubtful else StepStatus.PENDING
    return found


def result_of(plan: Plan, row: Record) -> StepResult:
    """A step as an earlier process recorded it."""
    step = plan.steps[row.step_index]
    return StepResult(
        step_index=row.step_index,
        step_id=row.step_id,
        tool=row.tool,
        params=json.loads(row.params) if row.params else step.params,
        status=StepStatus(row.status),
        output=_loaded(row.output),
        error=row.error,
        reason=row.reason,
        cause=Cause(row.cause) if row.cause else None,
        attempts=row.attempt,
        started_at=row.started_at,
        execution_time=row.seconds or 0.0,
        approved_by=row.approved_by,
        deferred=tuple(json.loads(row.deferred)) if row.deferred else (),
    )


def recover(run: Run, row: Record, decision: str | None = None) -> Earlier | StepResult:
    """What to do with a step without outcome: go on with the objects that are left, or a result.

    A statement of ours that still runs on the server is waited for. What is read-only or idempotent runs again after its
    clean-up; else `verify` decides per object; without an answer the step is in doubt, and a person's `decision` is needed.
    """
    step = run.plan.steps[row.step_index]
    tool = run.job.pick(step.tool)
    values, ended = tool.prepare(json.loads(row.params)), row.status == StepStatus.PENDING  # else nobody saw its end
    found: list[Row] | None = unpack(json.loads(row.found)) if row.found else None
    context = Context(run.job.database, run.marker(step), run.job.options(tool))
    run.observer.said(f"{step.id}: started by an earlier process; looking up its outcome")
    wait_for_end(context)
    done = _recorded(run, row, found or [], tool, values)
    left = _left(tool, values, found or [{}], done)
    checkpoint = _checkpoint(run, row, tool, ended=ended)
    unseen = not ended or (checkpoint is not None and checkpoint.unseen > 0)
    earlier = Earlier(row.attempt, values, found, tuple(done), row.approved_by, checkpoint, interrupted=unseen)
    # Written down before the first batch is through: the one transaction of rows that no key tells apart was being committed.
    committing = not ended and dispatch.runner(tool).committing(tool, checkpoint)
    if not committing and (ended or tool.repeatable):
        for item in left:
            clean(tool, {**values, **item}, context)
        return earlier
    seen = [] if committing else _verified(tool, values, left, context)
    done += [ObjectResult(label_of(tool, values, item), "ok", item, state) for item, state in seen if state.get("ok")]
    earlier = replace(earlier, done=tuple(done))
    if len(seen) == len(left):
        return earlier
    return _in_doubt(run, row, decision, earlier, committing=committing)


def _left(tool: Tool, values: Mapping[str, Any], found: Sequence[Row], done: Sequence[ObjectResult]) -> list[Row]:
    through = {result.label for result in done}
    return [item for item in found if label_of(tool, values, item) not in through]


def _in_doubt(
    run: Run, row: Record, decision: str | None, earlier: Earlier, *, committing: bool
) -> Earlier | StepResult:
    """A step of which nobody knows whether its statement took effect, by what a person decided."""
    step, checkpoint = run.plan.steps[row.step_index], earlier.checkpoint
    if decision is not None:
        run.event("approval_decided", step, in_doubt=decision, by=who())
    if decision == "retry":
        return earlier
    if decision == "done" and committing and checkpoint is not None:
        return replace(earlier, checkpoint=replace(checkpoint, batches=1))  # what it came to is looked up in the table
    why = ALL_OR_NONE if committing else UNKNOWN
    result = replace(result_of(run.plan, row), status=StepStatus.IN_DOUBT, error=why)
    if decision == "done":
        reason = "a person says that it is done"
        result = replace(result, status=StepStatus.DONE, error=None, output={}, reason=reason)
    elif decision == "abort":
        result = replace(result, status=StepStatus.FAILED, error="aborted by a person while in doubt")
    return record(run, step, result)


def _checkpoint(run: Run, row: Record, tool: Tool, *, ended: bool) -> BatchCheckpoint | None:
    """How far a batched step had come; what it had done is told whatever becomes of it now.

    A doubt is written down before anything else is done: the step may fail before it comes to the batch in question.
    """
    reached = BatchCheckpoint.of(row.reached) if row.reached else None
    checkpoint = reached if ended else dispatch.runner(tool).cut_off(tool, reached)
    if checkpoint is None:
        return None
    if checkpoint is not reached:
        run.heed(run.runs.step_reached(run.id, run.owner, row.step_index, checkpoint.text()))
    known = replace(result_of(run.plan, row), error=None, cause=None)
    output = plain(so_far(tool, checkpoint.figures()))
    run.begun[row.step_id] = replace(known, status=StepStatus.PENDING, output=output, reason="interrupted")
    return checkpoint


def _recorded(run: Run, row: Record, found: list[Row], tool: Tool, values: dict[str, Any]) -> list[ObjectResult]:
    labels = {label_of(tool, values, item) for item in found}
    return [
        ObjectResult(one.object, one.status, json.loads(one.before), _loaded(one.after), one.reason, one.seconds)
        for one in run.runs.objects(run.id, row.step_index)
        if one.object in labels and one.status in ("ok", "skipped", "corrupted")
    ]


def _loaded(text: str | None) -> Any:
    return json.loads(text) if text else None


def _verified(tool: Tool, values: Mapping[str, Any], left: Sequence[Row], context: Context) -> list[tuple[Row, Row]]:
    """What `verify` says now of each of the objects; nothing without that block."""
    if "verify" not in tool.blocks:
        return []
    asked = ((item, {**values, **item, "group": [item]}) for item in left)
    return [(item, next(iter(context.ask(tool, "verify", known)), {})) for item, known in asked]

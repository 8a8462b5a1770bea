"""Recovers steps that an earlier process started without recording an outcome, by looking at the database."""

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

#: The decisions that a person can make about a step in doubt.
DECISIONS = ("retry", "done", "abort")
#: Causes for which a step was skipped that may have to run once the failed step is retried: its condition may have changed.
_LEFT_OUT = (Cause.STOPPED, Cause.NEED, Cause.CONDITION)
UNKNOWN = "whether the statement took effect is not known"


def finished(row: Record) -> bool:
    """Whether a step has ended."""
    return row.status in (StepStatus.DONE, StepStatus.REJECTED, StepStatus.FAILED, StepStatus.SKIPPED)


def reopened(plan: Plan, rows: Sequence[Record], pick: Callable[[str], Tool]) -> dict[int, StepStatus]:
    """The steps that a failed run tries again, with their new status: failures, and what was skipped because of them.

    A run whose rollback has begun only continues that. The status is stored, for the second attempt may be killed too.
    """
    back = rollback.begun(plan, {row.step_id: result_of(plan, row) for row in rows})
    found = {}
    for row in rows:
        step = plan.steps[row.step_index]
        waited = row.status == StepStatus.SKIPPED and row.cause in _LEFT_OUT
        if (row.status == StepStatus.FAILED or waited) and (step.undoes is not None or not back):
            # The end of a step that was begun and then skipped was not seen; batched steps have their checkpoint.
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
    """What to do with a step without an outcome: continue with the objects that are left, or a result.

    Waits for a statement of ours that still runs on the server. A read-only or idempotent step runs again after its clean-up;
    otherwise `verify` decides per object. Where it cannot, the step is in doubt, and a person's `decision` is needed.
    """
    step = run.plan.steps[row.step_index]
    tool = run.job.pick(step.tool)
    values, ended = tool.prepare(json.loads(row.params)), row.status == StepStatus.PENDING  # else its end was not seen
    found: list[Row] | None = unpack(json.loads(row.found)) if row.found else None
    context = Context(run.job.database, run.marker(step), run.job.options(tool))
    run.observer.notice(f"{step.id}: started by an earlier process; looking up its outcome")
    wait_for_end(context)
    done = _recorded(run, row, found or [], tool, values)
    left = _left(tool, values, found or [{}], done)
    checkpoint = _checkpoint(run, row, tool, ended=ended)
    unseen = not ended or (checkpoint is not None and checkpoint.unseen > 0)
    earlier = Earlier(row.attempt, values, found, tuple(done), row.approved_by, checkpoint, interrupted=unseen)
    # A checkpoint before the first batch: the one transaction of a table without a key was being committed.
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
    """Apply a person's decision to a step whose statement may or may not have taken effect."""
    step, checkpoint = run.plan.steps[row.step_index], earlier.checkpoint
    if decision is not None:
        run.event("approval_decided", step, in_doubt=decision, by=who())
    if decision == "retry":
        return earlier
    if decision == "done" and committing and checkpoint is not None:
        return replace(earlier, checkpoint=replace(checkpoint, batches=1))  # its result is looked up in the table
    why = ALL_OR_NONE if committing else UNKNOWN
    result = replace(result_of(run.plan, row), status=StepStatus.IN_DOUBT, error=why)
    if decision == "done":
        reason = "marked as done by a person"
        result = replace(result, status=StepStatus.DONE, error=None, output={}, reason=reason)
    elif decision == "abort":
        result = replace(result, status=StepStatus.FAILED, error="aborted by a person while in doubt")
    return record(run, step, result)


def _checkpoint(run: Run, row: Record, tool: Tool, *, ended: bool) -> BatchCheckpoint | None:
    """How far a batched step had come; its figures are reported whatever becomes of it now.

    A doubtful batch is recorded first: the step may fail before it comes to that batch.
    """
    stored = BatchCheckpoint.of(row.reached) if row.reached else None
    checkpoint = stored if ended else dispatch.runner(tool).cut_off(tool, stored)
    if checkpoint is None:
        return None
    if checkpoint is not stored:
        run.heed(run.runs.checkpoint_step(run.id, run.owner, row.step_index, checkpoint.text()))
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
    """Each object with its row of `verify` now; empty for a tool without that block."""
    if "verify" not in tool.blocks:
        return []
    params = ((item, {**values, **item, "group": [item]}) for item in left)
    return [(item, next(iter(context.ask(tool, "verify", given)), {})) for item, given in params]

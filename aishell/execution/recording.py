"""What a step leaves in `state.db`: what is heard of it while it runs, its objects and batches, and its outcome."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from aishell.codec import canonical, plain
from aishell.databases.base import Session, Statement
from aishell.errors import AishellError, DatabaseError
from aishell.execution import earning
from aishell.execution.authorize import calm
from aishell.execution.closing import CLOSED
from aishell.execution.run import Run, blank
from aishell.execution.sending import Event
from aishell.models import Cause, Row, Shift, Step, StepResult, StepStatus, now
from aishell.planning import backlog
from aishell.planning.estimates import label_of
from aishell.registry.tool import Tool
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import ObjectResult
from aishell.state.history import size

#: Seconds between two looks at replicas and load while batches go by.
CALM_CHECK = 1.0
#: Seconds before the first look at a step's session from another, and between two.
FIRST_LOOK, POLL = 1.0, 1.0
#: Batches are short: who waits for one has to be looked for often.
WAITERS_POLL = 0.25


class Recorder:
    """Hears what a tool reports while a step runs, from several threads, and keeps or writes down what is to be known of it."""

    def __init__(self, run: Run, step: Step, tool: Tool, attempt: int = 1) -> None:
        self.run, self.step, self.tool, self.attempt = run, step, tool, attempt
        self.happened: list[Event] = []
        self.objects: list[dict[str, Any]] = []  # to be written with the outcome
        self.server_session = ""
        self.waiting = threading.Event()  # others were seen waiting for our locks
        self._session: Session | None = None
        self._calm_at = time.monotonic()

    def take(self) -> list[Event]:
        """What happened since it was asked last; a batch is written down while the next one runs."""
        happened = self.happened[:]
        del self.happened[: len(happened)]  # others add to this very list meanwhile
        return happened

    def take_waiting(self) -> bool:
        """Whether somebody waited since it was asked last."""
        seen = self.waiting.is_set()
        self.waiting.clear()
        return seen

    def sent(self, statement: Statement, session: Session) -> None:
        self.server_session = session.server_session

    def program_started(self, line: str, source: str) -> None:
        self.happened.append(("program_started", {"line": line, "source": source}))

    def retried(self, number: int, error: BaseException) -> None:
        self.happened.append(("step_retried", {"try": number, "error": str(error)}))
        self.run.observer.said(f"{self.step.id}: attempt {number} failed ({error}), retrying")

    def objects_ended(self, results: Sequence[ObjectResult]) -> None:
        if self.tool.read_only:
            return  # nothing was changed: a resumed check begins anew
        rows = [self._history(result) for result in results]
        if self.tool.way.single:
            self.objects += rows
        else:
            self.run.runs.tell(self.run.id, self.step.index, self.take(), rows)

    def batch_ended(self, checkpoint: BatchCheckpoint, batch: Mapping[str, Any]) -> str | None:
        """Write a batch down; why the step is to stop here. Raises DatabaseError when the run is to stop."""
        run = self.run
        happened = [*self.take(), ("batch_committed", {"number": checkpoint.batches, **plain(batch)})]
        run.heed(run.runs.step_reached(run.id, run.owner, self.step.index, checkpoint.text(), happened))
        if run.cancelled.is_set() or run.asked_to:
            raise DatabaseError("stopped between two batches", kind="cancelled")
        if run.options.left < 0:
            return CLOSED
        if time.monotonic() < self._calm_at + CALM_CHECK:
            return None
        why = calm(run, self.step, self.tool)
        self._calm_at = time.monotonic()
        return why

    def session_changed(self, session: Session | None) -> None:
        """Keep the session that runs a statement where an interrupt finds it."""
        if self._session is not None:
            self.run.session(self._session, False)
        self._session = session
        if session is not None:
            self.run.session(session, True)
            if self.run.cancelled.is_set():
                raise DatabaseError("cancelled before it was sent", kind="cancelled")

    def _history(self, result: ObjectResult) -> dict[str, Any]:
        return {
            "target": self.run.job.target.name,
            "object": result.label or self.run.job.known_server().database,
            "tool": self.tool.name,
            "run_id": self.run.id,
            "step_index": self.step.index,
            "attempt": self.attempt,
            "status": result.status,
            "at": now(),
            "seconds": result.seconds,
            "bytes_before": size(result.before),
            "bytes_after": size(result.after),
            "before": canonical(result.before),
            "after": canonical(result.after) if result.after is not None else None,
            "reason": result.reason,
        }


def record(run: Run, step: Step, result: StepResult, recorder: Recorder | None = None) -> StepResult:
    """Commit a step's outcome: row, checkpoint, history and events in one transaction."""
    result = with_figures(run, step, result)
    tool = run.job.pick(step.tool)
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
    shift = backlog.shift(step, result, read_only=tool.read_only)
    commit(recorder or Recorder(run, step, tool), values, cost_of(run.job.target.name, step, result), shift)
    run.observer.step_ended(step, result)
    return result


def skipped(run: Run, step: Step, cause: Cause, reason: str) -> StepResult:
    """Record that a step does not run."""
    return record(run, step, blank(step, StepStatus.SKIPPED, reason=reason, cause=cause))


def interrupted(recorder: Recorder, result: StepResult) -> None:
    """Record that the statement was cancelled and its end seen: the step is pending again, and resume runs it."""
    output = canonical(result.output) if result.output is not None else None
    commit(recorder, {"status": result.status, "reason": result.reason, "output": output})


def commit(
    recorder: Recorder,
    values: Mapping[str, Any],
    cost: Mapping[str, Any] | None = None,
    shift: Shift | None = None,
) -> None:
    """Write the columns of a step that ends, with all that was heard of it."""
    run, step = recorder.run, recorder.step
    read = run.job.sending.close(run.marker(step))
    subject = earning.failed(run, step, values["status"])
    lost = earning.lost(run, subject, f"{step.id} of the run {run.id[:8]}: {values['status']}")
    asked = run.runs.step_ended(
        run.id,
        run.owner,
        step.index,
        {**values, "server_session": recorder.server_session},
        task_id=run.task_id,
        total=run.total,
        happened=[*recorder.happened, *read, *lost],
        objects=recorder.objects,
        cost=cost,
        shift=None if shift is None or run.facts is None else (run.facts, shift),
        subject=subject,
    )
    run.heed(asked)


def with_figures(run: Run, step: Step, result: StepResult) -> StepResult:
    """A step that an earlier process had begun has that one's figures, where it has none of its own."""
    begun = run.begun.get(step.id)
    return replace(result, output=begun.output) if begun is not None and result.output is None else result


def cost_of(target: str, step: Step, result: StepResult) -> dict[str, Any] | None:
    """A row of `step_costs`, by which later plans estimate; None where the time is not that of known work: the step failed, was
    resumed, or left something uncounted.

    What a window has cut short counts by its rows: work that never fits would otherwise be expected wrongly for ever.
    """
    if result.status is not StepStatus.DONE or result.attempts != 1 or result.execution_time <= 0:
        return None
    work, unit = step.estimate.work, step.estimate.unit
    rows = backlog.counted(result)  # what the plan expected is of no interest then
    if result.deferred and not rows:
        return None
    if rows is not None:
        work, unit = rows, "rows"
    return {
        "target": target,
        "tool": step.tool,
        "object": label_of(result.params),
        "at": now(),
        "seconds": result.execution_time,
        "work": work,
        "unit": unit,
    }


def watched(recorder: Recorder) -> AbstractContextManager[None]:
    """While inside, look at the step's session from another; nothing is asked of the server in the first moment."""
    run, step, tool = recorder.run, recorder.step, recorder.tool

    def progress(row: Row) -> None:
        run.progress(step, float(row.get("done") or 0), float(row.get("total") or 0), str(row.get("phase") or ""))

    def waiters(row: Row) -> None:
        if row["waiting"]:
            recorder.waiting.set()

    if tool.read_only:
        return nullcontext()
    if tool.way.batches:
        return _polling(recorder, "show_waiters", waiters, WAITERS_POLL)
    return _polling(recorder, "show_progress", progress, POLL)


@contextmanager
def _polling(recorder: Recorder, tool: str, heard: Callable[[Row], None], pause: float) -> Iterator[None]:
    """Call a reading tool on the step's session again and again, where this server has the tool."""
    run = recorder.run
    if not run.job.registry.has(tool, run.job.known_server()):
        yield
        return
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            try:
                rows = next(iter(run.job.read(tool, {"session": recorder.server_session.partition("@")[0]}).values()))
            except AishellError as error:
                run.observer.said(f"{recorder.step.id}: {tool} cannot look at it: {error}")
                return
            for row in rows[:1]:
                heard(row)
            ended.wait(pause)

    timer = threading.Timer(min(FIRST_LOOK, pause), poll)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()

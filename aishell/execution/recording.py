"""Records a step in `state.db`: what its tool reports while it runs, its objects and batches, and its outcome."""

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

#: Seconds between two checks of replicas and load while batches run.
CALM_CHECK = 1.0
#: Seconds before the first look at a step's session from another session, and between two looks.
FIRST_LOOK, POLL = 1.0, 1.0
#: Batches are short, so sessions that wait for one are looked for often; seconds.
WAITERS_POLL = 0.25


class Recorder:
    """Receives what a tool reports while a step runs, from several threads, and keeps it for the outcome or writes it at once."""

    def __init__(self, run: Run, step: Step, tool: Tool, attempt: int = 1) -> None:
        self.run, self.step, self.tool, self.attempt = run, step, tool, attempt
        self.happened: list[Event] = []
        self.objects: list[dict[str, Any]] = []  # to be written with the outcome
        self.server_session = ""
        self.waiting = threading.Event()  # others were seen waiting for our locks
        self._session: Session | None = None
        self._calm_at = time.monotonic()

    def take(self) -> list[Event]:
        """Take the events since the last call; a batch is written while the next one runs."""
        happened = self.happened[:]
        del self.happened[: len(happened)]  # others add to this very list meanwhile
        return happened

    def take_waiting(self) -> bool:
        """Whether another session has waited for our locks since the last call."""
        seen = self.waiting.is_set()
        self.waiting.clear()
        return seen

    def sent(self, statement: Statement, session: Session) -> None:
        self.server_session = session.server_session

    def program_started(self, line: str, source: str) -> None:
        self.happened.append(("program_started", {"line": line, "source": source}))

    def retried(self, number: int, error: BaseException) -> None:
        self.happened.append(("step_retried", {"try": number, "error": str(error)}))
        self.run.observer.notice(f"{self.step.id}: attempt {number} failed ({error}), retrying")

    def objects_ended(self, results: Sequence[ObjectResult]) -> None:
        if self.tool.read_only:
            return  # nothing was changed: a resumed check starts over
        rows = [self._history(result) for result in results]
        if self.tool.way.single:
            self.objects += rows
        else:
            self.run.runs.add_events(self.run.id, self.step.index, self.take(), rows)

    def batch_ended(self, checkpoint: BatchCheckpoint, batch: Mapping[str, Any]) -> str | None:
        """Record a batch; the reason to stop the step here, or None. Raises DatabaseError when the run is to stop."""
        run = self.run
        happened = [*self.take(), ("batch_committed", {"number": checkpoint.batches, **plain(batch)})]
        run.heed(run.runs.checkpoint_step(run.id, run.owner, self.step.index, checkpoint.text(), happened))
        if run.cancelled.is_set() or run.stop_request:
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
    """Write the columns of a step that ends, with everything that was reported while it ran."""
    run, step = recorder.run, recorder.step
    read = run.job.sending.close(run.marker(step))
    subject = earning.failed(run, step, values["status"])
    lost = earning.lost(run, subject, f"{step.id} of the run {run.id[:8]}: {values['status']}")
    stop_request = run.runs.step_ended(
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
    run.heed(stop_request)


def with_figures(run: Run, step: Step, result: StepResult) -> StepResult:
    """Give a result without output the figures of an earlier process that had begun the step."""
    begun = run.begun.get(step.id)
    return replace(result, output=begun.output) if begun is not None and result.output is None else result


def cost_of(target: str, step: Step, result: StepResult) -> dict[str, Any] | None:
    """A row of `step_costs`, the basis of later estimates; None where the work done in that time is not known: the step failed,
    was resumed, or left something uncounted.

    A step that its window cut short counts by its rows: otherwise work that never fits would always be estimated wrongly.
    """
    if result.status is not StepStatus.DONE or result.attempts != 1 or result.execution_time <= 0:
        return None
    work, unit = step.estimate.work, step.estimate.unit
    rows = backlog.counted(result)  # they replace the work that the plan expected
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
    """Inside it, watch the step's session from another one, beginning FIRST_LOOK seconds later."""
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
def _polling(recorder: Recorder, tool: str, on_row: Callable[[Row], None], pause: float) -> Iterator[None]:
    """Call a reading tool on the step's session every `pause` seconds, if this server has the tool."""
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
                run.observer.notice(f"{recorder.step.id}: {tool} failed: {error}")
                return
            for row in rows[:1]:
                on_row(row)
            ended.wait(pause)

    timer = threading.Timer(min(FIRST_LOOK, pause), poll)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()

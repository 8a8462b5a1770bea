"""A run in progress: who it is, what it may do, what became of its steps so far."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from aishell.codec import digest, plain
from aishell.databases.base import Session
from aishell.errors import AishellError, StepError
from aishell.execution.target_context import Job
from aishell.models import Plan, RunState, Step, StepResult, StepStatus
from aishell.planning.backlog import called_for, work_of
from aishell.planning.graph import Graph
from aishell.planning.variables import Reference, walk
from aishell.safety.approval import Answer, Approve, Later, Request, StandingApproval
from aishell.state.approvals import Approvals
from aishell.state.backlog import PlannedWork
from aishell.state.runs import Runs
from aishell.telemetry.spans import Spans
from aishell.telemetry.tracebacks import unexpected

if TYPE_CHECKING:
    from aishell.state.progress import Progress


class Observer(Protocol):
    """Whoever wants to see a run go by. Called from several threads; one that raises is told no more."""

    def step_started(self, step: Step, total: int) -> None: ...
    def step_progress(self, step: Step, done: float, total: float, label: str) -> None: ...
    def step_ended(self, step: Step, result: StepResult) -> None: ...
    def said(self, text: str) -> None: ...


class Silent:
    """Nobody looks."""

    def step_started(self, step: Step, total: int) -> None: ...
    def step_progress(self, step: Step, done: float, total: float, label: str) -> None: ...
    def step_ended(self, step: Step, result: StepResult) -> None: ...
    def said(self, text: str) -> None: ...


class Shielded:
    """An observer that may raise: its first error is given to `warn`, it is told no more, and the run goes on."""

    def __init__(self, observer: Observer, warn: Callable[[Sequence[AishellError]], None]) -> None:
        self._observer, self._warn = observer, warn

    def step_started(self, step: Step, total: int) -> None:
        self._tell(lambda observer: observer.step_started(step, total))

    def step_progress(self, step: Step, done: float, total: float, label: str) -> None:
        self._tell(lambda observer: observer.step_progress(step, done, total, label))

    def step_ended(self, step: Step, result: StepResult) -> None:
        self._tell(lambda observer: observer.step_ended(step, result))

    def said(self, text: str) -> None:
        self._tell(lambda observer: observer.said(text))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        try:
            call(self._observer)
        except Exception as error:  # a screen that is gone, or somebody else's code
            self._observer = Silent()
            self._warn([unexpected(error, "what shows the progress")])


@dataclass(frozen=True)
class Options:
    """How a run may behave. `deadline` in seconds of the monotonic clock; `until` an instant of the wall clock."""

    yes: bool = False
    interactive: bool = False
    jobs: int = 1
    deadline: float | None = None
    standing: StandingApproval | None = None
    until: datetime | None = None

    @property
    def left(self) -> float:
        """Seconds in which further steps may begin, by the clock that says less; infinite where nothing bounds the run.

        Linux stops the monotonic clock in suspend, so that a night would go on into the day. The wall clock can be put back.
        """
        ends = [] if self.deadline is None else [self.deadline - time.monotonic()]
        ends += [] if self.until is None else [self.until.timestamp() - time.time()]
        return min(ends, default=math.inf)


class NoOutputError(StepError):
    """A referenced step has no output, because it was skipped."""


def blank(step: Step, status: StepStatus, **known: Any) -> StepResult:
    """The result of a step that did not run, with the parameters of the plan and what else is `known`."""
    return StepResult(step.index, step.id, step.tool, plain(step.params), status, **known)


@dataclass
class Run:
    """A run: its identity, parts, options and results so far."""

    id: str
    owner: str
    job: Job
    plan: Plan
    runs: Runs
    approvals: Approvals
    options: Options
    observer: Observer
    ask: Callable[[Request], Answer] = lambda request: Later("there is no one to ask")
    results: dict[str, StepResult] = field(default_factory=dict)
    #: Batched steps of earlier processes, with what those had done.
    begun: dict[str, StepResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed_hooks: list[dict[str, Any]] = field(default_factory=list)  # {on, name, step_id, reason}
    told_end: bool = False  # hooks were called after it
    guarded: set[str] = field(default_factory=set)  # steps that were begun, for which hooks are called when they end
    waited: float = 0.0  # seconds in which nothing ran but a question stood on the screen
    cancelled: threading.Event = field(default_factory=threading.Event)
    asked_to: str | None = None  # pause | cancel, by another process
    spans: Spans = field(default_factory=Spans)

    def __post_init__(self) -> None:
        self.observer = Shielded(self.observer, self.warn)
        self.graph = Graph(self.plan.steps)
        self._sessions: set[Session] = set()
        self._guard = threading.Lock()
        #: step id -> by whom it was approved with an earlier step, the statements that were shown then, and on which terminal
        self._agreed: dict[str, tuple[str, frozenset[str], str | None]] = {}

    @cached_property
    def facts(self) -> PlannedWork | None:
        """The run as the backlog sees it, when it begins; None where no later plan would take up what it leaves."""
        if self.job.agent.by_hand:
            return None
        # What the role may not do is needed all the same.
        kept = {(work_of(one.tool), name): None for one in self.plan.left_out for name in (one.object, "")}
        return PlannedWork(
            target=self.job.target.name,
            agent=self.job.agent.type,
            inputs=digest(self.plan.task.input_data),
            called_for={**kept, **called_for(self.plan.steps)},
            window=max(0.0, left) if math.isfinite(left := self.options.left) else None,
        )

    @cached_property
    def headway(self) -> Progress:
        """How far its steps are, for who looks from elsewhere."""
        from aishell.state.progress import Progress  # a dry run needs none

        return Progress(self.runs.store, self.id, self.owner)

    @property
    def task_id(self) -> str:
        return self.plan.task.task_id

    @property
    def total(self) -> int:
        return len(self.plan.steps)

    def enter(self, state: RunState, **told: Any) -> None:
        """Write down another state of the run, and tell the hooks."""
        old = self.runs.change_state(self.id, self.owner, state, **told)
        self.warn(self.job.hooks.state_changed(self.id, old, state))

    def event(self, kind: str, step: Step | None, /, **facts: Any) -> None:
        """Write something into the audit log that happened in the run, or in one of its steps."""
        self.runs.event(kind, facts, run_id=self.id, step_index=None if step is None else step.index)

    def heed(self, asked: str | None) -> None:
        """Remember that another process asks the run to pause or to end."""
        self.asked_to = self.asked_to or asked

    def warn(self, errors: Sequence[AishellError]) -> None:
        """What went wrong beside the work, and changed nothing of it: told, recorded, and a warning of the result."""
        for error in errors:
            self.event("error_occurred", None, message=error.message, hint=error.hint)
            self.warnings.append(error.message)
            self.observer.said(f"{error.message} ({error.hint})" if error.hint else error.message)

    def progress(self, step: Step, done: float, total: float, label: str) -> None:
        """A step is so far: told to who looks on, and now and then written down for who looks from elsewhere."""
        self.observer.step_progress(step, done, total, label)
        self.headway.note(step.index, done, total, label)

    def marker(self, step: Step) -> str:
        """What this run's statements for a step are labelled with on the server."""
        return f"aishell:{self.id[:8]}:{step.index}"

    def lookup(self, reference: Reference) -> Any:
        """The value of a reference. Raises NoOutputError for a skipped step, StepError for a missing value."""
        if reference.root == "output":
            step = self.graph.referenced(reference)
            result = self.results.get(step.id) if step else None
            if result is None or result.output is None:
                raise NoOutputError(f"{reference.told} is not known: the step gave no output")
            return walk(result.output, reference)
        return walk(self._root(reference.root), reference)

    def _root(self, name: str) -> Mapping[str, Any]:
        if name == "run":
            return {"id": self.id}
        if name == "target":
            target, server = self.job.target, self.job.known_server()
            return {
                "name": target.name,
                "engine": server.engine,
                "environment": target.environment,
                "database": server.database,
                "url": self.job.database.credentials.display,
            }
        task = self.plan.task
        return {field_: getattr(task, field_) for field_ in type(task).__dataclass_fields__}

    def agree(self, request: Request, answer: Answer) -> None:
        """Remember what an answer for all of a tool covers beside the step that it was given to."""
        if isinstance(answer, Approve) and answer.all_of_tool:
            by = f"{answer.by} (all {request.tool.name}, at {request.step.id})"
            shown = ((o.step_id, frozenset(s.sql for s in o.statements)) for o in request.others)
            self._agreed |= {step_id: (by, statements, answer.terminal) for step_id, statements in shown}

    def agreed(self, request: Request) -> Approve | None:
        """The answer that was given with an earlier step, if this one sends what was shown then, and is not reviewed."""
        by, shown, terminal = self._agreed.get(request.step.id, ("", frozenset[str](), None))
        sent = {statement.sql for statement in request.statements}
        if not sent or not sent <= shown or request.level != "confirm":
            return None
        return Approve(by, reason="approved with an earlier step of this tool", terminal=terminal)

    def session(self, session: Session, active: bool) -> None:
        """Remember a session while it runs a statement, so that an interrupt can cancel it on the server."""
        with self._guard:
            (self._sessions.add if active else self._sessions.discard)(session)

    def cancel(self) -> None:
        """Start nothing more and cancel what runs, on the server."""
        self.cancelled.set()
        with self._guard:
            running = list(self._sessions)
        for session in running:
            session.cancel()

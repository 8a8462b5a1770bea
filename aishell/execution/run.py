"""A run in progress: its identity, its options, and the results of its steps so far."""

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
    """Follows a run. Called from several threads; one that raises is not called again."""

    def step_started(self, step: Step, total: int) -> None: ...
    def step_progress(self, step: Step, done: float, total: float, label: str) -> None: ...
    def step_ended(self, step: Step, result: StepResult) -> None: ...
    def notice(self, text: str) -> None: ...


class Silent:
    """An observer that ignores everything."""

    def step_started(self, step: Step, total: int) -> None: ...
    def step_progress(self, step: Step, done: float, total: float, label: str) -> None: ...
    def step_ended(self, step: Step, result: StepResult) -> None: ...
    def notice(self, text: str) -> None: ...


class Shielded:
    """An observer that may raise: its first error goes to `warn`, it is not called again, and the run continues."""

    def __init__(self, observer: Observer, warn: Callable[[Sequence[AishellError]], None]) -> None:
        self._observer, self._warn = observer, warn

    def step_started(self, step: Step, total: int) -> None:
        self._tell(lambda observer: observer.step_started(step, total))

    def step_progress(self, step: Step, done: float, total: float, label: str) -> None:
        self._tell(lambda observer: observer.step_progress(step, done, total, label))

    def step_ended(self, step: Step, result: StepResult) -> None:
        self._tell(lambda observer: observer.step_ended(step, result))

    def notice(self, text: str) -> None:
        self._tell(lambda observer: observer.notice(text))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        try:
            call(self._observer)
        except Exception as error:  # a screen that is gone, or a caller's code
            self._observer = Silent()
            self._warn([unexpected(error, "the progress display")])


@dataclass(frozen=True)
class Options:
    """The options of a run. `deadline`: seconds of the monotonic clock; `until`: an instant of the wall clock."""

    yes: bool = False
    interactive: bool = False
    jobs: int = 1
    deadline: float | None = None
    standing: StandingApproval | None = None
    until: datetime | None = None

    @property
    def left(self) -> float:
        """Seconds in which further steps may begin, by the clock that has less left; infinite where nothing limits the run.

        Both clocks count: Linux stops the monotonic clock during suspend, and the wall clock can be set back.
        """
        ends = [] if self.deadline is None else [self.deadline - time.monotonic()]
        ends += [] if self.until is None else [self.until.timestamp() - time.time()]
        return min(ends, default=math.inf)


class NoOutputError(StepError):
    """A referenced step has no output, because it was skipped."""


def blank(step: Step, status: StepStatus, **known: Any) -> StepResult:
    """The result of a step that did not run, with the parameters of the plan and the fields in `known`."""
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
    #: Steps that earlier processes began, with what those had done.
    begun: dict[str, StepResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed_hooks: list[dict[str, Any]] = field(default_factory=list)  # {on, name, step_id, reason}
    end_hooks_called: bool = False
    guarded: set[str] = field(default_factory=set)  # steps whose hooks before were called: those after them follow
    waited: float = 0.0  # seconds in which nothing ran and a prompt was open
    cancelled: threading.Event = field(default_factory=threading.Event)
    stop_request: str | None = None  # pause | cancel, by another process
    spans: Spans = field(default_factory=Spans)

    def __post_init__(self) -> None:
        self.observer = Shielded(self.observer, self.warn)
        self.graph = Graph(self.plan.steps)
        self._sessions: set[Session] = set()
        self._guard = threading.Lock()
        #: step id -> who approved it together with an earlier step, the statements shown then, and the terminal
        self._agreed: dict[str, tuple[str, frozenset[str], str | None]] = {}

    @cached_property
    def facts(self) -> PlannedWork | None:
        """The run as the backlog sees it when it begins; None where no later plan would take up what it leaves."""
        if self.job.agent.by_hand:
            return None
        # Work that the role lacks privileges for is still needed.
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
        """The progress of its steps, for other processes to read."""
        from aishell.state.progress import Progress  # a dry run needs none

        return Progress(self.runs.store, self.id, self.owner)

    @property
    def task_id(self) -> str:
        return self.plan.task.task_id

    @property
    def total(self) -> int:
        return len(self.plan.steps)

    def enter(self, state: RunState, **details: Any) -> None:
        """Record a new state of the run, and inform the hooks."""
        old = self.runs.change_state(self.id, self.owner, state, **details)
        self.warn(self.job.hooks.state_changed(self.id, old, state))

    def event(self, kind: str, step: Step | None, /, **facts: Any) -> None:
        """Write an event of the run, or of one of its steps, into the audit log."""
        self.runs.event(kind, facts, run_id=self.id, step_index=None if step is None else step.index)

    def heed(self, request: str | None) -> None:
        """Remember that another process has asked the run to `pause` or to `cancel`."""
        self.stop_request = self.stop_request or request

    def warn(self, errors: Sequence[AishellError]) -> None:
        """Report errors that did not affect the work: to the observer, in the audit log, and as warnings of the result."""
        for error in errors:
            self.event("error_occurred", None, message=error.message, hint=error.hint)
            self.warnings.append(error.message)
            self.observer.notice(f"{error.message} ({error.hint})" if error.hint else error.message)

    def progress(self, step: Step, done: float, total: float, label: str) -> None:
        """Report the progress of a step to the observer, and from time to time to other processes."""
        self.observer.step_progress(step, done, total, label)
        self.headway.note(step.index, done, total, label)

    def marker(self, step: Step) -> str:
        """The label of this run's statements for a step on the server."""
        return f"aishell:{self.id[:8]}:{step.index}"

    def lookup(self, reference: Reference) -> Any:
        """The value of a reference. Raises NoOutputError for a skipped step, StepError for a missing value."""
        if reference.root == "output":
            step = self.graph.referenced(reference)
            result = self.results.get(step.id) if step else None
            if result is None or result.output is None:
                raise NoOutputError(f"{reference.told} is not known: the step has no output")
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
        """Remember which further steps an answer for all steps of a tool covers."""
        if isinstance(answer, Approve) and answer.all_of_tool:
            by = f"{answer.by} (all {request.tool.name}, at {request.step.id})"
            shown = ((o.step_id, frozenset(s.sql for s in o.statements)) for o in request.others)
            self._agreed |= {step_id: (by, statements, answer.terminal) for step_id, statements in shown}

    def agreed(self, request: Request) -> Approve | None:
        """The answer given with an earlier step, if this step sends only what was shown then and needs no review."""
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
        """Start nothing more and cancel running statements on the server."""
        self.cancelled.set()
        with self._guard:
            running = list(self._sessions)
        for session in running:
            session.cancel()

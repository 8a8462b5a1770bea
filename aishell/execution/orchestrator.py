"""Walks a plan's graph: starts steps that are ready, prompts in the main thread, stops at the window's end or on Ctrl-C."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from types import FrameType
from typing import Any

from aishell.codec import plain
from aishell.databases.base import TargetLock
from aishell.engines import profile
from aishell.errors import AishellError, DatabaseError, HeldError, HookError, InterruptedRunError, WaitingError
from aishell.execution import hooking, rollback
from aishell.execution.closing import CLOSED
from aishell.execution.executor import Earlier, InterruptedStepError, execute
from aishell.execution.recording import skipped
from aishell.execution.result import Ending
from aishell.execution.run import Run, blank
from aishell.models import Cause, Step, StepResult, StepStatus
from aishell.planning.hooking import due
from aishell.planning.variables import named_tables
from aishell.reporting.units import about, duration
from aishell.safety.approval import Answer, Approver, Later, Request
from aishell.telemetry.logs import log_context
from aishell.telemetry.spans import Value
from aishell.telemetry.tracebacks import unexpected

Key = tuple[str, str]
EVERYTHING: Key = ("*", "*")
#: Seconds after which a wait for messages wakes up. A Ctrl-C just before the thread goes to sleep does not wake it (the C
#: handler has run, Python's runs only when the thread does) and would go unnoticed until the step ends, hours later.
LOOK_UP = 1.0


class Orchestrator:
    """One walk over one run's plan. Steps run on worker threads; this thread schedules, prompts and receives Ctrl-C."""

    def __init__(self, run: Run, lock: TargetLock, prompt: Approver, earlier: dict[str, Earlier] | None = None) -> None:
        self.run, self.lock, self.prompt, self.earlier = run, lock, prompt, earlier or {}
        run.ask = self.ask
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()  # a signal handler may put into it
        self.active: dict[str, frozenset[Key]] = {}
        self.ready: list[Step] = []
        self.waiting: list[str] = []
        self.refused: list[tuple[str | None, HookError]] = []
        self.stopped: str | None = None
        self.broken: AishellError | None = None
        self.failed_step: str | None = None
        self._put_off: Later | None = None  # the answer that ended all prompts
        self._interrupts = 0
        self._prompting = False  # a prompt is on the screen

    def walk(self) -> Ending:
        """Run every step that can run; return when none runs and none may start."""
        self.graph = self.run.graph.sorter()
        self.failed_step = self._failed_before()
        pool = ThreadPoolExecutor(self.run.options.jobs, thread_name_prefix="aishell-step")
        try:
            with self._handling_signals():
                self._collect()
                self._start(pool)
                while self.active:
                    self._handle_message()
                    self._start(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # a second Ctrl-C leaves at once
        if self.stopped is None and self.run.stop_request:
            self.stopped = "cancelled" if self.run.stop_request == "cancel" else "paused"
        return Ending(tuple(self.waiting), self.stopped, self.broken, self.failed_step, tuple(self.refused))

    def _failed_before(self) -> str | None:
        """The step whose failure an earlier process recorded, but was killed before it acted on."""
        known = ((step, self.run.results.get(step.id)) for step in self.run.plan.steps)
        failed = (s.id for s, r in known if r and r.status is StepStatus.FAILED and s.on_error != "continue")
        return next(failed, None)

    def _collect(self) -> None:
        """Make ready every step whose needs are done; steps that an earlier process finished are done already."""
        while fresh := self.graph.get_ready():
            for step_id in fresh:
                step, result = self.run.graph.by_id[step_id], self.run.results.get(step_id)
                if result is None:
                    self.ready.append(step)
                elif not self._doubtful(step, result):
                    self.graph.done(step_id)
        self.ready.sort(key=lambda step: step.index)

    def _start(self, pool: ThreadPoolExecutor) -> None:
        for step in list(self.ready):
            if self._halted():
                return
            keys = self._keys(step)
            if len(self.active) >= self.run.options.jobs or self._conflict(keys):
                continue
            hold = self.run.runs.held(self.run.id)
            if hold is not None:
                self._held(hold.refusal())
                return
            self.ready.remove(step)
            hindered = self._hindered(step)
            if hindered is not None:
                self._end(step, skipped(self.run, step, *hindered))
                self._start(pool)
                return
            if not self.lock.alive():
                self.broken = AishellError(
                    "the lock in the target was lost", hint="see what ended the session, then resume the run"
                )
                return
            try:
                self.run.job.database.stay()
            except DatabaseError as error:
                self.broken = AishellError(error.message, hint=error.hint)
                return
            self.active[step.id] = keys
            pool.submit(copy_context().run, self._work, step)

    def _work(self, step: Step) -> None:
        try:
            facts: dict[str, Value | None] = {
                "aishell.run.id": self.run.id,
                "aishell.step.id": step.id,
                "aishell.step.index": step.index,
                "aishell.tool": step.tool,
            }
            with (
                log_context(step_id=step.id, tool=step.tool),
                self.run.spans.step(step.tool, self.run.marker(step), facts) as span,
            ):
                result = execute(self.run, step, self.earlier.get(step.id))
                span.tell({"aishell.step.status": result.status.value, "aishell.step.attempts": result.attempts})
                if result.status in (StepStatus.FAILED, StepStatus.IN_DOUBT):
                    span.failed(result.status.value)
            hooking.step_over(self.run, step, result)
            self.messages.put(("ended", (step, result)))
        except BaseException as error:
            hooking.step_over(self.run, step, None, error)
            self.messages.put(("raised", (step, error)))

    def _message(self) -> tuple[str, Any]:
        while True:
            with suppress(queue.Empty):
                return self.messages.get(timeout=LOOK_UP)

    def _handle_message(self) -> None:
        kind, payload = self._message()
        if kind == "interrupted":
            self._interrupted()
            return
        if kind == "ask":
            self._answer(*payload)
            return
        step, outcome = payload
        del self.active[step.id]
        if kind == "ended":
            self._end(step, outcome)
        elif isinstance(outcome, WaitingError):
            self.waiting.append(f"{outcome.message} ({outcome.hint})")
        elif isinstance(outcome, (InterruptedStepError, InterruptedRunError)):
            if isinstance(outcome, InterruptedStepError):  # else a hook ran, and the step has not begun
                self.run.results[step.id] = outcome.result
            if self.run.stop_request is None:
                self.stopped = "interrupted"
        elif isinstance(outcome, HookError):
            self.refused.append((step.id, outcome))
            known = self.run.begun.get(step.id) or blank(step, StepStatus.PENDING)
            self.run.begun[step.id] = replace(known, reason=outcome.message)
        elif isinstance(outcome, HeldError):  # the hold was placed while the step was judged or approved
            self._held(outcome)
        else:
            self.broken = outcome if isinstance(outcome, AishellError) else unexpected(outcome)
            self.failed_step = step.id

    def _held(self, hold: HeldError) -> None:
        """Begin no further step; those that run go on to their end."""
        if self.stopped is None:
            self.stopped = "held"
            self.waiting.append(f"{hold.message} ({hold.hint})")
            self.run.observer.notice(f"no new step: {hold.message}")

    def ask(self, request: Request) -> Answer:
        """Called by a worker: prompt in the main thread, where Ctrl-C can interrupt the prompt."""
        reply: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.messages.put(("ask", (request, reply)))
        return reply.get()

    def _answer(self, request: Request, reply: queue.SimpleQueue[Answer]) -> None:
        answer: Answer = self._put_off or Later("interrupted")
        began, alone = time.monotonic(), len(self.active) == 1
        try:
            self._prompting = True
            if not self._interrupts and self._put_off is None:
                # Two steps can ask at once: the answer to one may cover the other.
                answer = self.run.agreed(request) or self.prompt(request)
                self.run.agree(request, answer)
            self._prompting = False
        except KeyboardInterrupt:
            self._prompting = False
        except Exception as error:  # the terminal is gone, or a caller's callback failed
            self._prompting = False
            self.run.warn([unexpected(error, "the prompt")])
            answer = Later("the prompt failed")
        if alone:
            self.run.waited += time.monotonic() - began
        if isinstance(answer, Later):
            self._put_off = answer
        reply.put(answer)

    def _end(self, step: Step, result: StepResult) -> None:
        self.run.results[step.id] = result
        if self._doubtful(step, result):
            return
        self.graph.done(step.id)
        if result.status is StepStatus.FAILED and step.on_error != "continue":
            self.failed_step = step.id
        self._collect()

    def _doubtful(self, step: Step, result: StepResult) -> bool:
        """Whether a step is in doubt, so that a person has to decide; steps that need it wait too."""
        if result.status is not StepStatus.IN_DOUBT:
            return False
        self.waiting.append(f"step {step.id!r} is in doubt: {result.error}")
        return True

    def _halted(self) -> bool:
        ended = self.stopped is not None or self.broken is not None or self._put_off is not None
        return ended or self.run.stop_request is not None

    def _hindered(self, step: Step) -> tuple[Cause, str] | None:
        """Why a step that is ready must not start."""
        if step.undoes is not None:
            return rollback.hindered(self.run.plan, step, self.run.results, self.run.job.pick(step.tool))
        if step.hook is not None:
            return self._no_time(step) if due(self.run.plan, self.run.results) else (Cause.CONDITION, "no step failed")
        return None if step.always else self._failed_need(step) or self._no_time(step)

    def _failed_need(self, step: Step) -> tuple[Cause, str] | None:
        """The failed or refused step without which a step cannot run, as cause and reason."""
        if self.failed_step is not None:
            return Cause.STOPPED, f"step {self.failed_step!r} failed earlier"
        outcomes = {StepStatus.FAILED: "failed", StepStatus.REJECTED: "was refused"}
        for need in sorted(self.run.graph.needs[step.id]):
            if (status := self.run.results[need].status) in outcomes:
                return Cause.NEED, f"needs step {need!r}, which {outcomes[status]}"
        return None

    def _no_time(self, step: Step) -> tuple[Cause, str] | None:
        """That a step does not fit into the rest of the window, as cause and reason."""
        left = self.run.options.left
        if left <= 0:
            return Cause.DEFERRED, f"deferred: {CLOSED}"
        if (step.estimate.seconds or 0) > left and not self._can_stop(step):
            needed = f"{about(step.estimate.seconds)} of work does not fit into the {duration(left)} left"
            return Cause.DEFERRED, f"deferred: {needed}"
        return None

    def _can_stop(self, step: Step) -> bool:
        """Whether a step can be stopped at any time and finished in another run: it works in batches."""
        return self.run.job.pick(step.tool).way.batches and not self.run.job.agent.by_hand

    def _keys(self, step: Step) -> frozenset[Key]:
        """What a step locks against other steps: its tables, or everything where the engine allows one writer."""
        if profile(self.run.job.database.engine).one_writer:
            return frozenset({EVERYTHING})
        if self.run.job.pick(step.tool).read_only:
            return frozenset()
        return frozenset(named_tables(plain(step.params))) or frozenset({EVERYTHING})

    def _conflict(self, keys: frozenset[Key]) -> bool:
        wanted = EVERYTHING in keys
        return any((wanted and held) or (EVERYTHING in held and keys) or held & keys for held in self.active.values())

    @contextmanager
    def _handling_signals(self) -> Iterator[None]:
        """Turn Ctrl-C, SIGTERM and SIGHUP into messages: an exception at any moment could lose a prompt or a step's end."""
        ours: list[int] = []
        # In other threads, and where other handlers are set, signals belong to the caller.
        if threading.current_thread() is threading.main_thread():
            every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            ours = [number for number in every if signal.getsignal(number) is signal.default_int_handler]
        for number in ours:
            signal.signal(number, self._signalled)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, signal.default_int_handler)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt  # leave at once
        self.messages.put(("interrupted", None))
        if self._prompting:
            raise KeyboardInterrupt  # out of the prompt

    def _interrupted(self) -> None:
        self.stopped = "interrupted"
        self.run.observer.notice(
            "interrupted: no new step; cancelling running statements on the server (press again to leave at once)"
        )
        threading.Thread(target=self.run.cancel, daemon=True).start()

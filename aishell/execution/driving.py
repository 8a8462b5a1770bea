"""Drives a run under its locks, from its first step or from where it stopped, to its result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from aishell.codec import plain
from aishell.commands import command
from aishell.databases.base import TargetLock
from aishell.engines import profile
from aishell.errors import AishellError, HookError, InterruptedRunError, OutgrownError, StateError
from aishell.execution import hooking, recovery, rollback
from aishell.execution.authorize import refusal
from aishell.execution.executor import Earlier
from aishell.execution.locking import holding
from aishell.execution.orchestrator import Orchestrator
from aishell.execution.preview import Preview, as_contract
from aishell.execution.recording import record
from aishell.execution.result import Ending, concluded
from aishell.execution.run import Observer, Options, Run, Silent, blank
from aishell.execution.target_context import Job
from aishell.models import Plan, RunResult, RunState, StepStatus, new_id
from aishell.safety.approval import Approver, StandingApproval
from aishell.settings.schemas import ON_ERROR
from aishell.site_files import SiteFiles
from aishell.state.connection import Record
from aishell.state.runs import check_transition, requesters, who
from aishell.telemetry.logs import log_context
from aishell.telemetry.spans import Span, Value
from aishell.telemetry.tracebacks import unexpected


@dataclass(frozen=True)
class RunDriver:
    """How the runs of a site are driven. `deadline`: seconds of the monotonic clock; `until`: an instant of the wall clock."""

    site: SiteFiles
    approve: Approver | None = None
    yes: bool = False
    jobs: int | None = None
    deadline: float | None = None
    observer: Observer | None = None
    standing: StandingApproval | None = None
    until: datetime | None = None
    started: float = field(default_factory=time.monotonic)

    def begin(
        self, planned: Preview, on_created: Callable[[str], None] | None = None, run_id: str | None = None
    ) -> RunResult:
        """Record a run of a preview's plan, and drive it.

        `run_id`: an id that was chosen before; an id is used for one run only. Raises TargetBusyError when another run holds
        the target, HeldError when the target is on hold.
        """
        job, plan, run_id = planned.job, planned.plan, run_id or new_id()
        self.site.holds.refuse(job.target.name)
        with holding(job, run_id, self.site.locks) as lock:
            owner = new_id()
            texts = {tool.source: tool.text for tool in {item.tool.name: item.tool for item in planned.steps}.values()}
            request: dict[str, Any] = {
                "engine": job.database.engine,
                "url": job.database.credentials.display,
                "environment": job.target.environment,
                "safety_level": job.level,
                "requested_by": who(),
                "requesters": requesters(),
                "plan_digest": plan.digest,
                "yes": self.yes,
                "contract": as_contract(planned),
            }
            self._look_at_the_log()
            run = self._run(run_id, owner, job, plan, self.yes)
            self.site.runs.create(
                run_id=run_id,
                owner=owner,
                plan=plain(plan),
                tools=texts,
                request=request,
                happened=job.sending.rest(),
                facts=run.facts,
            )
            if on_created is not None:
                on_created(run_id)
            run.enter(RunState.EXECUTING)
            return self._driven(run, lock, request["contract"])

    def go_on(self, job: Job, row: Record, plan: Plan, in_doubt: str | None) -> RunResult:
        """Drive a run from where it stopped. Raises OutgrownError when the target is another database, HeldError on hold."""
        self.site.holds.refuse(job.target.name)
        state, request = RunState(row.state), json.loads(row.request)
        job.registry = job.registry.with_texts(json.loads(row.tools))
        if job.refresh().identity not in (plan.target_identity, *self._successors(row.id)):
            raise OutgrownError(
                "the target is not the database the plan was made for "
                f"(was {plan.target_identity}, is {job.known_server().identity})",
                hint="check the target, or plan again",
            )
        if state is RunState.FAILED:
            self._refuse_rolled_back(row, plan)
        with holding(job, row.id, self.site.locks) as lock:
            owner = new_id()
            self._look_at_the_log()
            self.site.runs.claim(row.id, owner)
            run = self._run(row.id, owner, job, plan, self.yes or bool(request.get("yes")))
            if state is not RunState.EXECUTING:
                check_transition(state, RunState.EXECUTING)
            steps = self.site.runs.steps(run.id) if state is RunState.FAILED else []
            again = recovery.reopened(plan, steps, job.pick)
            run.enter(RunState.EXECUTING, reason="resumed", reopened=again)
            earlier = partial(self._recovered, run, in_doubt=in_doubt)
            return self._driven(run, lock, request["contract"], earlier, resumed=True)

    def _driven(
        self,
        run: Run,
        lock: TargetLock,
        contract: dict[str, Any],
        earlier: Callable[[], dict[str, Earlier]] = lambda: {},
        *,
        resumed: bool = False,
    ) -> RunResult:
        """Drive a run to its end; an unexpected exception fails it, and it can be resumed."""
        try:
            with (
                log_context(run_id=run.id, agent=run.job.agent.type, target=run.job.target.name),
                tracing(run, resumed=resumed) as span,
            ):
                outcome = self._allowed(run) or Orchestrator(run, lock, self.approve or run.ask, earlier()).walk()
                result = concluded(run, outcome, contract, self.started)
                span.tell({"aishell.run.status": result.status, "aishell.run.exit_code": result.exit_code})
                if result.exit_code == 1:  # also a run of which a part succeeded
                    span.failed(result.status)
                return result
        except AishellError as error:
            self._broken(run, error)
            raise
        except (Exception, SystemExit) as error:  # an agent may be somebody else's
            wrapped = unexpected(error)
            self._broken(run, wrapped)
            run.warn([wrapped])
            run.enter(RunState.FAILED, reason=wrapped.message)
            wrapped.hint = f"{wrapped.hint}; resume with `{command('runs', 'resume', run.id[:8])}`"
            raise wrapped from error

    def _allowed(self, run: Run) -> Ending | None:
        """Call the hooks before a run, which begins or is resumed; its ending where they stop it."""
        try:
            hooking.guard(run, "before_run")
        except HookError as error:
            return Ending(refused=((None, error),))
        except InterruptedRunError:
            endings = {"cancel": "cancelled", "pause": "paused"}
            return Ending(stopped=endings[run.stop_request] if run.stop_request else "interrupted")
        return None

    def _broken(self, run: Run, error: AishellError) -> None:
        hooking.tell(run, ON_ERROR, status="failure", error=error.message)
        hooking.tell(run, "after_run", status="failure", error=error.message)

    def _look_at_the_log(self) -> None:
        """Report and record what was removed from the audit log since the last run ended."""
        problem = self.site.runs.check_anchor()
        if problem is not None:
            (self.observer or Silent()).notice(
                f"the audit log is damaged: {problem}; see `{command('audit', 'verify')}`"
            )

    def _run(self, run_id: str, owner: str, job: Job, plan: Plan, yes: bool) -> Run:
        limit = time.monotonic() + job.config.max_duration if job.config.max_duration else None
        ends = (end for end in (self.deadline, limit) if end is not None)
        jobs = max(1, self.jobs or self.site.settings.jobs)
        options = Options(yes, self.approve is not None, jobs, min(ends, default=None), self.standing, self.until)
        spans, observer = self.site.spans, self.observer or Silent()
        return Run(run_id, owner, job, plan, self.site.runs, self.site.approvals, options, observer, spans=spans)

    def _successors(self, run_id: str) -> set[str]:
        """The identities of databases that steps of a run were about to put in the target's place."""
        begun = (json.loads(row.params) for row in self.site.runs.steps(run_id) if row.params)
        return {params["becomes"] for params in begun if params.get("becomes")}

    def _refuse_rolled_back(self, row: Record, plan: Plan) -> None:
        """Raises StateError for a run that was rolled back: its record of the steps is no longer true."""
        known = {step.step_id: recovery.result_of(plan, step) for step in self.site.runs.steps(row.id)}
        if rollback.over(plan, known):
            raise StateError(f"the run {row.id[:8]} was rolled back", hint="plan again")

    def _recovered(self, run: Run, *, in_doubt: str | None) -> dict[str, Earlier]:
        """Put finished steps into the run's results; what earlier processes left of those that were begun, by step id."""
        earlier: dict[str, Earlier] = {}
        for row in self.site.runs.steps(run.id):
            if recovery.finished(row):
                run.results[row.step_id] = recovery.result_of(run.plan, row)
                continue
            if row.attempt:  # started, interrupted, in doubt, or failed and retried: the step may have left something
                found = recovery.recover(run, row, in_doubt)
                if not isinstance(found, Earlier):
                    run.results[row.step_id] = found
                    continue
                earlier[row.step_id] = found
            self._refuse(run, row)
        return earlier

    def _refuse(self, run: Run, row: Record) -> None:
        """Reject a step whose approval was rejected or has expired: now, for its window may have closed."""
        step = run.plan.steps[row.step_index]
        refused = refusal(run, step)
        if refused is not None:
            reason, cause = refused
            known = {"attempts": row.attempt, "started_at": row.started_at}
            result = blank(step, StepStatus.REJECTED, reason=reason, cause=cause, **known)
            run.results[row.step_id] = record(run, step, result)


@contextmanager
def tracing(run: Run, *, resumed: bool) -> Iterator[Span]:
    """A run's span; inside it, each statement on the target has one. A trace covers a workflow, or a run that is in none."""
    job, task = run.job, run.plan.task
    facts = {
        "aishell.run.id": run.id,
        "aishell.agent": job.agent.type,
        "aishell.target": job.target.name if "://" not in job.target.name else None,
        "aishell.environment": job.target.environment,
        "aishell.resumed": resumed or None,
        "aishell.workflow.id": task.workflow_id,
        **{f"aishell.{name}": task.metadata.get(name) for name in ("schedule", "workflow", "stage")},
    }
    for database in job.databases:
        database.traces = run.spans.statements(_place(job))
    try:
        with run.spans.whole(f"run {job.agent.type}", task.workflow_id or run.id, facts) as span:
            yield span
    finally:
        for database in job.databases:
            database.traces = None


def _place(job: Job) -> dict[str, Value | None]:
    """Attributes that name the database, by OpenTelemetry's conventions."""
    url = job.database.credentials.url
    port = url.port or profile(url.engine).port
    return {
        "db.system.name": job.known_server().product,
        "db.namespace": job.known_server().database or url.database,
        "server.address": url.host,
        "server.port": port if url.host and not url.host.startswith("/") else None,
    }

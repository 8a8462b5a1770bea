"""A site: the few calls through which everything is done, from the command line and from Python alike."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell import locations
from aishell.agents.loading import load_agent
from aishell.databases.connections import mask_url, parse_url, unavailable
from aishell.databases.opening import open_database
from aishell.errors import DatabaseError, OutgrownError, StateError, UnknownNameError, UsageError
from aishell.execution import recovery, saved
from aishell.execution.executor import Earlier
from aishell.execution.job import Job
from aishell.execution.locking import holding
from aishell.execution.orchestrator import Orchestrator
from aishell.execution.preview import Preview, as_contract, as_result, preview
from aishell.execution.result import concluded
from aishell.execution.run import Observer, Options, Run, Silent
from aishell.models import SAFETY_LEVELS, Plan, RunResult, RunState, Task, plain
from aishell.registry.hooks import Hooks
from aishell.registry.registry import Registry
from aishell.safety import constraints
from aishell.safety.approval import Approver
from aishell.safety.locks import contradiction
from aishell.safety.policy import tighter
from aishell.settings import DEFAULT_POLICY, PRODUCTION, Policy, Settings, Target, load_policy, load_settings
from aishell.settings import load_agent as load_config
from aishell.state import history
from aishell.state.approvals import Approvals
from aishell.state.plans import load_plan
from aishell.state.runs import Runs, who
from aishell.state.store import Store
from aishell.state.transitions import RESUMABLE, check_transition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aishell.backups.vault import Vault


#: How a URL is stored that had a password.
_MASKED = ":***@"


class Site:
    """Configuration, tools and state of one folder. Use as a context manager, or call `close`."""

    def __init__(self, places: locations.Places, *, state: Path | None = None) -> None:
        self.places = places
        self.state_path = state or places.state

    @classmethod
    def open(cls, path: str | Path | None = None, *, state: Path | None = None) -> Site:
        """The site at `path`, or the one found as `locations.find` says. Reads nothing yet."""
        return cls(locations.find(path), state=state)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self.places.config)

    @cached_property
    def policy(self) -> Policy:
        return load_policy(self.places.config)

    @cached_property
    def store(self) -> Store:
        return Store.open(self.state_path)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.store)

    @cached_property
    def approvals(self) -> Approvals:
        return Approvals(self.store)

    @property
    def archives(self) -> Path:
        """The folder of archives: as configured, else `archives` beside the state."""
        base = self.places.root or self.places.state.parent
        return base / (self.settings.archives or "archives")

    @cached_property
    def vault(self) -> Vault:
        """The backups of the site: in the folder that is configured, else `backups` beside the state."""
        from aishell.backups.vault import Vault

        base = self.places.root or self.places.state.parent
        return Vault.of(self.settings, base, lambda: self.store, self.state_path.exists)

    def registry(self, engine: str | None = None) -> Registry:
        """The tools of the site, of one engine or of all."""
        return Registry.load(self.places.tools, lock_check=contradiction, engine=engine)

    def target(self, name: str | None, *, environment: str | None = None) -> Target:
        """A target by name or URL; None is the site's default. A URL is production unless it is a SQLite file of the site."""
        wanted = name or self.settings.default_target
        if wanted is None:
            raise UsageError(
                "no target is named", hint="give --target or --url, or set default_target in config/aishell.yaml"
            )
        if "://" not in wanted:
            if wanted not in self.settings.targets:
                raise UnknownNameError(
                    "target", wanted, self.settings.targets, str(self.places.config / "targets.yaml")
                )
            known = self.settings.targets[wanted]
            return replace(known, environment=environment) if environment else known
        return Target(mask_url(wanted), wanted, environment or self._environment(wanted))

    def _environment(self, url: str) -> str:
        path = Path(url.removeprefix("sqlite:///")).absolute()
        inside = self.places.root is not None and path.is_relative_to(self.places.root.absolute())
        return "local" if url.startswith("sqlite:///") and inside else PRODUCTION

    @contextmanager
    def job(
        self, task: Task, *, environment: str | None = None, safety_level: str | None = None, look_only: bool = False
    ) -> Iterator[Job]:
        """Everything for one task on one target. Raises UsageError (exit 2) for whatever is wrong before anything is touched.

        `look_only`: not even what a crashed writer left in a SQLite file is rolled back.
        """
        agent = load_agent(task.agent)
        target = self.target(task.target, environment=environment)
        config = load_config(self.places.config, agent.type, agent.defaults)
        policy = self.policy
        in_force = constraints.build((*policy.constraints, *config.constraints))
        level = tighter(tighter(self.settings.safety_level, config.safety_level), safety_level)
        credentials = parse_url(target.url, password=target.password())
        database = open_database(credentials)
        database.may_write = not look_only
        inputs = dict(task.input_data)
        if target.binlog and "binlog" in agent.inputs:
            inputs.setdefault("binlog", target.binlog)
        if target.pgbackrest and "pgbackrest" in agent.inputs:
            inputs.setdefault("pgbackrest", asdict(target.pgbackrest))
        if config.create_backup and "create_backup" in agent.inputs:
            inputs.setdefault("create_backup", True)
        if config.retention and "rules" in agent.inputs:
            inputs.setdefault("rules", [dict(rule) for rule in config.retention])
        elif config.retention:
            inputs.setdefault("retention", dict(config.retention[0]))
        if self.settings.backup_copies and "copy" in agent.inputs:
            inputs.setdefault("copy", True)
        if "archive_to" in inputs:
            from aishell.archives.shelf import inside

            inputs["archive_to"] = str(inside(self.archives, inputs["archive_to"]).relative_to(self.archives.resolve()))
        named = replace(
            task, agent=agent.type, target=target.name, task_id=task.task_id or uuid.uuid4().hex, input_data=inputs
        )
        job = Job(
            task=named,
            target=target,
            database=database,
            registry=self.registry(database.engine),
            agent=agent,
            config=config,
            policy=policy,
            constraints=in_force,
            level=level,
            hooks=Hooks.load(self.settings.hooks),
            archives=self.archives,
            backups=self.vault,
            inspector=open_database(parse_url(target.inspection_url)) if target.inspection_url else None,
        )
        try:
            agent.check_inputs(job.task)
            try:
                job.known_server()
            except DatabaseError as error:
                raise unavailable(credentials, error) from error
            yield job
        finally:
            job.close()

    @contextmanager
    def look(self, target: Target) -> Iterator[Job]:
        """A job that can only look, and needs neither policy nor agents nor the site's own tools: for checks of a target."""
        database = open_database(parse_url(target.url, password=target.password()))
        database.may_write = False
        registry = Registry.load((locations.built_in("tools"),), lock_check=contradiction, engine=database.engine)
        agent = load_agent("maintenance")
        task = Task(agent.type, target.name)
        job = Job(task, target, database, registry, agent, agent.defaults, DEFAULT_POLICY, (), SAFETY_LEVELS[-1])
        try:
            yield job
        finally:
            job.close()

    def plan(
        self,
        task: Task | Job,
        *,
        environment: str | None = None,
        safety_level: str | None = None,
        look_only: bool = False,
    ) -> Preview:
        """Inspect and plan; nothing is written to the target or the state."""
        if isinstance(task, Task):
            with self.job(task, environment=environment, safety_level=safety_level, look_only=look_only) as job:
                return self.plan(job)
        past, left = self._memory(task.target.name)
        return preview(task, history=past, deferred=left)

    def present(
        self,
        plan: Plan,
        *,
        url: str | None = None,
        environment: str | None = None,
        safety_level: str | None = None,
        look_only: bool = False,
    ) -> Preview:
        """A saved plan as it would run now, to be given to `run`. `url` is the target again, where the plan's has no password.

        Raises OutgrownError, naming what has changed, when the database or a tool is no longer what the plan was made for.
        """
        if url is None and _MASKED in plan.task.target:
            raise UsageError("passwords are not saved with a plan", hint=f"give --url for {plan.task.target}")
        task = replace(plan.task, target=url or plan.task.target)
        with self.job(task, environment=environment, safety_level=safety_level, look_only=look_only) as job:
            return saved.present_saved(job, plan)

    def _memory(self, target: str) -> tuple[Mapping[Any, Any], frozenset[str]]:
        if not self.state_path.exists():
            return {}, frozenset()
        return history.load(self.store, target), history.deferred(self.store, target)

    def preview_result(self, planned: Preview) -> RunResult:
        """A plan as a result of its own: `--dry-run`."""
        return as_result(planned)

    def run(
        self,
        planned: Task | Preview,
        *,
        approve: Approver | None = None,
        yes: bool = False,
        jobs: int | None = None,
        deadline: float | None = None,
        observer: Observer | None = None,
        on_created: Any = None,
    ) -> RunResult:
        """Execute a plan, or plan a task and execute that. `approve` answers for steps that ask; without it they wait.

        `deadline` in seconds of the monotonic clock. Raises TargetBusyError when another run holds the target.
        """
        if isinstance(planned, Task):
            planned = self.plan(planned)
        job, plan, run_id = planned.job, planned.plan, uuid.uuid4().hex
        started = time.monotonic()
        try:
            with holding(job, run_id, self._locks()) as lock:
                owner = uuid.uuid4().hex
                texts = {
                    tool.source: tool.text for tool in {item.tool.name: item.tool for item in planned.steps}.values()
                }
                request: dict[str, Any] = {
                    "engine": job.database.engine,
                    "url": job.database.credentials.display,
                    "environment": job.target.environment,
                    "safety_level": job.level,
                    "requested_by": who(),
                    "plan_digest": plan.digest,
                    "yes": yes,
                    "contract": as_contract(planned),
                }
                self.runs.create(run_id=run_id, owner=owner, plan=plain(plan), tools=texts, request=request)
                if on_created is not None:
                    on_created(run_id)
                run = self._run(
                    run_id,
                    owner,
                    job,
                    plan,
                    _options(job, approve, yes, jobs or self.settings.jobs, deadline),
                    observer,
                )
                run.enter(RunState.EXECUTING)
                outcome = Orchestrator(run, lock, approve or run.ask).walk()
                return concluded(run, outcome, request["contract"], started)
        finally:
            job.close()

    def resume(
        self,
        run_id: str,
        *,
        approve: Approver | None = None,
        yes: bool = False,
        jobs: int | None = None,
        deadline: float | None = None,
        observer: Observer | None = None,
        url: str | None = None,
        in_doubt: str | None = None,
    ) -> RunResult:
        """Go on where a run stopped: finished steps are not repeated, started ones are looked up in the database.

        Raises OutgrownError when the target is another one or the stored plan was changed.
        """
        row = self.runs.find(run_id)
        state = RunState(row.state)
        if state not in RESUMABLE:
            raise StateError(f"the run {row.id[:8]} is {state.value}; there is nothing to resume")
        plan, request = load_plan(row.plan), json.loads(row.request)
        if plan.digest != row.plan_digest:
            raise OutgrownError(
                f"the stored plan of {row.id[:8]} was changed after it was made",
                hint="make a new plan with `aishell run`",
            )
        started = time.monotonic()
        task = replace(plan.task, target=url or (request["url"] if "://" in row.target else row.target))
        with self.job(task, environment=request["environment"], safety_level=request["safety_level"]) as job:
            job.registry = job.registry.with_texts(json.loads(row.tools))
            if job.refresh().identity not in (plan.target_identity, *self._successors(row.id)):
                raise OutgrownError(
                    "the target is not the database the plan was made for "
                    f"(was {plan.target_identity}, is {job.known_server().identity})",
                    hint="check the target, or make a new plan with `aishell run`",
                )
            with holding(job, row.id, self._locks()) as lock:
                owner = uuid.uuid4().hex
                self.runs.claim(row.id, owner)
                options = _options(job, approve, yes or bool(request.get("yes")), jobs or self.settings.jobs, deadline)
                run = self._run(row.id, owner, job, plan, options, observer)
                if state is not RunState.EXECUTING:
                    check_transition(state, RunState.EXECUTING)
                run.enter(RunState.EXECUTING, reason="resumed")
                earlier = self._recovered(run, again=state is RunState.FAILED, in_doubt=in_doubt)
                outcome = Orchestrator(run, lock, approve or run.ask, earlier).walk()
                return concluded(run, outcome, request["contract"], started)

    def _successors(self, run_id: str) -> set[str]:
        """The identities of what steps of a run were about to put in the target's place."""
        begun = (json.loads(row.params) for row in self.runs.steps(run_id) if row.params)
        return {params["becomes"] for params in begun if params.get("becomes")}

    def _recovered(self, run: Run, *, again: bool, in_doubt: str | None) -> dict[str, Earlier]:
        earlier: dict[str, Earlier] = {}
        for row in self.runs.steps(run.id):
            if recovery.finished(row, again=again):
                run.results[row.step_id] = recovery.result_of(run, row)
            elif row.attempt:  # started, interrupted, in doubt, or failed and tried again: it may have left something
                found = recovery.recover(run, row, in_doubt)
                if isinstance(found, Earlier):
                    earlier[row.step_id] = found
                else:
                    run.results[row.step_id] = found
        return earlier

    def _run(self, run_id: str, owner: str, job: Job, plan: Plan, options: Options, observer: Observer | None) -> Run:
        return Run(run_id, owner, job, plan, self.runs, self.approvals, options, observer or Silent())

    def run_lock(self, run_id: str) -> Path:
        """The file that the process driving a run holds locked."""
        return self._locks() / f"run-{run_id}.lock"

    def _locks(self) -> Path:
        return self.state_path.parent / ".aishell-locks"


def _options(job: Job, approve: Approver | None, yes: bool, jobs: int, deadline: float | None) -> Options:
    limit = time.monotonic() + job.config.max_duration if job.config.max_duration else None
    ends = [end for end in (deadline, limit) if end is not None]
    return Options(yes, approve is not None, max(1, jobs), min(ends) if ends else None)

"""A site: the few calls that do everything, for the command line and for Python alike.

The dry run is the most frequent command, so what it does not need is imported only where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aishell import locations
from aishell.agents import monitoring
from aishell.agents.base import Onlooker, Surroundings
from aishell.agents.configuration import configured
from aishell.agents.loading import agent_types, load_agent
from aishell.codec import canonical
from aishell.databases.connections import parse_url, unavailable
from aishell.databases.opening import open_database
from aishell.databases.sameness import same_database
from aishell.databases.urls import URL, read_url
from aishell.engines import profile
from aishell.errors import DatabaseError, OutgrownError, StateError, UnknownNameError, UsageError
from aishell.execution.preview import Preview, as_result, preview
from aishell.execution.target_context import Job, Rereading, Rules
from aishell.files import stamp
from aishell.models import SAFETY_LEVELS, AgentConfig, Left, Plan, RunResult, RunState, Task, new_id
from aishell.registry.hooks import Hooks
from aishell.registry.registry import Registry
from aishell.safety import constraints
from aishell.safety.locks import contradiction
from aishell.safety.policy import tighter
from aishell.settings.policy import DEFAULT_POLICY, load_policy
from aishell.settings.targets import PRODUCTION, Target, check_environment
from aishell.settings.whole_servers import named_in
from aishell.site_files import SiteFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from aishell.agents.base import Agent
    from aishell.execution.proposing import Proposer
    from aishell.execution.run import Observer
    from aishell.execution.servers import Servers
    from aishell.safety.approval import Approver, StandingApproval

#: Who chooses the steps of a plan: the agent's rules, or a language model, among these steps and tools offered to it.
PLANNERS = RULES, LLM = "rules", "llm"


class Site(SiteFiles):
    """A site and its operations. Use as a context manager, or call `close`."""

    def registry(self, engine: str | None = None) -> Registry:
        """Return the site's tools, for one engine or all."""
        return Registry.load(self.places.tools, lock_check=contradiction, engine=engine)

    def target(self, name: str | None, *, environment: str | None = None) -> Target:
        """Return a target by name or URL; None means the site's default.

        The URL of a configured target means that target. Any other is production, unless it is a SQLite file in the
        site. Raises UsageError if `environment` contradicts a target's configuration.
        """
        if environment is not None:
            check_environment(environment)
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
            self._check_environment(known, environment)
            return known
        url = read_url(wanted)
        same = [known for known in self._leading_to(url) if same_database(url, read_url(known.url))]
        if same:
            known = min(same, key=lambda target: target.environment != PRODUCTION)
            self._check_environment(known, environment)
            return replace(known.without_password(), url=wanted)
        return Target(str(read_url(wanted)), wanted, environment or self._environment(wanted))

    def _leading_to(self, url: URL) -> Iterator[Target]:
        """Yield the targets that a URL may mean; for a whole server, the target of the database in the URL."""
        for known in self.settings.targets.values():
            if not known.databases:
                yield known
            elif url.engine == read_url(known.url).engine and (name := named_in(url)) and known.takes(name):
                yield known.of(name)

    @cached_property
    def servers(self) -> Servers:
        """The whole servers among the targets, with the databases listed so far."""
        from aishell.execution.servers import Servers

        return Servers(self, self.look)

    def refuse_held(self, wanted: str | None, *, environment: str | None = None) -> None:
        """Raise HeldError if a target is on hold, before any work on it. `wanted` is as for `target`."""
        holds = self.held()
        name = self.target(wanted, environment=environment).name if holds else ""
        for hold in holds:
            if hold.covers(name):
                raise hold.refusal()

    def _check_environment(self, known: Target, environment: str | None) -> None:
        if environment not in (None, known.environment):
            raise UsageError(
                f"the target {known.name} is {known.environment}, not {environment}",
                hint=f"--environment says what a URL is that leads to no target; that of {known.name} stands in "
                f"{self.places.config / 'targets.yaml'}",
            )

    def _environment(self, url: str) -> str:
        path = Path(url.removeprefix("sqlite:///")).absolute()
        inside = self.places.root is not None and path.is_relative_to(self.places.root.absolute())
        return "local" if url.startswith("sqlite:///") and inside else PRODUCTION

    def governing(
        self, agent: Agent, safety_level: str | None = None
    ) -> tuple[AgentConfig, list[constraints.Constraint], str]:
        """Return what governs an agent: its configuration, its constraints with the policy's, the safety level."""
        config = self._config(agent)
        in_force = constraints.build((*self.policy.constraints, *config.constraints), self.known)
        return config, in_force, tighter(tighter(self.settings.safety_level, config.safety_level), safety_level)

    def surroundings(self, target: Target, config: AgentConfig) -> Surroundings:
        """Return the surroundings of an agent with this configuration."""
        return Surroundings(target, config, self.settings, self.archives, lambda: self.backup_store)

    def _config(self, agent: Agent) -> AgentConfig:
        """Return the agent's configuration; one that stands for all also gets every other agent's constraints."""
        own = configured(self.places.config, agent)
        if not agent.stands_for_all:
            return own
        others = [configured(self.places.config, load_agent(name)) for name in self._bound_by(agent)]
        bound: dict[str, Mapping[str, Any]] = {}
        for one in (constraint for config in (own, *others) for constraint in config.constraints):
            bound.setdefault(canonical({key: value for key, value in one.items() if key != "where"}), one)
        excluded = dict.fromkeys(name for config in (own, *others) for name in config.exclude)
        return replace(own, constraints=tuple(bound.values()), own={**own.own, "exclude": list(excluded)})

    def _bound_by(self, agent: Agent) -> list[str]:
        """Return the other agents whose configurations bind this one."""
        return sorted(agent_types() - {agent.type}) if agent.stands_for_all else []

    @contextmanager
    def job(
        self, task: Task, *, environment: str | None = None, safety_level: str | None = None, look_only: bool = False
    ) -> Iterator[Job]:
        """Yield everything for one task on one target. Raises UsageError (exit 2) for errors found before any work.

        `look_only`: leave even a hot journal of a SQLite file alone.
        """
        agent = load_agent(task.agent)
        target = self.target(task.target, environment=environment)
        if target.databases:
            raise self.servers.refusal(target)
        agent.check_inputs(task)
        own_paths = [self.places.config / "agents" / f"{name}.yaml" for name in (agent.type, *self._bound_by(agent))]
        own_stamps = {path: stamp(path) for path in own_paths}
        config, in_force, level = self.governing(agent, safety_level)
        warnings = monitoring.warnings(agent.type, config.monitoring, lambda: self.notifications.services)
        policy = self.policy

        def read_anew() -> Rules:
            for path in (self.policy_path, *own_paths):
                self.trust.check(path)
            own = self._config(agent)
            now = load_policy(self.places.config, self.known, self.unearnable)
            return Rules(now, constraints.build((*now.constraints, *own.constraints), self.known))

        rereading = Rereading({self.policy_path: self.policy_stamp, **own_stamps}, read_anew)
        credentials = parse_url(target.url, password=target.password)
        database = open_database(credentials)
        database.may_write = not look_only
        inspector = open_database(parse_url(target.inspection_url)) if target.inspection_url else None
        if (
            not look_only and not profile(database.engine).is_file and self.state_path.exists()
        ):  # a check ignores the breaker
            for one in filter(None, (database, inspector)):
                one.pools.breaker = self.breakers.of(target.name, one.credentials.connect_timeout)
        inputs = agent.completed(task.input_data, self.surroundings(target, config))
        named = replace(task, agent=agent.type, target=target.name, task_id=task.task_id or new_id(), input_data=inputs)
        job = Job(
            autonomy=self.autonomy if policy.earned and self.state_path.exists() else None,
            notes=self.notes if self.state_path.exists() else None,
            task=named,
            target=target,
            database=database,
            registry=self.registry(database.engine),
            agent=agent,
            config=config,
            policy=policy,
            constraints=in_force,
            level=level,
            hooks=Hooks.load(self.settings.hooks, self.trust, self.base),
            archives=self.archives,
            open_backups=lambda: self.backup_store,
            warnings=warnings,
            rereading=rereading,
            inspector=inspector,
        )
        try:
            agent.check_inputs(job.task)
            try:
                job.known_server()
            except DatabaseError as error:
                raise unavailable(credentials, error, target.name) from error
            yield job
        finally:
            job.close()

    @contextmanager
    def look(self, target: Target) -> Iterator[Job]:
        """Yield a job that can only read, for checks of a target. It needs no policy, agents or tools of the site."""
        database = open_database(parse_url(target.url, password=target.password))
        database.may_write = False
        registry = Registry.load((locations.built_in("tools"),), lock_check=contradiction, engine=database.engine)
        agent = Onlooker()
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
        planner: str = RULES,
    ) -> Preview:
        """Inspect and plan; nothing is written to the target. `planner`: who chooses the steps, one of PLANNERS.

        With `llm`, a language model may choose among the steps that the agent plans and the tools offered to it. Its
        answer is kept in the state store. Raises SettingsError if no model is configured.
        """
        if isinstance(task, Task):
            with self.job(task, environment=environment, safety_level=safety_level, look_only=look_only) as job:
                return self.plan(job, planner=planner)
        past, left = self._memory(task.target.name, task.agent.type)
        proposer = None if planner == RULES else self._proposer(task)
        return preview(task, history=past, backlog=left, proposer=proposer)

    def _proposer(self, job: Job) -> Proposer:
        from aishell.execution.proposing import Proposer
        from aishell.state.recall import recall

        client, chosen = self.require_model(job.config.llm_config)
        about = job.task.description

        def recalled(tables: Collection[tuple[str, str]]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
            return recall(self.runs, self.notes, job.target.name, tables, about)

        return Proposer(client, chosen.num_ctx, chosen.max_tokens, recalled, self.record_model_answer)

    def present(
        self,
        plan: Plan,
        *,
        url: str | None = None,
        environment: str | None = None,
        safety_level: str | None = None,
        look_only: bool = False,
    ) -> Preview:
        """Return a saved plan as it would run now, for `run`. `url` repeats the target if the plan's has no password.

        Raises OutgrownError, naming what has changed, if the database or a tool differs from the plan's.
        """
        from aishell.execution import saved_plan

        task = replace(plan.task, target=url or plan.task.target)
        with self.job(task, environment=environment, safety_level=safety_level, look_only=look_only) as job:
            return saved_plan.present_saved(job, plan)

    def _memory(self, target: str, agent: str) -> tuple[Mapping[Any, Any], Sequence[Left]]:
        if not self.state_path.exists():
            return {}, ()
        from aishell.state import history

        return history.load(self.store, target), self.backlog.items(target, agent)

    def preview_result(self, planned: Preview) -> RunResult:
        """Return a plan as a result: `--dry-run`."""
        return as_result(planned)

    def run(
        self,
        planned: Task | Preview,
        *,
        approve: Approver | None = None,
        yes: bool = False,
        jobs: int | None = None,
        deadline: float | None = None,
        until: datetime | None = None,
        observer: Observer | None = None,
        on_created: Any = None,
        standing: StandingApproval | None = None,
        run_id: str | None = None,
    ) -> RunResult:
        """Execute a plan, or plan a task and execute it. `approve` answers approval requests; else they stay pending.

        `standing` approves steps up to a risk; `run_id`: the run's id, if already chosen. A step does not start if it
        would end after `deadline` (seconds of the monotonic clock) or `until` (an aware time of the wall clock, which
        counts sleep). Raises TargetBusyError if another run holds the target, HeldError if the target is on hold.
        """
        from aishell.execution.driving import RunDriver

        if isinstance(planned, Task):
            self.refuse_held(planned.target)
            planned = self.plan(planned)
        driver = RunDriver(self, approve, yes, jobs, deadline, observer, standing, until)
        try:
            return driver.begin(planned, on_created, run_id)
        finally:
            planned.job.close()

    def resume(
        self,
        run_id: str,
        *,
        approve: Approver | None = None,
        yes: bool = False,
        jobs: int | None = None,
        deadline: float | None = None,
        until: datetime | None = None,
        observer: Observer | None = None,
        url: str | None = None,
        in_doubt: str | None = None,
        standing: StandingApproval | None = None,
    ) -> RunResult:
        """Resume a run. Finished steps are not repeated; started ones are looked up in the database.

        Raises OutgrownError if the target or the stored plan differs, HeldError if the target is on hold.
        """
        from aishell.execution.driving import RunDriver
        from aishell.state.plans import load_plan
        from aishell.state.runs import RESUMABLE

        row = self.runs.find(run_id)
        state = RunState(row.state)
        if state not in RESUMABLE:
            raise StateError(f"the run {row.id[:8]} is {state.value}; there is nothing to resume")
        if self.runs.is_sealed(row.id):
            raise StateError(
                f"the run {row.id[:8]} cannot be resumed: its part of the audit log was sealed",
                hint="plan again",
            )
        plan, request = load_plan(row.plan), json.loads(row.request)
        if plan.digest != row.plan_digest or not self.runs.is_unchanged(row):
            raise OutgrownError(
                f"the stored run {row.id[:8]} was changed after it was made",
                hint="plan again",
            )
        self.holds.refuse(row.target)
        task = replace(plan.task, target=url or (request["url"] if "://" in row.target else row.target))
        driver = RunDriver(self, approve, yes, jobs, deadline, observer, standing, until)
        # A configured target is as configured now: it may have become production since.
        environment = request["environment"] if "://" in task.target else None
        with self.job(task, environment=environment, safety_level=request["safety_level"]) as job:
            return driver.go_on(job, row, plan, in_doubt)

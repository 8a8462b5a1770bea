"""The files of a site: configuration and state. Commands that work on no database need no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aishell import locations
from aishell.files import Stamp, stamp
from aishell.plugins import use_extensions
from aishell.trust import Trust, check_secret

if TYPE_CHECKING:
    from aishell.backups.store.backup_store import BackupStore
    from aishell.llm.client import Completion, LLMClient, Prompt
    from aishell.notifying.rules import Notifications
    from aishell.scheduling.schedules import Schedules
    from aishell.settings.language_models import ModelSettings
    from aishell.settings.policy import Earned, Policy
    from aishell.settings.settings import Settings
    from aishell.settings.targets import Target
    from aishell.settings.validation import Known
    from aishell.state.approvals import Approvals
    from aishell.state.autonomy import Autonomy
    from aishell.state.backlog import Backlog
    from aishell.state.breakers import Breakers
    from aishell.state.connection import AuditEvent, Record
    from aishell.state.conversations import Conversations
    from aishell.state.holds import Hold, Holds
    from aishell.state.notes import Notes
    from aishell.state.outbox import Outbox
    from aishell.state.runs import Runs
    from aishell.state.schedule_runs import ScheduleRuns
    from aishell.state.store import Store
    from aishell.state.workflow_runs import WorkflowRuns
    from aishell.telemetry.spans import Spans
    from aishell.workflows.workflows import Workflow


def _part(module: str, kind: str) -> Any:
    """Return a part of the state store, of the annotated type, imported and created on first use."""
    return cached_property(lambda site: getattr(import_module(f"aishell.state.{module}"), kind)(site.store))


class SiteFiles:
    """Configuration and state of one folder, read on demand. Use as a context manager, or call `close`."""

    #: Whether the audit log also gets a language model's prompts and answers, not only their digests (`--debug`).
    keeps_prompts = False

    runs: Runs = _part("runs", "Runs")
    approvals: Approvals = _part("approvals", "Approvals")
    autonomy: Autonomy = _part("autonomy", "Autonomy")
    backlog: Backlog = _part("backlog", "Backlog")
    holds: Holds = _part("holds", "Holds")
    notes: Notes = _part("notes", "Notes")
    breakers: Breakers = _part("breakers", "Breakers")
    conversations: Conversations = _part("conversations", "Conversations")
    ledger: ScheduleRuns = _part("schedule_runs", "ScheduleRuns")
    workflow_runs: WorkflowRuns = _part("workflow_runs", "WorkflowRuns")
    outbox: Outbox = _part("outbox", "Outbox")

    def __init__(self, places: locations.Places, *, state: Path | None = None, trust: Trust | None = None) -> None:
        self.places = places
        self.state_path = state or places.state
        self.trust = trust or Trust(once=True)
        self.policy_stamp: Stamp | None = None  # of the file that `policy` was read from
        #: Called with the store before the first write.
        self.at_opening: Callable[[Store], None] | None = None
        #: Called with the store and each committed batch of audit events.
        self.event_listener: Callable[[Store, Sequence[AuditEvent]], None] | None = None
        self._check()

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        state: Path | None = None,
        trust: bool = False,
        config: str | Path | None = None,
    ) -> Self:
        """Return the site at `path`, or the one that `locations.find` finds. Reads nothing yet.

        `config`: another configuration folder than the site's own, in its place.
        Raises UntrustedError if others can write its files, unless `trust` is set.
        """
        places = locations.find(path)
        if config is not None:
            places = replace(places, config=Path(config))
        return cls(places, state=state, trust=Trust(everything=trust, once=True))

    def again(self) -> Self:
        """Return the same site with its configuration read again and the state store shared. Raises UntrustedError."""
        trust = Trust(everything=self.trust.everything, once=self.trust.once)
        fresh = type(self)(self.places, state=self.state_path, trust=trust)
        if "store" in self.__dict__:
            fresh.store = self.store
        fresh.event_listener = self.event_listener
        return fresh

    def _check(self) -> None:
        """Raises UntrustedError if others can write configuration, tools, extensions or the state store."""
        if self.places.root is not None:
            self.trust.check(self.places.root)
        shipped = locations.built_in("tools")
        own = [folder for folder in self.places.tools if folder != shipped]
        for folder in (self.places.config, self.places.extensions, *own):
            self.trust.check(folder, below=True)
        use_extensions(self.places.extensions)
        self.trust.check(self.state_path.parent)
        self.trust.check(self.state_path)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()
        if "spans" in self.__dict__:
            self.spans.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def settings(self) -> Settings:
        from aishell.registry.registry import tool_names
        from aishell.settings.settings import load_settings

        self._check_files()
        settings = load_settings(self.places.config, {"tool": lambda: tool_names(self.places.tools)})
        if settings.backup_identity is not None:
            path = Path(settings.backup_identity).expanduser()
            if path.exists():  # only a restore needs it
                check_secret(path.stat(), path, "the key")
        if settings.programs is not None:
            self._check_programs(Path(settings.programs).expanduser())
        self._check_hooks(settings)
        return settings

    def _check_programs(self, folder: Path) -> None:
        """Raises UntrustedError if others can write client programs in the configured folder."""
        from aishell.registry.programs import CLIENTS

        self.trust.check(folder)
        for name in dict.fromkeys(name for names in CLIENTS.values() for name in names):
            self.trust.check(folder / name)

    def _check_files(self) -> None:
        """Raises SettingsError for a configuration file that nothing reads."""
        from aishell.agents.loading import BUILT_IN, agent_types
        from aishell.settings.files import check_files

        check_files(self.places.config, BUILT_IN, agent_types)

    def _check_hooks(self, settings: Settings) -> None:
        """Raises SettingsError for missing or unsuitable hooks, UntrustedError for commands that others can write."""
        from aishell.settings.hooks import Hook

        for hook in settings.hooks:
            if isinstance(hook, Hook) and hook.command:
                hook.check(self.base, self.trust)
            elif isinstance(hook, Hook) and hook.tool is not None:
                from aishell.databases.urls import read_url
                from aishell.planning.hooking import check_hook
                from aishell.registry.registry import Registry
                from aishell.safety.locks import contradiction

                chosen = [one for one in settings.targets.values() if hook.chooses(one.name, one.labels)]
                engines = {one.name: read_url(one.url).engine for one in chosen}
                registry = Registry.load(self.places.tools, lock_check=contradiction)
                check_hook(hook, registry.variants(hook.tool), engines)

    @property
    def base(self) -> Path:
        """The folder of the site, or of its state if it has none."""
        return (self.places.root or self.places.state.parent).absolute()

    @property
    def policy_path(self) -> Path:
        return self.places.config / "policy.yaml"

    @cached_property
    def policy(self) -> Policy:
        from aishell.settings.policy import load_policy

        self.policy_stamp = stamp(self.policy_path)
        return load_policy(self.places.config, self.known, self.unearnable)

    @property
    def target_names(self) -> list[str]:
        """The targets of runs. A whole server counts as the databases that it had when last listed."""
        from aishell.settings.whole_servers import name_of
        from aishell.state import servers

        targets = self.settings.targets
        there = any(one.databases for one in targets.values()) and self.state_path.exists()
        known = servers.known(self.store) if there else {}
        return [
            name
            for one in targets.values()
            for name in (
                [name_of(one.name, database) for database in known.get(one.name, ()) if one.takes(database)]
                if one.databases
                else [one.name]
            )
        ]

    def unearnable(self, rule: Earned) -> str | None:
        """Return why, by its tool's files, a rule of `earned` could never take effect; None if it could."""
        from aishell.registry.registry import Registry
        from aishell.safety.autonomy import fault
        from aishell.safety.locks import contradiction

        return fault(rule, Registry.load(self.places.tools, lock_check=contradiction).variants(rule.tool))

    @property
    def known(self) -> Known:
        """The names that configuration may use, looked up on demand."""
        from aishell.registry.registry import tool_names
        from aishell.settings.schemas import ENVIRONMENTS

        def targets() -> Collection[Target]:
            return self.settings.targets.values()

        return {
            "tool": lambda: tool_names(self.places.tools),
            "target": lambda: self.settings.targets,
            "label": lambda: {label for target in targets() for label in target.labels},
            "environment": lambda: {*ENVIRONMENTS, *(target.environment for target in targets())},
            "schedule": lambda: self.schedules.by_name,
        }

    @cached_property
    def schedules(self) -> Schedules:
        from aishell.agents.loading import agent_types
        from aishell.scheduling.schedules import load_schedules

        most = lambda: self.policy.preapprove_max_risk  # noqa: E731
        return load_schedules(self.places.config, self.known, agent_types, most, self.workflow)

    @property
    def workflow_files(self) -> Mapping[str, Path]:
        """The available workflows, those of the site before aishell's."""
        from aishell.workflows.workflows import names

        self._check_files()
        return names(self.places.config, locations.built_in("config"))

    def workflow(self, name: str) -> Workflow:
        """Return a workflow by name, checked. Raises UnknownNameError and SettingsError."""
        from aishell.agents.loading import agent_types
        from aishell.workflows.workflows import load_workflow

        return load_workflow(name, self.workflow_files, self.known, agent_types)

    @cached_property
    def notifications(self) -> Notifications:
        from aishell.notifying.rules import load_notifications

        return load_notifications(self.places.config, self.known)

    @cached_property
    def store(self) -> Store:
        from aishell.state.store import Store

        store = Store.open(self.state_path)
        if self.event_listener is not None:
            store.hears = partial(self.event_listener, store)
        if self.at_opening is not None:
            self.at_opening(store)
        return store

    def model(self, own: Mapping[str, Any] | None = None) -> tuple[LLMClient, ModelSettings] | None:
        """Return a client of the language model in an agent's `llm_config`, else in `llm`; None without one.

        It connects on its first request and has its own budget. Raises SettingsError for an invalid OLLAMA_HOST.
        """
        from aishell.llm.opening import open_client
        from aishell.settings.language_models import ModelSettings

        chosen = ModelSettings.of(own) if own is not None else self.settings.llm
        return None if chosen is None else (open_client(chosen, self.store), chosen)

    def require_model(self, own: Mapping[str, Any] | None = None) -> tuple[LLMClient, ModelSettings]:
        """Return the same as `model`. Raises SettingsError if no model is configured."""
        from aishell.errors import SettingsError

        found = self.model(own)
        if found is None:
            path = self.places.config / "aishell.yaml"
            raise SettingsError(
                "no language model is configured", hint=f"set `llm` in {path}, or plan by rules: --planner rules"
            )
        return found

    def record_model_answer(self, prompt: Prompt, completion: Completion, problem: str | None) -> None:
        """Record a language model's answer in the audit log. `problem`: why the answer was rejected."""
        from aishell.llm.correcting import audited
        from aishell.state import audit

        with self.store.write() as connection:
            audit.append(connection, "model_answered", audited(prompt, completion, problem, whole=self.keeps_prompts))

    def held(self) -> list[Hold]:
        """Return the holds in force, without creating a store."""
        return self.holds.in_force() if self.state_path.exists() else []

    @cached_property
    def spans(self) -> Spans:
        """The traces of runs, sent at the latest when the site is closed. Raises SettingsError."""
        from aishell.telemetry.spans import Spans

        tracing = self.settings.tracing
        if tracing is None:
            return Spans()
        from aishell.telemetry.otlp import Exported

        return Exported(tracing.address(), tracing.headers())

    @property
    def archives(self) -> Path:
        """The folder of archives: as configured, else `archives` beside the state."""
        return (self.places.root or self.places.state.parent) / (self.settings.archives or "archives")

    @cached_property
    def backup_store(self) -> BackupStore:
        """The backups of the site, in the configured folder, else in `backups` beside the state."""
        from aishell.backups.store.backup_store import BackupStore

        base = self.places.root or self.places.state.parent
        return BackupStore.of(self.settings, base, lambda: self.store, self.state_path.exists)

    def run_lock(self, run_id: str) -> Path:
        """Return the lock file of the process that drives a run."""
        return self.locks / f"run-{run_id}.lock"

    def schedule_lock(self, number: int) -> Path:
        """Return the lock file of the process that works on a row of the ledger."""
        return self.locks / f"schedule-{number}.lock"

    def workflow_lock(self, workflow_id: str) -> Path:
        """Return the lock file of the process that drives a workflow."""
        return self.locks / f"workflow-{workflow_id}.lock"

    def workflow_status(self, row: Record) -> str:
        """Return the status of a workflow's run: `interrupted` if it has not ended and no process drives it."""
        from aishell.state.locks import is_held

        dead = row.status == "running" and not is_held(self.workflow_lock(row.id))
        return "interrupted" if dead else str(row.status)

    def stage_lock(self, number: int) -> Path:
        """Return the lock file of the process that works on a workflow's stage on a target."""
        return self.locks / f"stage-{number}.lock"

    def slots(self, target: str, per_host: int | None) -> list[int] | str:
        """Take the slots for a process on a target: the site's and the machine's. Return them, or why none is free.

        The caller passes them on to the process that it starts (`state.slots`).
        """
        from aishell.state.slots import Slots

        host = self.host_of(target)
        most = self.settings.max_concurrent
        found = Slots(self.locks).take({"site": most, f"host {host}": per_host})
        if not isinstance(found, str):
            return found
        if found == "site":
            return f"{most} are at work on this site, as many as may be"
        return f"{per_host} are at work on the host {host or 'here'}, as many as may be"

    def host_of(self, target: str) -> str:
        """Return the machine that a target's work loads; empty for this host and for files."""
        known = self.settings.targets.get(target)
        return "" if known is None else known.machine

    @property
    def daemon_lock(self) -> Path:
        """The lock file of the site's daemon."""
        return self.locks / "daemon.lock"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        from aishell.state.locks import folder_of

        return folder_of(self.state_path)

"""The base class of agents, which turn a task and an inventory into a plan, and results into a summary. No I/O.

A new agent is a subclass named in the entry point group `aishell.agents`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from aishell.errors import UnknownNameError
from aishell.models import (
    ON_ERROR,
    AgentConfig,
    Finding,
    Inventory,
    LeftOut,
    Params,
    Plan,
    Row,
    Step,
    StepResult,
    Table,
    Task,
    Verdict,
)
from aishell.planning.backlog import first
from aishell.planning.estimates import remembered
from aishell.planning.leaving_out import leave_out
from aishell.settings.schemas import TEXT

if TYPE_CHECKING:
    from pathlib import Path

    from aishell.agents.vocabulary import Vocabulary
    from aishell.backups.store.backup_store import BackupStore
    from aishell.registry.tool import Tool
    from aishell.settings.settings import Settings
    from aishell.settings.targets import Target
    from aishell.settings.validation import Fault

#: Schemas that inputs share.
FLAG: dict[str, Any] = {"type": "boolean"}
NAMES: dict[str, Any] = {"type": "array", "items": TEXT}


def described(schema: Mapping[str, Any], description: str) -> dict[str, Any]:
    """Return the schema of an input with its description in `--help`."""
    return {**schema, "description": description}


def defaults_of(agent_type: str, capabilities: str, **more: Any) -> AgentConfig:
    """Return the default configuration of an agent. `capabilities` are separated by spaces."""
    return AgentConfig(f"{agent_type}_agent", agent_type, frozenset(capabilities.split()), **more)


#: The input of every agent: what the failure of a step means for the run, in place of the agent's own choice.
COMMON_INPUTS: Mapping[str, Mapping[str, Any]] = {
    "on_error": {"enum": list(ON_ERROR), "description": "What the failure of a step means for the rest of the run."}
}


def is_excluded(schema: str, table: str, excluded: Collection[str]) -> bool:
    """Return whether a glob or name excludes a table, by `table` or `schema.table`, ignoring case as SQLite does."""
    names = (table.casefold(), f"{schema}.{table}".casefold())
    return any(name == one or fnmatchcase(name, one) for one in map(str.casefold, excluded) for name in names)


@dataclass(frozen=True)
class Draft:
    """An agent's plan before it is bound to a target: the steps in order, and what was left out and why.

    `serving`: ids of steps that are useless without the steps that need them; `left_out`: what the connected role may not do.
    """

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    serving: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question of an agent beyond the inventory. The rows of the read-only tool are in `inventory.answers[name]`.

    `patience`: seconds after which an optional answer is left empty; None if the answer is required.
    """

    name: str
    tool: str
    params: Params
    patience: float | None = None


@dataclass(frozen=True)
class Surroundings:
    """The context of a task, which may supply inputs that were not given."""

    target: Target
    config: AgentConfig
    settings: Settings
    archives: Path
    open_backups: Callable[[], BackupStore]

    @property
    def backups(self) -> BackupStore:
        """The backup store, imported and opened only when an agent uses it."""
        return self.open_backups()


@dataclass(frozen=True)
class Option:
    """The option of `aishell run` for an input, if the input's name and schema do not suffice.

    `flag`: e.g. `--type`, `--create-backup/--no-backup`; None: from the name; empty: only by `--set`. `reads`: `conditions`
    for a list of filters, each as COLUMN=VALUE, `assignments` for a mapping, each key as NAME=VALUE. `implies`: inputs that
    are also set.
    """

    flag: str | None = None
    metavar: str | None = None
    reads: str = ""
    implies: Mapping[str, Any] = field(default_factory=dict)


class Agent(ABC):
    """Turns a task and an inventory into steps, and their results into a summary; does no I/O.

    Subclasses set `type`, `defaults` and `inputs` (JSON Schema of each input key; `description` is what `--help` says of it).
    """

    type: ClassVar[str]
    defaults: ClassVar[AgentConfig]
    inputs: ClassVar[Mapping[str, Mapping[str, Any]]]
    #: Command-line options of the inputs whose name and schema do not suffice.
    options: ClassVar[Mapping[str, Option]] = {}
    #: The text of `aishell run TYPE --help`, by default the docstring; and example commands.
    help: ClassVar[str] = ""
    examples: ClassVar[Sequence[str]] = ()
    #: `module:function` that adds further options to the command made from its inputs; or empty.
    extends_command: ClassVar[str] = ""
    #: Categories of tools for which it is the usual agent.
    categories: ClassVar[frozenset[str]] = frozenset()
    #: The schemas of keys of `agents/<type>.yaml` besides those of every agent (`settings.validation`).
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: `module:NAME` of its vocabulary (`agents.vocabulary.Vocabulary`), by default derived from its type, inputs and help.
    vocabulary: ClassVar[str] = ""
    #: Whether its inventory includes what killed runs left behind.
    clears: ClassVar[bool] = False
    #: Whether it works on one named backup, archive or run, so that no later plan takes up what a window left undone.
    by_hand: ClassVar[bool] = False
    #: Whether it may do the work of any agent; it is then bound by the constraints and exclusions of all of them.
    stands_for_all: ClassVar[bool] = False

    def check_settings(self, own: Mapping[str, Any]) -> Iterable[Fault]:
        """Return the faults of its own keys that their schemas cannot express."""
        return ()

    def completed(self, inputs: Params, around: Surroundings) -> dict[str, Any]:
        """Return the inputs of a task, completed from the configuration of target and agent. Raises UsageError.

        Complete inputs stay as they are, since those of a saved plan are completed again.
        """
        excluded = around.config.exclude
        if not excluded or "exclude" not in self.inputs:
            return dict(inputs)
        return {**inputs, "exclude": [*dict.fromkeys((*inputs.get("exclude", ()), *excluded))]}

    def check_inputs(self, task: Task) -> None:
        """Raise UnknownNameError or ParameterError for an input that this agent does not take."""
        from aishell.registry.schemas import check_schema

        inputs = {**COMMON_INPUTS, **self.inputs}
        for name in task.input_data:
            if name not in inputs:
                raise UnknownNameError("input", name, inputs, f"the {self.type} task")
        for name, value in task.input_data.items():
            choices = inputs[name].get("enum")
            if choices and isinstance(value, str) and value not in choices:
                raise UnknownNameError(inputs[name].get("title", name), value, filter(None, map(str, choices)))
        check_schema(dict(task.input_data), {"type": "object", "properties": inputs}, f"the {self.type} task")

    def tables(self, task: Task) -> Sequence[str]:
        """Return the names or globs of the tables of a task; empty for all tables."""
        return task.input_data.get("tables") or ()

    def needs_tables(self, task: Task) -> bool:
        """Return whether each of `tables` must exist; those of rules for many databases need not (`Inventory.absent`)."""
        return True

    def candidates(self, task: Task, inventory: Inventory) -> Sequence[Table]:
        """Return the tables worth an exact measurement before planning."""
        return ()

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        """Return the questions so far. It is called again with their answers until it returns no new ones."""
        return ()

    @abstractmethod
    def draft(self, task: Task, inventory: Inventory) -> Draft:
        """Return the steps for a task, from the findings of inspection."""

    def joined(self, step: Step, draft: Draft, inventory: Inventory, *, changes: bool) -> Step:
        """Return a step that a language model added to the draft, with the dependencies that a step of the agent would have."""
        return step

    def plan(self, task: Task, inventory: Inventory) -> Plan:
        """Return the plan for a task, from the findings of inspection."""
        return self.bound(task, inventory, self.draft(task, inventory))

    def bound(self, task: Task, inventory: Inventory, draft: Draft) -> Plan:
        """Return a plan of the steps of a draft that the connected role may run, bound to the inventory."""
        asked = task.input_data.get("on_error")
        able, left = leave_out(draft.steps, draft.serving, inventory)
        failing = (step if step.always or asked is None else replace(step, on_error=asked) for step in able)
        steps = tuple(remembered(step, inventory) for step in failing)
        return Plan(
            task=task,
            steps=first(steps, inventory.backlog, self.urgent),
            created_at=inventory.measured_at,
            inventory_digest=inventory.digest,
            target_identity=inventory.server.identity,
            summary=draft.summary,
            warnings=(*inventory.warnings, *draft.warnings),
            left_out=(*draft.left_out, *left),
        )

    @abstractmethod
    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        """Return `output_data`, and sentences on what was found, done and left undone, and why."""

    def examine(self, around: Surroundings, rows: Callable[[str], Sequence[Row]]) -> Iterable[Finding]:
        """Return findings for `aishell doctor` on a reachable target. `rows` reads with a read-only tool without parameters."""
        return ()

    def alarming(self, data: Mapping[str, Any]) -> bool:
        """Return whether `output_data` has a finding with which a run must not end as a success (exit 1)."""
        return False

    def urgent(self, step: Step) -> bool:
        """Return whether a step precedes the backlog of earlier windows."""
        return False

    def validate_safety(self, step: Step) -> Verdict | None:
        """Return the agent's own verdict on a step, which can only tighten that of the gates."""
        return None

    def check_tool(self, tool: Tool) -> None:
        """Raise UsageError for a tool that no plan of this agent may use, even one written by a user."""
        return

    def words(self) -> Vocabulary:
        """Return the vocabulary of requests for this agent."""
        from aishell.agents.vocabulary import derived

        if not self.vocabulary:
            return derived(self.type, self.inputs, self.help or self.__doc__ or "")
        module, _, name = self.vocabulary.partition(":")
        found: Vocabulary = getattr(import_module(module), name)
        return found

    def can_handle(self, task: Task) -> tuple[bool, float]:
        """Return whether this agent fits a task, and the confidence (0-1), by the agent it names or else by its description."""
        if task.agent or not task.description:
            return task.agent == self.type, 1.0 if task.agent == self.type else 0.0
        sure = self.words().bid(task.description)
        return sure > 0, sure


class Onlooker(Agent):
    """Plans nothing: for callers that inspect a target and do no work there."""

    type: ClassVar[str] = "onlooker"
    defaults: ClassVar[AgentConfig] = AgentConfig("onlooker", "onlooker", frozenset())
    inputs: ClassVar[dict[str, dict[str, Any]]] = {}

    def draft(self, task: Task, inventory: Inventory) -> Draft:
        return Draft(())

    def summarise(self, task: Task, results: Sequence[StepResult]) -> tuple[dict[str, Any], str]:
        return {}, ""

"""What an agent is: it turns a task and an inventory into a plan, and results into a summary. No I/O.

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
    """The schema of an input, with what `--help` says of it."""
    return {**schema, "description": description}


def defaults_of(agent_type: str, capabilities: str, **more: Any) -> AgentConfig:
    """How an agent is configured where no file says otherwise. `capabilities` are separated by blanks."""
    return AgentConfig(f"{agent_type}_agent", agent_type, frozenset(capabilities.split()), **more)


#: What every agent takes: what the failure of a step means for the run, other than the agent has it.
COMMON_INPUTS: Mapping[str, Mapping[str, Any]] = {
    "on_error": {"enum": list(ON_ERROR), "description": "What the failure of a step means for the rest of the run."}
}


def is_excluded(schema: str, table: str, excluded: Collection[str]) -> bool:
    """Whether a glob or a name excludes a table, by `table` or `schema.table`, in any case: SQLite's names have none."""
    names = (table.casefold(), f"{schema}.{table}".casefold())
    return any(name == one or fnmatchcase(name, one) for one in map(str.casefold, excluded) for name in names)


@dataclass(frozen=True)
class Draft:
    """An agent's plan before it is bound to a target: the steps in order, and what was left out and why.

    `serving`: the ids of steps that are there for those alone that need them; `left_out`: what the connected role may not do.
    """

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    serving: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Question:
    """What an agent has to know beyond the inventory: the rows of a reading tool, found again in `inventory.answers[name]`.

    `patience`: what can do without an answer waits so many seconds for it, and finds an empty one then.
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
        """The store that backups are kept in, imported and opened by the agents that ask."""
        return self.open_backups()


@dataclass(frozen=True)
class Option:
    """How an input is given to `aishell run`, where its name and its schema do not say it all.

    `flag`: `--type`, `--create-backup/--no-backup`; None: of its name; an empty one: by `--set` alone. `reads`: `conditions`
    for a list of filters, each as COLUMN=VALUE, `assignments` for a mapping, each key as NAME=VALUE. `implies`: inputs that
    go along.
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
    #: How inputs are given on the command line, of those of which their schema does not say it all.
    options: ClassVar[Mapping[str, Option]] = {}
    #: What `aishell run TYPE --help` says of it, by default its docstring; and commands to copy.
    help: ClassVar[str] = ""
    examples: ClassVar[Sequence[str]] = ()
    #: `module:function` that is called with the command made of its inputs, to add what is none of them; or nothing.
    extends_command: ClassVar[str] = ""
    #: Categories of tools for which it is the usual agent.
    categories: ClassVar[frozenset[str]] = frozenset()
    #: The schema of each key of `agents/<type>.yaml` beside those of every agent (`settings.validation`).
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: `module:NAME` of the words that ask for it (`agents.vocabulary.Vocabulary`), by default made of its type, inputs and help.
    vocabulary: ClassVar[str] = ""
    #: Whether its inventory includes what killed runs have left.
    clears: ClassVar[bool] = False
    #: Whether its work is about one backup, archive or run, so that no later plan takes up what a window left of it.
    by_hand: ClassVar[bool] = False
    #: Whether it may do the work of any agent; it is then bound by the constraints and exclusions of all of them.
    stands_for_all: ClassVar[bool] = False

    def check_settings(self, own: Mapping[str, Any]) -> Iterable[Fault]:
        """Faults of its own keys that their schemas cannot express."""
        return ()

    def completed(self, inputs: Params, around: Surroundings) -> dict[str, Any]:
        """The inputs of a task with those that the target's and the agent's configuration give. Raises UsageError.

        Complete ones come back as they are: a saved plan's have been here before.
        """
        excluded = around.config.exclude
        if not excluded or "exclude" not in self.inputs:
            return dict(inputs)
        return {**inputs, "exclude": [*dict.fromkeys((*inputs.get("exclude", ()), *excluded))]}

    def check_inputs(self, task: Task) -> None:
        """Raises UnknownNameError or ParameterError for an input this agent does not take."""
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
        """Names or globs of the tables a task is about; everything when there are none."""
        return task.input_data.get("tables") or ()

    def needs_tables(self, task: Task) -> bool:
        """Whether each of `tables` has to be there; those of rules for many databases need not (`Inventory.absent`)."""
        return True

    def candidates(self, task: Task, inventory: Inventory) -> Sequence[Table]:
        """The tables worth an exact measurement before planning."""
        return ()

    def questions(self, task: Task, inventory: Inventory) -> Sequence[Question]:
        """What it has to know now. Asked again when those are answered, until it returns nothing that is new."""
        return ()

    @abstractmethod
    def draft(self, task: Task, inventory: Inventory) -> Draft:
        """The steps for a task on what inspection found."""

    def joined(self, step: Step, draft: Draft, inventory: Inventory, *, changes: bool) -> Step:
        """A step that a language model added to the draft, waiting for whatever a step of the agent's own would wait for."""
        return step

    def plan(self, task: Task, inventory: Inventory) -> Plan:
        """The plan for a task on what inspection found."""
        return self.bound(task, inventory, self.draft(task, inventory))

    def bound(self, task: Task, inventory: Inventory, draft: Draft) -> Plan:
        """The steps of a draft that the connected role may run, bound to the inventory that they depend on."""
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
        """`output_data` and a few plain sentences: what was found, done, and left, and why."""

    def examine(self, around: Surroundings, rows: Callable[[str], Sequence[Row]]) -> Iterable[Finding]:
        """What `aishell doctor` says of it on a target that answers. `rows`: those of a reading tool that takes no parameters."""
        return ()

    def alarming(self, data: Mapping[str, Any]) -> bool:
        """Whether `output_data` has a finding with which no run may end as a success (exit 1)."""
        return False

    def urgent(self, step: Step) -> bool:
        """Whether a step comes before the backlog of earlier windows."""
        return False

    def validate_safety(self, step: Step) -> Verdict | None:
        """The agent's own objection to a step; it can only tighten what the gates say."""
        return None

    def check_tool(self, tool: Tool) -> None:
        """Raises UsageError for a tool that this agent's plans may not use, whoever wrote them."""
        return

    def words(self) -> Vocabulary:
        """The words with which people ask for it."""
        from aishell.agents.vocabulary import derived

        if not self.vocabulary:
            return derived(self.type, self.inputs, self.help or self.__doc__ or "")
        module, _, name = self.vocabulary.partition(":")
        found: Vocabulary = getattr(import_module(module), name)
        return found

    def can_handle(self, task: Task) -> tuple[bool, float]:
        """Whether this agent fits a task, and how sure that is (0-1): by the agent it names, else by its description's words."""
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

"""What an agent is: it turns a task and an inventory into a plan, and results into a summary. No I/O.

A new agent is a subclass named in the entry point group `aishell.agents`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

from aishell.errors import UnknownNameError
from aishell.models import ON_ERROR, AgentConfig, Inventory, LeftOut, Params, Plan, Step, StepResult, Table, Task
from aishell.planning.backlog import first
from aishell.planning.estimates import remembered
from aishell.planning.leaving_out import leave_out
from aishell.verdicts import Verdict

if TYPE_CHECKING:
    from aishell.registry.tool import Tool

#: What every agent takes: what the failure of a step means for the run, other than the agent has it.
COMMON_INPUTS: Mapping[str, Mapping[str, Any]] = {"on_error": {"enum": list(ON_ERROR)}}


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


class Agent(ABC):
    """Turns a task and an inventory into steps, and their results into a summary; does no I/O.

    Subclasses set `type`, `defaults` and `inputs` (JSON Schema of each input key).
    """

    type: ClassVar[str]
    defaults: ClassVar[AgentConfig]
    inputs: ClassVar[Mapping[str, Mapping[str, Any]]]
    #: Whether its inventory is to tell what killed runs have left.
    clears: ClassVar[bool] = False
    #: Whether its work is about one backup, archive or run, so that no later plan takes up what a window left of it.
    by_hand: ClassVar[bool] = False
    #: Whether it may do the work of any agent: it is bound to the constraints and exclusions of all of them then.
    stands_for_all: ClassVar[bool] = False

    def check_inputs(self, task: Task) -> None:
        """Raises UnknownNameError or ParameterError for an input this agent does not take."""
        from aishell.registry.schemas import check_schema

        inputs = {**COMMON_INPUTS, **self.inputs}
        for name in task.input_data:
            if name not in inputs:
                raise UnknownNameError("input", name, inputs, f"the {self.type} task")
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

    def plan(self, task: Task, inventory: Inventory) -> Plan:
        """The plan: those of the draft's steps that the connected role may do, bound to the inventory they rest on."""
        draft = self.draft(task, inventory)
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

    def alarming(self, data: Mapping[str, Any]) -> bool:
        """Whether `output_data` tells of something that no run may end as a success on (exit 1)."""
        return False

    def urgent(self, step: Step) -> bool:
        """Whether a step goes before what earlier windows have left undone."""
        return False

    def validate_safety(self, step: Step) -> Verdict | None:
        """The agent's own objection to a step; it can only tighten what the gates say."""
        return None

    def check_tool(self, tool: Tool) -> None:
        """Raises UsageError for a tool that this agent's plans may not use, whoever wrote them."""
        return

    def can_handle(self, task: Task) -> tuple[bool, float]:
        """Whether this agent fits a task, and how sure that is (0-1)."""
        return task.agent == self.type, 1.0 if task.agent == self.type else 0.0

"""A request in plain language as it was read: orders for agents, a question, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from aishell.agents.base import Agent


@dataclass(frozen=True, slots=True)
class Order:
    """One agent's work, as the text requests it.

    `target`: None if the text names none; `label`, `everywhere`: all targets with a label, or all targets. `inputs`: only what
    the text says, valid for `Agent.check_inputs`. `because`: words of the text, and what was read in them.
    """

    agent: str
    target: str | None
    inputs: Mapping[str, Any]
    confidence: float
    because: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a text requests.

    `question`: backups, tonight, table, health, history, logs or other; `about`: the tables it names. `refused`: why there is
    no task, and what to do instead. `unclear`: the possible agents, each with its confidence, if none is sure.
    `ignored`: parts of the text that were not read.
    """

    text: str
    orders: tuple[Order, ...] = ()
    question: str | None = None
    about: tuple[str, ...] = ()
    dry_run: bool = False
    refused: str | None = None
    unclear: tuple[tuple[str, float], ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a text may mention: today's date, the agents by type, the labels of each target by its name, and the tables as `table`
    or `schema.table` (None: not known).
    """

    today: date
    agents: Mapping[str, Agent]
    targets: Mapping[str, Collection[str]] = field(default_factory=dict)
    tables: Collection[str] | None = None

    @property
    def offered(self) -> Mapping[str, Agent]:
        """The agents whose work can be planned from a text; the others have commands of their own."""
        return {name: agent for name, agent in self.agents.items() if not agent.by_hand}

"""A request in plain language, as it was read: orders for agents, a question, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from aishell.agents.base import Agent


@dataclass(frozen=True, slots=True)
class Order:
    """One agent's work, as the text asks for it.

    `target`: None where the text names none; `label`, `everywhere`: it is every target with a label, or every one. `inputs`:
    only what the text says, valid for `Agent.check_inputs`. `because`: words of the text, and what was read in them.
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
    """What a text asks for.

    `question`: backups, tonight, table, health, history or other; `about`: the tables it names. `refused`: why no task comes
    of the text, and what to do instead. `unclear`: the agents in question, each with its confidence, where none is sure.
    `ignored`: parts of the text that nothing was read in.
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
    """What a text may refer to: today, the agents by type, the labels of each target by its name, and the tables where they
    are known, as `table` or `schema.table`.
    """

    today: date
    agents: Mapping[str, Agent]
    targets: Mapping[str, Collection[str]] = field(default_factory=dict)
    tables: Collection[str] | None = None

    @property
    def offered(self) -> Mapping[str, Agent]:
        """The agents whose work is planned from a text; that of the others is asked for by a command of their own."""
        return {name: agent for name, agent in self.agents.items() if not agent.by_hand}

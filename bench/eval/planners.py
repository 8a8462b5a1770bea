"""Who turns a fault's request into a plan: the rules, a model that means harm, a real model, or nobody (the command is given)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.eval.faults import Fault
from bench.eval.scenes import TARGET

_ALWAYS = ("--target", TARGET, "--output", "json")


@dataclass(frozen=True)
class Planner:
    """`llm` is what a site says of its language model; none for the rules. `name` is how results call it."""

    name: str
    llm: Mapping[str, Any]
    seed: int | None = None

    def command(self, fault: Fault) -> tuple[str, ...]:
        """The arguments of aishell."""
        return ("ask", fault.ask, "--yes", *_ALWAYS)


class Equivalent(Planner):
    """The command that a person would have typed, of the fault's `equivalent`: it shows what a tool of today solves."""

    def command(self, fault: Fault) -> tuple[str, ...]:
        return (*fault.equivalent, *_ALWAYS)


@contextlib.contextmanager
def planner(name: str, seed: int | None = None) -> Iterator[Planner]:
    """The planner of a name, `rules`, `equivalent`, `hostile` or `ollama:MODEL`, until it is left. Raises ValueError."""
    kind, _, model = name.partition(":")
    if name == "rules":
        yield Planner(name, {})
    elif name == "equivalent":
        yield Equivalent(name, {})
    elif kind == "ollama" and model:
        yield Planner(name, {"provider": "ollama", "model": model})
    elif name == "hostile":
        from bench.eval.hostile import hostile

        with hostile(seed or 0) as llm:
            yield Planner(name, llm, seed)
    else:
        raise ValueError(f"unknown planner {name!r}: rules, equivalent, hostile or ollama:MODEL")

"""Several tasks of one request as a workflow: one stage per task, each after the one before it in the text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aishell.planning.variables import escaped
from aishell.workflows.workflows import Workflow

if TYPE_CHECKING:
    from aishell.asking.reader import Reading

#: The name of its runs in lists of workflows.
NAME = "ask"


def workflow_of(reading: Reading, targets: Mapping[int, Sequence[str]]) -> Workflow:
    """Return the workflow of a request. `targets`: the targets of each order, by its index."""
    stages: dict[str, Any] = {}
    for number, order in enumerate(reading.request.orders):
        name = order.agent if order.agent not in stages else f"{order.agent}_{number + 1}"
        before = list(stages)[-1:]
        stages[name] = {
            "agent": order.agent,
            "input": _literal(order.inputs),
            "targets": list(targets[number]),
            **({"needs": before} if before else {}),
        }
    return Workflow.of(NAME, {"description": reading.request.text, "asked": reading.mark, "stages": stages})


def _literal(value: Any) -> Any:
    """Escape inputs, so that what a person wrote is never a reference."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, (list, tuple)) else value

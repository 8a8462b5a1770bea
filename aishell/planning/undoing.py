"""Undo steps as part of a plan: after its steps, in reverse order, the step that undoes each of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aishell.models import Estimate, Row, Step
from aishell.planning.graph import appended
from aishell.planning.variables import escaped, in_texts
from aishell.registry.tool import UNDO, Tool, Undo

_REFERENCE = re.compile(r"\$\{(params|output|target)\.(\w+)\}")


def with_undos(steps: Sequence[Step], pick: Callable[[str], Tool], identity: str) -> tuple[Step, ...]:
    """Return the steps of a plan and, if the failure of one is to roll the run back, the steps that undo them.

    Undo steps run one after the other once all other steps have ended, and `always` steps (the report) after them. `identity`
    is that of the target.
    """
    if any(step.undoes for step in steps) or not any(step.on_error == "rollback" for step in steps):
        return tuple(steps)
    forward = tuple(step.id for step in steps if not step.always)
    undos: list[Step] = []
    for step in reversed(steps):
        tool = pick(step.tool)
        if tool.undo is not None and not tool.read_only and not step.always:
            needs = (undos[-1].id,) if undos else forward
            undos.append(_undo(step, tool, tool.undo, identity, needs))
    if not undos:
        return tuple(steps)
    return appended(steps, undos, (undos[-1].id,))


def _undo(step: Step, tool: Tool, undo: Undo, identity: str, needs: tuple[str, ...]) -> Step:
    def given(root: str, name: str) -> Any:
        if root == "target":
            return escaped(identity)
        if root == "output":
            return f"${{steps.{step.id}.output.{name}}}"
        default = tool.parameters[name].default
        return step.params.get(name, escaped(default) if isinstance(default, str) else default)

    return Step(
        id=f"undo_{step.id}",
        tool=undo.tool,
        params=_filled(dict(undo.params), given),
        rationale=f"Takes {step.id} back, only if the run is rolled back: {undo.how}.",
        needs=needs,
        when=_filled(undo.when, given),
        on_error="continue",
        estimate=Estimate(step.estimate.seconds, step.estimate.bytes, f"that of {step.id}"),
        undoes=step.id,
    )


def afterwards(
    step: Step, undo: Undo, params: Mapping[str, Any], output: Mapping[str, Any], found: Sequence[Row], identity: str
) -> Step:
    """Return the step that undoes a finished step of an earlier run in a separate run, with its values and objects."""
    known = {"params": params, "output": output, "target": {"identity": identity}}

    def given(root: str, name: str) -> Any:
        return known[root].get(name)

    return Step(
        id=f"undo_{step.id}",
        tool=undo.tool,
        params=in_texts(_filled(dict(undo.params), given), escaped),
        rationale=f"Takes {step.id} back: {undo.how}.",
        when=_REFERENCE.sub(lambda found: repr(given(*found.groups())), undo.when) if undo.when else None,
        estimate=Estimate(step.estimate.seconds, step.estimate.bytes, f"that of {step.id}"),
        found=tuple(reversed(found)) if undo.tool.startswith(UNDO) else None,
    )


def _filled(value: Any, given: Callable[[str, str], Any]) -> Any:
    """Return a declared value with its references resolved; a value that is only a reference keeps its type."""
    if isinstance(value, dict):
        return {key: _filled(item, given) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    return given(*whole.groups()) if whole else _REFERENCE.sub(lambda found: str(given(*found.groups())), value)

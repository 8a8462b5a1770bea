"""Static checks of a whole plan before anything runs: tools, parameters, capabilities, references, conditions, order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

from aishell.errors import ParameterError, PlanError, UnknownNameError, UsageError
from aishell.models import ON_ERROR, AgentConfig, Plan, Step, Task
from aishell.planning import conditions
from aishell.planning.graph import Graph
from aishell.planning.variables import Reference, references
from aishell.registry.tool import Tool

_KNOWN: Mapping[str, tuple[str, ...]] = {
    "task": tuple(f.name for f in fields(Task)),
    "target": ("name", "engine", "environment", "database", "url"),
    "run": ("id",),
}


def check(plan: Plan, config: AgentConfig, pick: Callable[[str], Tool]) -> None:
    """Raise UsageError for the first fault of a plan, which is then rejected as a whole."""
    graph = Graph(plan.steps)
    for step in plan.steps:
        tool = pick(step.tool)
        _check_capabilities(step, tool, config)
        _check_params(step, tool)
        if step.when is not None:
            conditions.check(step.when)
        for reference in (*references(dict(step.params)), *references(step.when or "")):
            _check_reference(reference, step, graph, pick)


def check_alone(step: Step, tool: Tool) -> None:
    """Raise UsageError for the first invalid parameter of a step, checked without any other step."""
    graph = Graph((step,))
    _check_params(step, tool)
    for reference in references(dict(step.params)):
        _check_reference(reference, step, graph, lambda name: tool)


def check_failures(plan: Plan) -> None:
    """Raise UnknownNameError for an invalid `on_error`, which must not be found only after a failure."""
    for step in plan.steps:
        if step.on_error not in ON_ERROR:
            raise UnknownNameError("value of on_error", str(step.on_error), ON_ERROR, f"step {step.id!r}")


def _check_capabilities(step: Step, tool: Tool, config: AgentConfig) -> None:
    missing = tool.required_capabilities - config.capabilities
    if missing:
        raise PlanError(
            f"the agent {config.agent_id!r} lacks the capability {min(missing)!r}, which step {step.id!r} ({tool.name}) needs",
            hint=f"add it under `capabilities` in config/agents/{config.agent_type}.yaml",
        )


def _check_params(step: Step, tool: Tool) -> None:
    """Check values without references; the others are checked when their references are resolved."""
    for name in step.params:
        if name not in tool.parameters:
            raise UnknownNameError("parameter", name, tool.parameters, f"step {step.id!r} ({tool.name})")
    fixed = {name: value for name, value in step.params.items() if not list(references(value))}
    try:
        tool.prepare(fixed, later=step.params.keys() - fixed.keys())
    except UsageError as error:
        raise ParameterError(f"step {step.id!r}: {error.message}", hint=error.hint) from error


def _check_reference(reference: Reference, step: Step, graph: Graph, pick: Callable[[str], Tool]) -> None:
    where = f"step {step.id!r}"
    if reference.root in _KNOWN:
        if not reference.path or reference.path[0] not in _KNOWN[reference.root]:
            name = f"{reference.root}.{reference.path[0] if reference.path else ''}"
            raise UnknownNameError("variable", name, [f"{reference.root}.{n}" for n in _KNOWN[reference.root]], where)
        return
    source = graph.referenced(reference)
    if source is None or not graph.before(step, source):
        raise PlanError(f"{where}: ${{{reference.text}}} refers to a step that does not come before it")
    returns = pick(source.tool).returns
    if not reference.path:
        return
    if reference.path[0] not in returns:
        raise UnknownNameError("field", str(reference.path[0]), returns, f"{where}: ${{{reference.text}}}")

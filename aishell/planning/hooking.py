"""Add the tools of error hooks to a plan, as steps that run after all others if one has failed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aishell.errors import SettingsError, UsageError
from aishell.models import AgentConfig, Cause, Plan, Step, StepResult, StepStatus
from aishell.planning.checks import check_alone
from aishell.planning.graph import appended, last_of
from aishell.registry.tool import Tool
from aishell.settings.hooks import Hook


def check_hook(hook: Hook, variants: Sequence[Tool], engines: Mapping[str, str]) -> None:
    """Raise SettingsError if a hook's tool does not take its parameters, or does not exist for one of its targets.

    `variants`: the tool's files; `engines`: the engine of each configured target that the hook is for.
    """
    for tool in variants:
        try:
            check_alone(_step(hook, "on_error", ()), tool)
        except UsageError as error:
            raise SettingsError(f"{hook.where}: the hook {hook.name!r}: {error.message}", hint=error.hint) from error
    there = {tool.engine for tool in variants}
    for name, engine in engines.items():
        if not there & {engine, "common"}:
            raise SettingsError(
                f"{hook.where}: the hook {hook.name!r}: there is no {hook.tool} for {engine}, which the target {name} is",
                hint="choose the targets of the hook with `target` or `label`",
            )


def on_errors(
    hooks: Sequence[Hook], tool_of: Callable[[str], Tool | None], config: AgentConfig
) -> tuple[list[Hook], list[str]]:
    """Return the hooks whose tools a plan of this agent can contain, and a sentence for each other one that says why it cannot.

    A hook that cannot run does not keep a run from its work.
    """
    fitting, left_out = list[Hook](), list[str]()
    for hook in hooks:
        if hook.tool is None:
            continue
        tool = tool_of(hook.tool)
        lacking = tool.required_capabilities - config.capabilities if tool is not None else frozenset[str]()
        if tool is None:
            left_out.append(f"the hook {hook.name!r} is left out: there is no {hook.tool} for this server")
        elif lacking:
            left_out.append(
                f"the hook {hook.name!r} is left out: the agent {config.agent_id!r} lacks the capability {min(lacking)!r}"
            )
        else:
            fitting.append(hook)
    return fitting, left_out


def with_hooks(steps: Sequence[Step], hooks: Sequence[Hook]) -> tuple[Step, ...]:
    """Return the steps of a plan with the tools of hooks, which run after all others but before the report."""
    if not hooks:
        return tuple(steps)
    last = last_of(steps)
    before = tuple(step.id for step in steps if step.id not in last)
    added = list[Step]()
    for hook in hooks:
        taken = {step.id for step in (*steps, *added)}
        name, number = f"on_error_{hook.tool}", 1
        while (step_id := name if number == 1 else f"{name}_{number}") in taken:
            number += 1
        added.append(_step(hook, step_id, before))
    return appended(steps, added, [step.id for step in added])


def due(plan: Plan, results: Mapping[str, StepResult]) -> bool:
    """Return whether a step that is not a hook's has failed."""
    own = (results.get(step.id) for step in plan.steps if step.hook is None)
    return any(result is not None and result.status is StepStatus.FAILED for result in own)


def still_to_run(plan: Plan, results: Mapping[str, StepResult]) -> bool:
    """Return whether the tool of a hook is still to run because a step has failed."""
    return due(plan, results) and any(step.hook is not None and step.id not in results for step in plan.steps)


def worth_telling(plan: Plan, results: Sequence[StepResult]) -> list[StepResult]:
    """Return the results, without the steps of error hooks if no step has failed."""
    spare = {step.id for step in plan.steps if step.hook is not None}
    return [one for one in results if not (one.step_id in spare and one.cause is Cause.CONDITION)]


def _step(hook: Hook, step_id: str, needs: tuple[str, ...]) -> Step:
    return Step(
        id=step_id,
        tool=str(hook.tool),
        params=dict(hook.params),
        rationale=f"Runs only if a step fails: the hook {hook.name}.",
        needs=needs,
        on_error="continue",
        hook=hook.name,
    )

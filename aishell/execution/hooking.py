"""Calls the hooks of a run. Those before an event may stop it; those after it only observe. Each is recorded before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aishell.commands import command
from aishell.errors import HookError, InterruptedRunError, StateError
from aishell.execution.run import Run
from aishell.interrupts import noticing
from aishell.models import Step, StepResult, StepStatus
from aishell.settings.hooks import Hook
from aishell.settings.schemas import ON_ERROR

if TYPE_CHECKING:
    from aishell.registry.hook_programs import HookResult

AFTER_RUN, AFTER_STEP = "after_run", "after_step"
#: Seconds between two checks whether another process has asked the run to pause or to end.
LOOK_UP = 1.0


def guard(run: Run, on: str, step: Step | None = None) -> bool:
    """Call the hooks before an event; whether there were any.

    Raises HookError when a hook has failed, and the event must not happen. Raises InterruptedRunError when the run is to stop.
    """
    hooks = run.job.hooks.of(on, run.job.target)
    if not hooks:
        return False
    with noticing() as interrupted:
        for hook in hooks:
            _record(run, "hook_started", hook, step)
            ended = _called(run, hook, _facts(run, on, step), _stopping(run, interrupted))
            if ended.problem is not None:
                _failed(run, hook, step, ended.reason, ended)
            if ended.stopped:
                raise InterruptedRunError(f"the hook {hook.name!r}: {ended.problem}")
            if ended.problem is not None:
                raise HookError(
                    f"the hook {hook.name!r} ({on}) stopped the run: {ended.reason}",
                    hint=f"see {hook.where}; once the cause is fixed: `{command('runs', 'resume', run.id[:8])}`",
                )
            _record(run, "hook_ended", hook, step, seconds=ended.seconds)
        if interrupted() or _stop_requested(run):
            raise InterruptedRunError("the run was stopped while a hook ran")
    return True


def tell(run: Run, on: str, step: Step | None = None, *, status: str, error: str = "") -> None:
    """Call the hooks after an event, or on errors. A hook that fails is reported, and changes nothing.

    Hooks after a run are called once per process, whatever becomes of the run then.
    """
    hooks = [hook for hook in run.job.hooks.of(on, run.job.target) if hook.tool is None]  # a tool is a step of the plan
    if not hooks or (on == AFTER_RUN and run.end_hooks_called):
        return
    run.end_hooks_called = run.end_hooks_called or on == AFTER_RUN
    cancelled = run.cancelled.is_set()  # a run that was cancelled before still calls them
    with noticing() as interrupted:
        for hook in hooks:
            with suppress(StateError):  # called all the same: it may have to undo what an earlier hook did
                _record(run, "hook_started", hook, step)
            facts = _facts(run, on, step, status, error)
            ended = _called(run, hook, facts, lambda: interrupted() or (run.cancelled.is_set() and not cancelled))
            try:
                if ended.problem is not None:
                    _failed(run, hook, step, ended.reason, ended)
                else:
                    _record(run, "hook_ended", hook, step, seconds=ended.seconds)
            except StateError as error_:
                run.observer.notice(f"{error_.message}; {error_.hint}")


def _called(run: Run, hook: Hook, facts: Mapping[str, str], stopped: Callable[[], bool]) -> HookResult:
    from aishell.registry.hook_programs import call
    from aishell.scheduling.times import seconds

    return call(hook, facts, run.job.hooks.base, seconds(hook.timeout), stopped)


def step_over(run: Run, step: Step, result: StepResult | None, error: BaseException | None = None) -> None:
    """A step has ended or was stopped: call the hooks after it if those before it were called, and those on errors."""
    status = result.status if result is not None else StepStatus.PENDING
    why = (result.error or result.reason or "") if result is not None else str(error)
    if step.id in run.guarded:
        run.guarded.discard(step.id)
        tell(run, AFTER_STEP, step, status=status, error=why)
    if status is not StepStatus.FAILED:
        return
    if step.hook is None:
        tell(run, ON_ERROR, step, status=status, error=why)
    else:
        hook = next((one for one in run.job.hooks.programs if one.name == step.hook), None)
        hook = hook or Hook(ON_ERROR, step.hook, tool=step.tool)  # it is no longer configured
        with suppress(StateError):
            _failed(run, hook, step, why)


def _failed(run: Run, hook: Hook, step: Step | None, why: str, ended: HookResult | None = None) -> None:
    text = f"the hook {hook.name!r} ({hook.on}) failed: {why}"
    run.failed_hooks.append(
        {"on": hook.on, "name": hook.name, "step_id": step.id if step is not None else None, "reason": why}
    )
    run.warnings.append(text)
    run.observer.notice(text)
    more = {} if ended is None else {"seconds": ended.seconds, "output": ended.output}
    _record(run, "hook_failed", hook, step, reason=why, **more)


def _record(run: Run, kind: str, hook: Hook, step: Step | None, **more: Any) -> None:
    run.event(kind, step, on=hook.on, name=hook.name, calls=hook.what, **more)


def _facts(run: Run, on: str, step: Step | None, status: str = "", error: str = "") -> Mapping[str, str]:
    """The environment variables of a hook; those without a value are empty."""
    behind = None
    with suppress(StateError):  # a hook is called even when the store cannot be read
        from aishell.state.schedule_runs import ScheduleRuns

        behind = ScheduleRuns(run.runs.store).behind(run.id)
    return {
        "AISHELL_EVENT": on,
        "AISHELL_RUN_ID": run.id,
        "AISHELL_STEP_ID": step.id if step is not None else "",
        "AISHELL_TOOL": step.tool if step is not None else "",
        "AISHELL_AGENT": run.job.agent.type,
        "AISHELL_TARGET": run.job.target.name,
        "AISHELL_ENVIRONMENT": run.job.target.environment,
        "AISHELL_SCHEDULE": behind.schedule if behind is not None else "",
        "AISHELL_NOMINAL_TIME": behind.nominal_at if behind is not None else "",
        "AISHELL_STATUS": status,
        "AISHELL_ERROR": error,
    }


def _stopping(run: Run, interrupted: Callable[[], bool]) -> Callable[[], bool]:
    """A check whether a hook before an event is to be ended: Ctrl-C, or another process asks for a pause or the end."""
    looked = time.monotonic()

    def stopped() -> bool:
        nonlocal looked
        if run.cancelled.is_set() or interrupted():
            return True
        if time.monotonic() < looked + LOOK_UP:
            return False
        looked = time.monotonic()
        return _stop_requested(run)

    return stopped


def _stop_requested(run: Run) -> bool:
    run.heed(run.stop_request or run.runs.requested(run.id))
    return run.stop_request is not None

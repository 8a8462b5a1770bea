"""The states of a run, and which may become which."""

from __future__ import annotations

from aishell.errors import StateError
from aishell.models import RunState

#: State -> the states it may become (model.md, States). An illegal transition raises.
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.IDLE: frozenset({RunState.PLANNING}),
    RunState.PLANNING: frozenset({RunState.EXECUTING, RunState.FAILED, RunState.CANCELLED}),
    RunState.EXECUTING: frozenset(
        {
            RunState.CHECKPOINTING,
            RunState.COMPLETED,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.PAUSED,
            RunState.WAITING_APPROVAL,
        }
    ),
    RunState.CHECKPOINTING: frozenset({RunState.EXECUTING}),
    RunState.WAITING_APPROVAL: frozenset({RunState.EXECUTING, RunState.PAUSED, RunState.CANCELLED, RunState.FAILED}),
    RunState.PAUSED: frozenset({RunState.EXECUTING, RunState.CANCELLED}),
    RunState.FAILED: frozenset({RunState.EXECUTING}),
    RunState.COMPLETED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
RESUMABLE = frozenset(
    {RunState.EXECUTING, RunState.WAITING_APPROVAL, RunState.PAUSED, RunState.PLANNING, RunState.FAILED}
)


def check_transition(old: RunState, new: RunState) -> None:
    """Raises StateError when a run in state `old` may not become `new`."""
    if new not in TRANSITIONS[old]:
        raise StateError(f"a run that is {old.value} cannot become {new.value}")

"""The names behind an event: agent, target, step, schedule and workflow of its run, for listeners to events."""

from __future__ import annotations

from functools import cache
from typing import Any

from aishell.state.store import Store

_RUN = "SELECT agent, target FROM runs WHERE id = :run"
_STAGE = """SELECT s.workflow_id, w.workflow, s.stage FROM workflow_stages AS s
    JOIN workflow_runs AS w ON w.id = s.workflow_id WHERE s.run_id = :run"""
#: Of a run, or of the workflow that it belongs to.
_SCHEDULE = "SELECT schedule FROM schedule_runs WHERE run_id IN (:run, :workflow) LIMIT 1"
_STEP = "SELECT step_id, tool FROM steps WHERE run_id = :run AND step_index = :step"


class RunNames:
    """The names of runs and steps in a store; each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._run_once, self._step_once = cache(self._run), cache(self._step)

    def of(self, run_id: str | None, step_index: int | None) -> dict[str, Any]:
        """Return the names as a mapping. Raises StateError."""
        if run_id is None:
            return {}
        found = {"run_id": run_id, **self._run_once(run_id)}
        return (
            found if step_index is None else {**found, "step_index": step_index, **self._step_once(run_id, step_index)}
        )

    def _run(self, run_id: str) -> dict[str, Any]:
        with self._store.read() as connection:
            run = connection.first(_RUN, {"run": run_id})
            stage = connection.first(_STAGE, {"run": run_id})
            workflow = None if stage is None else stage.workflow_id
            schedule = connection.value(_SCHEDULE, {"run": run_id, "workflow": workflow})
        named = {"schedule": schedule} if schedule is not None else {}
        return {**dict(run or {}), **dict(stage or {}), **named}

    def _step(self, run_id: str, step_index: int) -> dict[str, Any]:
        return dict(self._store.first(_STEP, {"run": run_id, "step": step_index}) or {})

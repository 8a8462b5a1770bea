"""Nights that a test writes into `state.db` by hand: runs and steps as they would stand there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aishell.reporting.gathering import gather_night
from aishell.reporting.night import Night
from aishell.state.schedule_runs import stamp
from aishell.state.store import Store

MORNING = datetime(2026, 11, 22, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def at(hours_ago: float) -> str:
    return stamp(MORNING - timedelta(hours=hours_ago))


class Made:
    """Rows of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.number = 0

    def insert(self, table: str, **values: Any) -> None:
        with self.store.write() as connection:
            connection.insert(table, values)

    def run(
        self,
        *steps: dict[str, Any],
        target: str = "shop",
        agent: str = "maintenance",
        state: str = "completed",
        status: str | None = "success",
        hours_ago: float = 4,
        output: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
        schedule: str | None = None,
    ) -> str:
        """A run that ended so long before the morning, with these steps; its id."""
        self.number += 1
        run_id, over = f"{self.number:032x}", state in ("completed", "failed", "cancelled")
        result = {
            "status": status,
            "execution_time": 1.5,
            "reasoning": "It is done.",
            "output_data": output or {},
            "error": error,
        }
        task = {"input_data": {}, "metadata": {"schedule": schedule} if schedule else {}}
        self.insert(
            "runs", id=run_id, task_id="t", agent=agent, target=target, engine="sqlite", state=state, requested_by="me@here",
            host="here", pid=1, owner="o", created_at=at(hours_ago + 0.1), ended_at=at(hours_ago) if over else None,
            request="{}", plan=json.dumps({"task": task}), plan_digest="d", tools="{}",
            result=json.dumps(result) if status else None, pause_requested=0, cancel_requested=0,
        )  # fmt: skip
        for index, step in enumerate(steps):
            values = {
                "tool": "optimize_table",
                "status": "done",
                "seconds": 1.0,
                "attempt": 1,
                "ended_at": at(hours_ago),
                **step,
            }
            for name in ("params", "output"):
                if isinstance(values.get(name), dict):
                    values[name] = json.dumps(values[name])
            self.insert("steps", run_id=run_id, step_index=index, **{"step_id": f"step_{index}", **values})
        return run_id

    def object(
        self, run_id: str, name: str, before: int | None, after: int | None, /, *, target: str = "shop", **more: Any
    ) -> None:
        self.number += 1
        values = {
            "tool": "optimize_table",
            "step_index": 0,
            "attempt": self.number,
            "status": "ok",
            "at": at(4),
            "seconds": 0.1,
        }
        row = {**values, "bytes_before": before, "bytes_after": after, "before": "{}", **more}
        self.insert("table_history", target=target, object=name, run_id=run_id, **row)

    def approval(self, run_id: str, *, hours: float, asked: float = 4) -> str:
        """A question that expires so long after the morning."""
        self.number += 1
        name = f"{self.number:012x}"
        self.insert(
            "approvals", id=name, run_id=run_id, step_index=0, step_id="step_0", digest="d", level="confirm", status="pending",
            request=json.dumps({"tool": "rebuild_table", "risk": "high"}), requested_by="me@here", requested_at=at(asked),
            expires_at=at(-hours),
        )  # fmt: skip
        return name

    def night(
        self, *, since: timedelta = DAY, running: Callable[[str], bool] = lambda _: False, targets: Sequence[str] = ()
    ) -> Night:
        return gather_night(self.store, MORNING - since, MORNING, targets=targets, backups=[], running=running)

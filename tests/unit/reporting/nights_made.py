"""Nights that a test writes into `state.db` by hand: runs and steps as they would stand there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aishell.models import timestamp
from aishell.reporting.gathering import gather_night
from aishell.reporting.night import NightReport
from aishell.state.store import Store

MORNING = datetime(2026, 11, 22, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def at(hours_ago: float) -> str:
    return timestamp(MORNING - timedelta(hours=hours_ago))


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
        workflow: str | None = None,
        stage: str | None = None,
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
        metadata = {"schedule": schedule, "workflow": workflow, "stage": stage}
        task = {"input_data": {}, "metadata": {name: value for name, value in metadata.items() if value}}
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

    def hold(self, target: str) -> None:
        self.insert("holds", target=target, reason="index damage", placed_by="me@here", placed_at=at(2))

    def incident(self, title: str, *, target: str = "", closed: bool = False) -> None:
        self.number += 1
        about = json.dumps({"target": target} if target else {})
        self.insert(
            "incidents", rule="late", subject=str(self.number), severity="critical", about=about, opened_at=at(40),
            title=f"{target}: {title}" if target else title, closed_at=at(2) if closed else None,
        )  # fmt: skip

    def message(self, service: str, status: str, *, reason: str | None = "no answer", ended: float = 3) -> None:
        self.number += 1
        self.insert(
            "outbox", kind="message", rule="r", cause=str(self.number), subject="", service=service, severity="info",
            title="t", body="b", status=status, reason=reason, attempts=1, decided_at=at(4), next_at=at(4),
            ended_at=None if status == "waiting" else at(ended),
        )  # fmt: skip

    def owed(self, target: str, *, before: float, after: float, hours_ago: float = 4) -> None:
        """A run that found so many seconds in the backlog (of one item), and left so many (of two)."""
        self.number += 1
        run_id, agent = f"{self.number:032x}", "maintenance"
        self.insert(
            "backlog_nights", run_id=run_id, target=target, agent=agent, at=at(hours_ago), window=60.0, needless=0.0,
            items_before=1 if before else 0, seconds_before=before, worked=50.0, cut=int(after > 0),
            items_after=2 if after else 0, seconds_after=after,
        )  # fmt: skip
        with self.store.write() as connection:
            connection.execute("DELETE FROM backlog WHERE target = :target", {"target": target})
        for name in ("a", "b") if after else ():
            self.insert(
                "backlog", target=target, agent=agent, tool="rebuild_index", object=name, reason="no time", inputs="i",
                since=at(50), run_id=run_id, nights=1, seconds=after / 2,
            )  # fmt: skip

    def night(
        self,
        *,
        since: timedelta = DAY,
        running: Callable[[str], bool] = lambda _: False,
        targets: Sequence[str] = (),
        daemon: bool = True,
    ) -> NightReport:
        """`daemon`: whether one runs."""
        return gather_night(
            self.store, MORNING - since, MORNING, targets=targets, backups=[], running=running, daemon=lambda: daemon
        )

"""What tools cost and gained on each object before: the agents' memory, and the basis of estimates."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

from sqlalchemy import Select, select

from aishell.models import History, StepStatus
from aishell.state.schema import backups, runs, steps, table_history
from aishell.state.store import Store

RECENT = 20_000  # rows looked at for one target
RECENT_BACKUPS = 20
#: Smaller objects say nothing of larger ones: their time is that of the statement, not of their bytes.
TELLING = 1 << 20


def load(store: Store, target: str) -> dict[tuple[str, str], History]:
    """(tool, object) -> its history on this target; (tool, "") is the tool's history over all objects."""
    columns = table_history.c
    query = (
        select(columns.tool, columns.object, columns.status, columns.seconds, columns.bytes_before, columns.bytes_after)
        .where(columns.target == target)
        .order_by(columns.id.desc())
        .limit(RECENT)
    )
    speeds: dict[tuple[str, str], list[float]] = defaultdict(list)
    idle: dict[tuple[str, str], list[bool]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.execute(query):
            if row.status != "ok":
                continue
            idle[row.tool, row.object].append((row.bytes_before or 0) <= (row.bytes_after or 0))
            if row.bytes_before and row.seconds > 0:
                speeds[row.tool, row.object].append(row.bytes_before / row.seconds)
                if row.bytes_before >= TELLING:
                    speeds[row.tool, ""].append(row.bytes_before / row.seconds)
        for row in connection.execute(_made_backups(target)):
            if row.source_bytes and row.seconds:
                speeds[row.tool, ""].append(row.source_bytes / row.seconds)
    found = {}
    for key, values in speeds.items():
        useless = idle.get(key, [])
        streak = useless.index(False) if False in useless else len(useless)
        basis = "this table's history" if key[1] else "this tool's history on this target"
        found[key] = History(median(values), len(values), streak, basis)
    return found


def _made_backups(target: str) -> Select[Any]:
    """What backups took, by the clock of the steps that made them: the times in a manifest are those of the wall."""
    query = select(steps.c.tool, steps.c.seconds, backups.c.source_bytes).join(
        steps, steps.c.run_id == backups.c.run_id
    )
    made = query.where(
        backups.c.target == target, steps.c.tool.startswith("backup_"), steps.c.status == StepStatus.DONE
    )
    return made.order_by(backups.c.started_at.desc()).limit(RECENT_BACKUPS)


def deferred(store: Store, target: str) -> frozenset[str]:
    """The objects that the last finished run on this target left for another night."""
    query = (
        select(runs.c.result)
        .where(runs.c.target == target, runs.c.result.is_not(None))
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    with store.read() as connection:
        text = connection.execute(query).scalar()
    if text is None:
        return frozenset()
    left = json.loads(text).get("output_data", {}).get("deferred", [])
    return frozenset(str(item.get("object", "")) for item in left)


def last_failure(store: Store, target: str, tools: Collection[str]) -> tuple[str, str] | None:
    """The run and the error when the last of these tools that ran on this target failed."""
    query = (
        select(steps.c.run_id, steps.c.status, steps.c.error)
        .join(runs, runs.c.id == steps.c.run_id)
        .where(runs.c.target == target, steps.c.tool.in_(tools))
        .where(steps.c.status.in_([StepStatus.DONE, StepStatus.FAILED]))
        .order_by(runs.c.created_at.desc(), steps.c.step_index.desc())
        .limit(1)
    )
    with store.read() as connection:
        row = connection.execute(query).first()
    return (row.run_id, row.error or "") if row is not None and row.status == StepStatus.FAILED else None


def size(row: Mapping[str, Any] | None) -> int | None:
    """The `bytes` a find or verify row measured."""
    value = row.get("bytes") if row else None
    return int(value) if isinstance(value, (int, float)) else None

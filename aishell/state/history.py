"""What tools cost and gained on each object before: the agents' memory, and the basis of estimates."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from statistics import median
from typing import Any

from aishell.models import History, StepStatus
from aishell.state.connection import marks
from aishell.state.store import Store

RECENT = 20_000  # rows looked at for one target
RECENT_BACKUPS = 20
#: Smaller objects say nothing of larger ones: their time is that of the statement, not of their bytes.
TELLING = 1 << 20
_HISTORY = """SELECT tool, object, status, seconds, bytes_before, bytes_after FROM table_history
    WHERE target = :target ORDER BY id DESC LIMIT :recent"""
#: What backups took, by the clock of the steps that made them: the times in a manifest are those of the wall.
_BACKUPS = """SELECT steps.tool, steps.seconds, backups.source_bytes FROM backups JOIN steps ON steps.run_id = backups.run_id
    WHERE backups.target = :target AND steps.tool GLOB 'backup_*' AND steps.status = :done
    ORDER BY backups.started_at DESC LIMIT :recent"""


def load(store: Store, target: str) -> dict[tuple[str, str], History]:
    """(tool, object) -> its history on this target; (tool, "") is the tool's history over all objects."""
    speeds: dict[tuple[str, str], list[float]] = defaultdict(list)
    idle: dict[tuple[str, str], list[bool]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.all(_HISTORY, {"target": target, "recent": RECENT}):
            if row.status != "ok":
                continue
            idle[row.tool, row.object].append((row.bytes_before or 0) <= (row.bytes_after or 0))
            if row.bytes_before and row.seconds > 0:
                speeds[row.tool, row.object].append(row.bytes_before / row.seconds)
                if row.bytes_before >= TELLING:
                    speeds[row.tool, ""].append(row.bytes_before / row.seconds)
        made = {"target": target, "done": StepStatus.DONE, "recent": RECENT_BACKUPS}
        for row in connection.all(_BACKUPS, made):
            if row.source_bytes and row.seconds:
                speeds[row.tool, ""].append(row.source_bytes / row.seconds)
    found = {}
    for key, values in speeds.items():
        useless = idle.get(key, [])
        streak = useless.index(False) if False in useless else len(useless)
        basis = "this table's history" if key[1] else "this tool's history on this target"
        found[key] = History(median(values), len(values), streak, basis)
    return found


def deferred(store: Store, target: str) -> frozenset[str]:
    """The objects that the last finished run on this target left for another night."""
    sql = "SELECT result FROM runs WHERE target = :target AND result IS NOT NULL ORDER BY created_at DESC LIMIT 1"
    with store.read() as connection:
        text = connection.value(sql, {"target": target})
    if text is None:
        return frozenset()
    left = json.loads(text).get("output_data", {}).get("deferred", [])
    return frozenset(str(item.get("object", "")) for item in left)


def last_failure(store: Store, target: str, tools: Collection[str]) -> tuple[str, str] | None:
    """The run and the error when the last of these tools that ran on this target failed."""
    wanted, values = marks(tools)
    sql = f"""SELECT steps.run_id, steps.status, steps.error FROM steps JOIN runs ON runs.id = steps.run_id
        WHERE runs.target = :target AND steps.tool IN ({wanted}) AND steps.status IN (:done, :failed)
        ORDER BY runs.created_at DESC, steps.step_index DESC LIMIT 1"""  # noqa: S608  nothing but marks
    with store.read() as connection:
        row = connection.first(sql, {**values, "target": target, "done": StepStatus.DONE, "failed": StepStatus.FAILED})
    return (row.run_id, row.error or "") if row is not None and row.status == StepStatus.FAILED else None


def size(row: Mapping[str, Any] | None) -> int | None:
    """The `bytes` a find or verify row measured."""
    value = row.get("bytes") if row else None
    return int(value) if isinstance(value, (int, float)) else None

"""The costs and gains of tools on each object in earlier runs: the agents' memory, and the basis of estimates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aishell.models import History, StepStatus, Took
from aishell.state.connection import Connection, marks
from aishell.state.store import Store

RECENT = 20_000  # rows read per target
KEPT, SEEN = 10, 200  # costs stored per tool and object, and used per tool
_OUTCOMES = """SELECT tool, object, status, bytes_before, bytes_after FROM table_history
    WHERE target = :target ORDER BY id DESC LIMIT :recent"""
_COSTS = (
    "SELECT tool, object, seconds, work, unit FROM step_costs WHERE target = :target ORDER BY id DESC LIMIT :recent"
)
_SECONDS_PER_ROW = """SELECT sum(seconds) / sum(work) FROM step_costs
    WHERE target = :target AND tool = :tool AND object = :object AND unit = 'rows' AND work > 0"""
_FORGET = """DELETE FROM step_costs WHERE target = :target AND tool = :tool AND object = :object
    AND id <= (SELECT id FROM step_costs WHERE target = :target AND tool = :tool AND object = :object
               ORDER BY id DESC LIMIT 1 OFFSET :kept)"""


def remember(connection: Connection, cost: Mapping[str, Any]) -> None:
    """Store the cost of a step: target, tool, object, at, seconds, work, unit. Remove the oldest of its object."""
    connection.insert("step_costs", cost)
    which = {name: cost[name] for name in ("target", "tool", "object")}
    connection.execute(_FORGET, {**which, "kept": KEPT})


def load(store: Store, target: str) -> dict[tuple[str, str], History]:
    """Return (tool, object) -> its history on this target; (tool, "") is the tool's history over all objects."""
    took: dict[tuple[str, str], list[Took]] = defaultdict(list)
    idle: dict[tuple[str, str], list[bool]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.all(_OUTCOMES, {"target": target, "recent": RECENT}):
            if row.status == "ok":
                idle[row.tool, row.object].append((row.bytes_before or 0) <= (row.bytes_after or 0))
        for row in connection.all(_COSTS, {"target": target, "recent": RECENT}):
            for name in {row.object, ""}:
                took[row.tool, name].append(Took(row.seconds, row.work, row.unit))
    found = {}
    for key in took.keys() | idle.keys():
        useless = idle.get(key, [])
        streak = useless.index(False) if False in useless else len(useless)
        basis = "this table's history" if key[1] else "this tool's history on this target"
        found[key] = History(tuple(took.get(key, ())[:SEEN]), streak, basis)
    return found


def seconds_per_row(store: Store, target: str, tool: str, label: str) -> float | None:
    """Return the seconds per row of a tool on an object, pauses included; None if unknown."""
    found = store.value(_SECONDS_PER_ROW, {"target": target, "tool": tool, "object": label})
    return None if found is None else float(found)


def last_failure(store: Store, target: str, tools: Collection[str]) -> tuple[str, str] | None:
    """Return the run and the error if the last of these tools to run on this target failed."""
    wanted, values = marks(tools)
    sql = f"""SELECT steps.run_id, steps.status, steps.error FROM steps JOIN runs ON runs.id = steps.run_id
        WHERE runs.target = :target AND steps.tool IN ({wanted}) AND steps.status IN (:done, :failed)
        ORDER BY runs.created_at DESC, steps.step_index DESC LIMIT 1"""  # noqa: S608  nothing but marks
    row = store.first(sql, {**values, "target": target, "done": StepStatus.DONE, "failed": StepStatus.FAILED})
    return (row.run_id, row.error or "") if row is not None and row.status == StepStatus.FAILED else None


def last_tries(store: Store, target: str) -> dict[str, str]:
    """Return backup -> when it last passed a restore test on this target."""
    sql = """SELECT json_extract(steps.output, '$.backup_id') AS backup_id, max(steps.ended_at) AS at
        FROM steps JOIN runs ON runs.id = steps.run_id
        WHERE runs.target = :target AND steps.tool = 'restore_test' AND steps.status = :done GROUP BY 1"""
    return {str(row.backup_id): row.at for row in store.all(sql, {"target": target, "done": StepStatus.DONE})}


def size(row: Mapping[str, Any] | None) -> int | None:
    """Return the `bytes` that a find or verify row measured."""
    value = row.get("bytes") if row else None
    return int(value) if isinstance(value, (int, float)) else None

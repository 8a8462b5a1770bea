"""The base class of planners, which collect the steps of a plan. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aishell.engines import profile
from aishell.models import Evidence, Inventory, LeftOut, Step, Table, Task
from aishell.planning.variables import escaped


class Planner:
    """The steps of one plan while they are collected, with its warnings and what it leaves out."""

    def __init__(self, task: Task, inventory: Inventory) -> None:
        self.task, self.inventory, self.engine = task, inventory, profile(inventory.server.engine)
        self.steps: list[Step] = []
        self.warnings: list[str] = []
        self.left_out: list[LeftOut] = []
        self._ids: dict[str, int] = {}

    def add(
        self,
        name: str,
        tool: str,
        params: Mapping[str, Any],
        rationale: str,
        *,
        table: Table | None = None,
        evidence: Iterable[Evidence] = (),
        on_error: str = "continue",
        **fields: Any,
    ) -> str:
        """Append a step and return its id, made from `name` and `table`. `fields` are further fields of Step."""
        step = Step(
            id=self._id(name, table),
            tool=tool,
            params=params,
            index=len(self.steps),
            rationale=rationale,
            evidence=tuple(evidence),
            on_error=on_error,
            **fields,
        )
        self.steps.append(step)
        return step.id

    def report(self, tables: list[dict[str, Any]], kind: str, rationale: str, **fields: Any) -> None:
        """Append the report, the last step, which always runs."""
        params = {"tables": tables, "maintenance_type": kind}
        needs = tuple(step.id for step in self.steps)
        self.add("report", "generate_maintenance_report", params, rationale, needs=needs, always=True, **fields)

    def _id(self, name: str, table: Table | None) -> str:
        """Return a readable id, unique in the plan, such as `rebuild_orders`."""
        words = re.sub(r"[^a-z0-9]+", "_", table.table.lower()).strip("_")[:30] if table else ""
        base = f"{name}_{words or 'table'}" if table else name
        made, number = base, self._ids.get(base, 1)
        while made in self._ids:
            number += 1
            made = f"{base}_{number}"
        self._ids[base] = number
        self._ids.setdefault(made, 1)
        return made


def named(table: Table) -> dict[str, str]:
    """Return the parameters that name a table, as literal values."""
    return {"schema": escaped(table.schema), "table": escaped(table.table)}


def full_size(table: Table) -> int | None:
    """Return the bytes of a table with its indexes; None if unknown."""
    return None if table.bytes is None else table.bytes + (table.index_bytes or 0)

"""Compute a tool's result fields from what its blocks returned, as `returns` in its file defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aishell.codec import plain
from aishell.models import Row
from aishell.registry.tool import Tool
from aishell.running.context import Context, ObjectResult, ToolResult


def conclude(tool: Tool, values: Mapping[str, Any], results: Sequence[ObjectResult], context: Context) -> ToolResult:
    """Return the step's result from its objects, including those of an earlier attempt."""

    def rows(*statuses: str) -> list[Row]:
        return [{**one.before, "reason": one.reason} for status in statuses for one in results if one.status == status]

    ok = [one for one in results if one.status == "ok"]
    seen = [dict(one.after) for one in ok if one.after is not None]
    blocks = {
        "found": [dict(one.before) for one in results],
        "find": [dict(one.before) for one in ok],
        "verify": seen,
        "check": seen,
        "batches": [dict(one.after) for one in results if one.after is not None],
        **{status: rows(status) for status in ("ok", "failed", "corrupted")},
        "skipped": rows("skipped", "deferred"),
    }
    if "report" in tool.blocks:
        blocks["report"] = context.ask(tool, "report", values)
    return _summed_up(results, aggregate(tool, blocks), read_only=tool.read_only)


def _summed_up(results: Sequence[ObjectResult], output: dict[str, Any], *, read_only: bool) -> ToolResult:
    bad = [r for r in results if r.status == "failed" or (r.status == "corrupted" and not read_only)]
    idle = [r for r in results if r.status in ("skipped", "deferred")]
    named = "{0.label}: {0.reason}" if len(results) > 1 else "{0.reason}"
    reason = "; ".join(named.format(r) for r in (bad or idle)[:5]) or None
    if bad:
        return ToolResult("failed", output, tuple(results), reason, denied=any(r.denied for r in bad))
    if not idle or len(idle) < len(results):
        return ToolResult("done", output, tuple(results), reason)
    deferred = any(r.status == "deferred" for r in idle)
    return ToolResult("skipped", output, tuple(results), f"deferred: {reason}" if deferred else reason, deferred)


def so_far(tool: Tool, figures: Row) -> dict[str, Any]:
    """Return the result fields of an unfinished step that can be computed from the batches run so far."""
    known = {
        name: a
        for name, a in tool.returns.items()
        if all(block == "batches" and column in figures for block, column in a.operands)
    }
    return {name: _value(a.function, [([figures], column) for _, column in a.operands]) for name, a in known.items()}


def aggregate(tool: Tool, blocks: Mapping[str, list[Row]]) -> dict[str, Any]:
    """Return the result fields, as `returns` defines them."""
    return {
        name: _value(a.function, [(blocks.get(b, []), c) for b, c in a.operands]) for name, a in tool.returns.items()
    }


#: Function in `returns` -> its result from the rows of its blocks and the values of its columns.
_FUNCTIONS: Mapping[str, Callable[[list[Row], list[Any]], Any]] = {
    "count": lambda rows, values: len(rows),
    "rows": lambda rows, values: plain(rows),
    "object": lambda rows, values: plain(rows[0]) if rows else None,
    "list": lambda rows, values: values,
    "first": lambda rows, values: values[0] if values else None,
    "sum": lambda rows, values: sum(value for value in values if value is not None),
    "total": lambda rows, values: None if any(value is None for value in values) else sum(values),
    "max": lambda rows, values: max((value for value in values if value is not None), default=None),
}


def _value(function: str, operands: list[tuple[list[Row], str | None]]) -> Any:
    rows = [row for block, _ in operands for row in block]
    values = [plain(row.get(column)) for block, column in operands for row in block if column]
    return _FUNCTIONS[function](rows, values)

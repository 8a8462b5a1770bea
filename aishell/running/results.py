"""From what a tool's blocks returned to its result fields, as `returns` in its file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.codec import plain
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context, ObjectResult, ToolResult


def conclude(tool: Tool, values: Mapping[str, Any], results: Sequence[ObjectResult], context: Context) -> ToolResult:
    """The step's result from its objects, those of an earlier attempt included."""
    by_status: dict[str, list[Row]] = {}
    for result in results:
        by_status.setdefault(result.status, []).append({**result.before, "reason": result.reason})
    blocks = {
        "found": [dict(result.before) for result in results],
        "find": [dict(result.before) for result in results if result.status == "ok"],
        "verify": [dict(result.after) for result in results if result.status == "ok" and result.after is not None],
        "check": [dict(result.after) for result in results if result.status == "ok" and result.after is not None],
        "batches": [dict(result.after) for result in results if result.after is not None],
        **{name: by_status.get(name, []) for name in ("ok", "failed", "skipped", "corrupted")},
    }
    blocks["skipped"] += by_status.get("deferred", [])
    if "report" in tool.blocks:
        with context.reading() as session:
            blocks["report"] = session.query(render(tool, tool.blocks["report"], values, context.database))
    bad = [r for r in results if r.status == "failed" or (r.status == "corrupted" and not tool.read_only)]
    idle = [r for r in results if r.status in ("skipped", "deferred")]
    status = "failed" if bad else "skipped" if idle and len(idle) == len(results) else "done"
    reasons = [f"{r.label}: {r.reason}" if len(results) > 1 else str(r.reason) for r in (bad or idle)]
    put_off = status == "skipped" and any(r.status == "deferred" for r in results)
    reason = ("deferred: " if put_off else "") + "; ".join(reasons[:5])
    denied = any(r.denied for r in bad)
    return ToolResult(status, aggregate(tool, blocks), tuple(results), reason or None, put_off, denied)


def so_far(tool: Tool, figures: Row) -> dict[str, Any]:
    """The result fields of a step that has not come to its end, as far as the batches that ran tell them."""
    known = {
        name: a
        for name, a in tool.returns.items()
        if all(block == "batches" and column in figures for block, column in a.operands)
    }
    return {name: _value(a.function, [([figures], column) for _, column in a.operands]) for name, a in known.items()}


def aggregate(tool: Tool, blocks: Mapping[str, list[Row]]) -> dict[str, Any]:
    """The result fields, as `returns` says."""
    return {
        name: _value(a.function, [(blocks.get(b, []), c) for b, c in a.operands]) for name, a in tool.returns.items()
    }


def _value(function: str, operands: list[tuple[list[Row], str | None]]) -> Any:
    rows = [row for block, _ in operands for row in block]
    if function == "count":
        return len(rows)
    if function == "rows":
        return plain(rows)
    if function == "object":
        return plain(rows[0]) if rows else None
    values = [plain(row.get(column)) for block, column in operands for row in block if column]
    if function == "list":
        return values
    if function == "first":
        return values[0] if values else None
    known = [value for value in values if value is not None]
    if function == "total" and len(known) < len(values):
        return None
    if function in ("sum", "total"):
        return sum(known)
    return max(known, default=None)

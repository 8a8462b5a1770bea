"""The ways a tool can run. Each is written once; everything they send comes from a tool file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.models import Row
from aishell.plugins import load
from aishell.registry.foreseen import program
from aishell.registry.moved import current
from aishell.registry.render import render
from aishell.registry.schemas import check_schema
from aishell.registry.tool import ARCHIVE_VALUES, BATCH_VALUES, Tool
from aishell.running.batched import Batches
from aishell.running.context import Context, ToolResult
from aishell.running.per_object import Objects, groups
from aishell.running.results import aggregate
from aishell.running.staged import Stages
from aishell.running.undoing import Undoing


def find(tool: Tool, values: Mapping[str, Any], context: Context) -> list[Row] | None:
    """The objects `tool` would work on now, None when it has no `find`. Reads only."""
    if tool.runs not in ("statement", "each", "batched") or "find" not in tool.blocks:
        return None
    with context.reading() as session:
        return session.query(render(tool, tool.blocks["find"], values, context.database))


def run(tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
    """Run a tool on the objects `found` (from `find`, frozen before). Raises what stops the step as a whole."""
    if tool.runs == "query":
        result = _query(tool, values, context)
    elif tool.runs in ("program", "python"):
        result = ToolResult("done", _called(tool, values, context))
    elif tool.runs == "batched":
        result = _way(tool)(tool, values, context).run(found or [])
    else:
        kind = Undoing if tool.undoing else Stages if "check" in tool.blocks else Objects
        result = kind(tool, values, context).run([{}] if found is None else found)
    check_schema(result.output, tool.returns_schema, f"the result of {tool.name}")
    return result


def _way(tool: Tool) -> type[Batches]:
    """How its batches are made; what archives need is loaded for them alone."""
    if tool.archives == "write":
        from aishell.running.archive_write import Writing

        return Writing
    if tool.archives == "delete" and "relatives" in tool.parameters:
        from aishell.running.related_delete import DeletingRelated

        return DeletingRelated
    if tool.archives == "delete":
        from aishell.running.archive_delete import Deleting

        return Deleting
    if tool.archives == "load":
        from aishell.running.archive_load import Loading

        return Loading
    return Batches


def statements(
    tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
) -> list[Statement]:
    """The statements a step would send for these objects, for previews and digests. Sends nothing."""
    if tool.runs == "python":
        return []
    if tool.runs == "program":
        return program(tool, values, database)
    if tool.runs == "query":
        return [render(tool, block, values, database) for block in tool.blocks.values()]
    if tool.runs == "batched":
        later = (BATCH_VALUES | ARCHIVE_VALUES | tool.blocks["find"].columns) - values.keys()
        return [render(tool, tool.blocks["do"], values, database, later=later)]
    return [
        render(tool, tool.blocks[block], {**values, **group[0], "group": group}, database)
        for group in groups(tool, [{}] if found is None else found)
        for block in tool.stages(group[0])
    ]


def _query(tool: Tool, values: Mapping[str, Any], context: Context) -> ToolResult:
    results: dict[str, list[Row]] = {}
    with context.reading() as session:
        context.on_session(session)
        try:
            for number, block in enumerate(tool.blocks.values()):
                statement = render(tool, block, values, context.database)
                context.on_sent(statement, session)
                results[block.name] = session.query(statement)
                context.progress(number + 1, len(tool.blocks), block.comment)
        finally:
            context.on_session(None)
    return ToolResult("done", aggregate(tool, results))


def _called(tool: Tool, values: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """What the tool's callable returns; one that runs programs is given the tool, whose programs and blocks it uses."""
    if tool.runs == "python" and not (tool.implementation or "").startswith("aishell."):
        from aishell.running import python_process

        return python_process.call(tool, values, context)
    function = load(current(tool.implementation or ""), f"implementation of {tool.name},")
    return dict(function(tool, values, context) if tool.runs == "program" else function(values, context))

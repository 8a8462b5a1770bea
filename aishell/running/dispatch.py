"""The ways a tool can run. Each is written once; everything they send comes from a tool file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.models import Row
from aishell.plugins import load
from aishell.registry.moved import current
from aishell.registry.render import foreseen_program, render
from aishell.registry.schemas import check_schema
from aishell.registry.tool import ARCHIVE_VALUES, BATCH_VALUES, Tool
from aishell.running.batched import Batches
from aishell.running.context import Context, ToolResult
from aishell.running.per_object import Objects, groups
from aishell.running.results import aggregate
from aishell.running.staged import Stages
from aishell.running.undoing import Undoing


class Runner(ABC):
    """One way of running, by `runs` of a tool's file; what the file may hold for it is in `registry/ways.py`."""

    def find(self, tool: Tool, values: Mapping[str, Any], context: Context) -> list[Row] | None:
        """The objects it would work on now, None when it has none. Reads only."""
        return None

    @abstractmethod
    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        """What it would send for these objects. Sends nothing."""

    @abstractmethod
    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
        """Run it on the objects `found`. Raises what stops the step as a whole."""


class QueryRunner(Runner):
    """Each block is asked, in the file's order, in one session that may not write."""

    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        return [render(tool, block, values, database) for block in tool.blocks.values()]

    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
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


class ObjectRunner(Runner):
    """`do`, and the stages before it, for each object; without `find` once."""

    def find(self, tool: Tool, values: Mapping[str, Any], context: Context) -> list[Row] | None:
        if "find" not in tool.blocks:
            return None
        with context.reading() as session:
            return session.query(render(tool, tool.blocks["find"], values, context.database))

    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        return [
            render(tool, tool.blocks[block], {**values, **group[0], "group": group}, database)
            for group in groups(tool, [{}] if found is None else found)
            for block in tool.stages(group[0])
        ]

    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
        kind = Undoing if tool.undoing else Stages if "check" in tool.blocks else Objects
        return kind(tool, values, context).run([{}] if found is None else found)


class BatchRunner(ObjectRunner):
    """`do` for a range of rows after the other."""

    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        later = (BATCH_VALUES | ARCHIVE_VALUES | tool.blocks["find"].columns) - values.keys()
        return [render(tool, tool.blocks["do"], values, database, later=later)]

    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
        return _batches(tool)(tool, values, context).run(found or [])


class PythonRunner(Runner):
    """A callable that is given the values. Of another package it runs in a process of its own."""

    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        return []

    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
        if (tool.implementation or "").startswith("aishell."):
            return ToolResult("done", dict(_callable(tool)(values, context)))
        from aishell.running import python_process

        return ToolResult("done", python_process.call(tool, values, context))


class ProgramRunner(Runner):
    """A callable of aishell that is given the tool, whose programs and blocks it uses."""

    def statements(
        self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
    ) -> list[Statement]:
        return foreseen_program(tool, values, database)

    def run(self, tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
        return ToolResult("done", dict(_callable(tool)(tool, values, context)))


#: `runs` of a file -> what runs it.
RUNNERS: Mapping[str, Runner] = {
    "query": QueryRunner(),
    "statement": ObjectRunner(),
    "each": ObjectRunner(),
    "batched": BatchRunner(),
    "program": ProgramRunner(),
    "python": PythonRunner(),
}


def find(tool: Tool, values: Mapping[str, Any], context: Context) -> list[Row] | None:
    """The objects `tool` would work on now, None when it has no `find`. Reads only."""
    return RUNNERS[tool.runs].find(tool, values, context)


def statements(
    tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, database: Database
) -> list[Statement]:
    """The statements a step would send for these objects, for previews and digests. Sends nothing."""
    return RUNNERS[tool.runs].statements(tool, values, found, database)


def run(tool: Tool, values: Mapping[str, Any], found: Sequence[Row] | None, context: Context) -> ToolResult:
    """Run a tool on the objects `found` (from `find`, frozen before). Raises what stops the step as a whole."""
    result = RUNNERS[tool.runs].run(tool, values, found, context)
    check_schema(result.output, tool.returns_schema, f"the result of {tool.name}")
    return result


def _batches(tool: Tool) -> type[Batches]:
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


def _callable(tool: Tool) -> Callable[..., Mapping[str, Any]]:
    found: Callable[..., Mapping[str, Any]] = load(
        current(tool.implementation or ""), f"implementation of {tool.name},"
    )
    return found

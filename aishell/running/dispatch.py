"""The ways a tool can run. Each is written once; everything they send comes from a tool file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.models import Row
from aishell.planning.variables import named_tables
from aishell.plugins import load
from aishell.registry.moved import current
from aishell.registry.render import foreseen, foreseen_blocks, foreseen_program, render
from aishell.registry.schemas import check_schema
from aishell.registry.tool import ARCHIVE_VALUES, BATCH_VALUES, Tool
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.batched import Batches
from aishell.running.context import Context, ToolResult
from aishell.running.per_object import Objects, Stages, Undoing, groups
from aishell.running.results import aggregate

Values = Mapping[str, Any]
#: The objects that `find` returned; None for a tool without `find`, or before it was asked.
Found = Sequence[Row] | None


class Runner(ABC):
    """One way of running, by `runs` of a tool's file; what the file may hold for it is in `registry/ways.py`."""

    def find(self, tool: Tool, values: Values, context: Context) -> list[Row] | None:
        """The objects it would work on now, None when it has none. Reads only."""
        return None

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        """The objects that are known before it runs, `frozen` being those of the plan; None: they are found when it runs."""
        return [{}]

    @abstractmethod
    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        """What it would send for these objects. Sends nothing."""

    def statements_without(self, tool: Tool, known: Callable[[], Values], database: Database) -> list[Statement]:
        """What can be shown of it while a parameter depends on another step; `known` gives the other parameters."""
        return []

    @abstractmethod
    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        """Run it on the objects `found`. Raises what stops the step as a whole."""

    def cut_off(self, tool: Tool, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        """How far a step had come that was interrupted, with what may have run unseen; `reached` where nothing can have."""
        return reached

    def committing(self, tool: Tool, reached: BatchCheckpoint | None) -> bool:
        """Whether an interrupted step was committing all that it does as one transaction."""
        return False


class QueryRunner(Runner):
    """Each block is asked, in the file's order, in one session that may not write."""

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        return [render(tool, block, values, database) for block in tool.blocks.values()]

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
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


class StatementRunner(Runner):
    """`do`, and the stages before it, for the object that it is called with, or for those of its `find`."""

    def find(self, tool: Tool, values: Values, context: Context) -> list[Row] | None:
        return context.ask(tool, "find", values) if "find" in tool.blocks else None

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        needs_find = "find" in tool.blocks and not tool.blocks["do"].names <= tool.parameters.keys()
        return None if needs_find else [{}]

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        if found is None and "find" in tool.blocks:
            return [foreseen(tool, tool.blocks["do"], values, database)]
        return [
            render(tool, tool.blocks[block], {**values, **group[0], "group": group}, database)
            for group in groups(tool, [{}] if found is None else found)
            for block in tool.stages(group[0])
        ]

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        kind = Undoing if tool.undoing else Stages if "check" in tool.blocks else Objects
        return kind(tool, values, context).run([{}] if found is None else found)


class EachRunner(StatementRunner):
    """The same for each object that `find` returns."""

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        if frozen is not None:
            return [dict(row) for row in frozen]
        if tool.key and set(tool.key) <= {"schema", "table"}:
            return [{"schema": schema, "table": table} for schema, table in named_tables(values)]
        return None


class BatchRunner(StatementRunner):
    """`do` for a range of rows after the other."""

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        return [{}]

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        later = (BATCH_VALUES | ARCHIVE_VALUES | tool.blocks["find"].columns) - values.keys()
        return [render(tool, tool.blocks["do"], values, database, later=later)]

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        return _batches(tool)(tool, values, context).run(found or [])

    def cut_off(self, tool: Tool, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        return _batches(tool).cut_off(reached)

    def committing(self, tool: Tool, reached: BatchCheckpoint | None) -> bool:
        return _batches(tool).at_once and reached is not None and not reached.batches


class PythonRunner(Runner):
    """A callable that is given the values. Of another package it runs in a process of its own."""

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        return []

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        if (tool.implementation or "").startswith("aishell."):
            return ToolResult("done", dict(_callable(tool)(values, context)))
        from aishell.running import python_process

        return ToolResult("done", python_process.call(tool, values, context))


class ProgramRunner(Runner):
    """A callable of aishell that is given the tool, whose programs and blocks it uses."""

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        return foreseen_program(tool, values, database)

    def statements_without(self, tool: Tool, known: Callable[[], Values], database: Database) -> list[Statement]:
        return foreseen_blocks(tool, known(), database)

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        return ToolResult("done", dict(_callable(tool)(tool, values, context)))


#: `runs` of a file -> what runs it.
RUNNERS: Mapping[str, Runner] = {
    "query": QueryRunner(),
    "statement": StatementRunner(),
    "each": EachRunner(),
    "batched": BatchRunner(),
    "program": ProgramRunner(),
    "python": PythonRunner(),
}


def runner(tool: Tool) -> Runner:
    """How a tool runs."""
    return RUNNERS[tool.runs]


def find(tool: Tool, values: Values, context: Context) -> list[Row] | None:
    """The objects `tool` would work on now, None when it has no `find`. Reads only."""
    return runner(tool).find(tool, values, context)


def statements(tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
    """The statements a step would send for these objects, for previews and digests. Sends nothing."""
    return runner(tool).statements(tool, values, found, database)


def run(tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
    """Run a tool on the objects `found` (from `find`, frozen before). Raises what stops the step as a whole."""
    result = runner(tool).run(tool, values, found, context)
    check_schema(result.output, tool.returns_schema, f"the result of {tool.name}")
    return result


def _batches(tool: Tool) -> type[Batches]:
    """How its batches are made; what archives need is loaded for them alone."""
    if tool.archives == "write":
        from aishell.running.archive_write import Writing

        return Writing
    if tool.archives == "delete":
        from aishell.running.archive_delete import Deleting, DeletingRelated

        return DeletingRelated if "relatives" in tool.parameters else Deleting
    if tool.archives == "load":
        from aishell.running.archive_load import Loading

        return Loading
    return Batches


def _callable(tool: Tool) -> Callable[..., Mapping[str, Any]]:
    found: Callable[..., Mapping[str, Any]] = load(
        current(tool.implementation or ""), f"implementation of {tool.name},"
    )
    return found

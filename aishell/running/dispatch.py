"""The ways a tool can run, one class each. Everything they send comes from a tool file."""

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
#: The objects that `find` returned; None for a tool without `find`, or before it has run.
Found = Sequence[Row] | None


class Runner(ABC):
    """One way of running, named by `runs` in a tool's file; `registry/ways.py` lists what such a file may contain."""

    def find(self, tool: Tool, values: Values, context: Context) -> list[Row] | None:
        """Return the objects that the tool would work on now, None for a tool without `find`. Reads only."""
        return None

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        """Return the objects known before it runs; None: they are found when it runs. `frozen`: the objects of the plan."""
        return [{}]

    @abstractmethod
    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        """Return the statements that it would send for these objects. Sends nothing."""

    def statements_without(self, tool: Tool, known: Callable[[], Values], database: Database) -> list[Statement]:
        """Return what can be shown while a parameter depends on another step; `known` returns the other parameters."""
        return []

    @abstractmethod
    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        """Run the tool on the objects `found`. Raises what stops the step as a whole."""

    def cut_off(self, tool: Tool, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        """Return how far an interrupted step had come, with what may have run unseen; `reached` where nothing can have."""
        return reached

    def committing(self, tool: Tool, reached: BatchCheckpoint | None) -> bool:
        """Return whether an interrupted step was committing all of its work as one transaction."""
        return False


class QueryRunner(Runner):
    """Run each block, in the file's order, in one read-only session."""

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
    """Run `do`, and the stages before it, for the object in the call, or for those that `find` returns."""

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
    """Run the same for each object that `find` returns."""

    def planned(self, tool: Tool, values: Values, frozen: Sequence[Values] | None) -> list[Row] | None:
        if frozen is not None:
            return [dict(row) for row in frozen]
        if tool.key and set(tool.key) <= {"schema", "table"}:
            return [{"schema": schema, "table": table} for schema, table in named_tables(values)]
        return None


class BatchRunner(StatementRunner):
    """Run `do` for one range of rows after another."""

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
    """Call a Python callable with the values. One of another package runs in a process of its own."""

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        return []

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        if (tool.implementation or "").startswith("aishell."):
            return ToolResult("done", dict(_callable(tool)(values, context)))
        from aishell.running import python_process

        return ToolResult("done", python_process.call(tool, values, context))


class ProgramRunner(Runner):
    """Call a callable of aishell with the tool, whose programs and blocks it uses."""

    def statements(self, tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
        return foreseen_program(tool, values, database)

    def statements_without(self, tool: Tool, known: Callable[[], Values], database: Database) -> list[Statement]:
        return foreseen_blocks(tool, known(), database)

    def run(self, tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
        return ToolResult("done", dict(_callable(tool)(tool, values, context)))


#: `runs` of a file -> its runner.
RUNNERS: Mapping[str, Runner] = {
    "query": QueryRunner(),
    "statement": StatementRunner(),
    "each": EachRunner(),
    "batched": BatchRunner(),
    "program": ProgramRunner(),
    "python": PythonRunner(),
}


def runner(tool: Tool) -> Runner:
    """Return the runner of a tool."""
    return RUNNERS[tool.runs]


def find(tool: Tool, values: Values, context: Context) -> list[Row] | None:
    """Return the objects that `tool` would work on now, None for a tool without `find`. Reads only."""
    return runner(tool).find(tool, values, context)


def statements(tool: Tool, values: Values, found: Found, database: Database) -> list[Statement]:
    """Return the statements that a step would send for these objects, for previews and digests. Sends nothing."""
    return runner(tool).statements(tool, values, found, database)


def run(tool: Tool, values: Values, found: Found, context: Context) -> ToolResult:
    """Run a tool on the objects `found`, which `find` returned earlier. Raises what stops the step as a whole."""
    result = runner(tool).run(tool, values, found, context)
    check_schema(result.output, tool.returns_schema, f"the result of {tool.name}")
    return result


def _batches(tool: Tool) -> type[Batches]:
    """Return the class of the tool's batches; modules for archives are imported only for them."""
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

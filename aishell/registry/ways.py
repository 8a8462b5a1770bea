"""The ways in which tools run, and the form of their files: the blocks, the names in them, the sources of results.

`running/dispatch.py` has a class for each way, which finds a tool's objects, previews it and runs it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from aishell.errors import ToolFileError, UnknownNameError
from aishell.models import Risk
from aishell.registry.lists import unknown_in
from aishell.registry.programs import CLIENTS
from aishell.registry.tool import (
    ACKNOWLEDGED,
    ARCHIVE_FIGURES,
    ARCHIVE_VALUES,
    ARCHIVES,
    BATCH_FIGURES,
    BATCH_VALUES,
    FROZEN,
    KEY_RANGE,
    PACING,
    PASTED,
    STAGES,
    Aggregate,
    Block,
    Tool,
)
from aishell.registry.undo import check_undo
from aishell.settings.yamlfile import Document

_AGGREGATE = re.compile(r"^(\w+)\(\s*(\w+(?:\.\w+)?(?:\s*,\s*\w+)*)\s*\)$")
#: Function of a result -> the schema of its value.
_FUNCTIONS: dict[str, dict[str, Any]] = {
    "count": {"type": "integer"},
    "sum": {"type": "number"},
    "total": {"type": ["number", "null"]},
    "max": {},
    "first": {},
    "object": {"type": ["object", "null"]},
    "list": {"type": "array"},
    "rows": {"type": "array", "items": {"type": "object"}},
}
#: The functions that take a column of a block instead of the block.
_OF_COLUMN = frozenset({"sum", "total", "max", "first", "list"})
_DROPS = re.compile(r"^\s*(DROP|TRUNCATE)\b(?!\s+INDEX\b)", re.IGNORECASE)
_DROPS_DATABASE = re.compile(r"DROP\s+DATABASE\s+(?:IF\s+EXISTS\s+)?\{(\w+)\}", re.IGNORECASE)
_PARTS = re.compile(r"^\s*ALTER\s+TABLE\s.*\b(?:DROP|TRUNCATE|DETACH)\s+PARTITION\s+(\S+)", re.IGNORECASE | re.DOTALL)
_NONE: frozenset[str] = frozenset()


class Form(ABC):
    """The form of files with one way of running. Errors name the line."""

    #: Whether tools of this form start client programs.
    programs: ClassVar[bool] = False

    @abstractmethod
    def result(self, at: str, spec: Any, blocks: Mapping[str, Block]) -> Aggregate:
        """Return how a result is computed. Raises ValueError, which begins with `at`."""

    def check(self, tool: Tool, document: Document) -> None:
        """Raise ToolFileError if the file does not fit this way of running."""
        if tool.foresees is not None and not self.programs:
            raise ToolFileError(tool.source, document.line("foresees"), "`foresees` is for a tool with `runs: program`")
        if tool.programs and not self.programs:
            raise ToolFileError(tool.source, document.line("programs"), "`programs` are for `runs: program`")


class CalledForm(Form):
    """A Python callable, which returns the declared results."""

    def result(self, at: str, spec: Any, blocks: Mapping[str, Block]) -> Aggregate:
        schema = spec if isinstance(spec, dict) else {}
        return Aggregate("value", (), {key: rule for key, rule in schema.items() if key != "from"} or schema)

    def check(self, tool: Tool, document: Document) -> None:
        super().check(tool, document)
        if not tool.implementation or ":" not in tool.implementation:
            needed = "`implementation: package.module:function`"
            raise ToolFileError(tool.source, document.line("runs"), f"`runs: {tool.runs}` needs {needed}")
        for name, words in tool.programs.items():
            if words[0] not in CLIENTS:
                line = document.line("programs", name)
                raise ToolFileError(tool.source, line, unknown("client program", words[0], CLIENTS))


class ProgramForm(CalledForm):
    """A Python callable that starts client programs, which the file names with their arguments."""

    programs = True


class QueryForm(Form):
    """Queries: each block is one, under any name, and results are computed from its rows."""

    def result(self, at: str, spec: Any, blocks: Mapping[str, Block]) -> Aggregate:
        rules = {key: rule for key, rule in spec.items() if key != "from"} if isinstance(spec, dict) else {}
        expression = spec.get("from") if isinstance(spec, dict) else spec
        match = _AGGREGATE.match(str(expression))
        if not match or match[1] not in _FUNCTIONS:
            raise ValueError(f"{at}: {expression!r} is not an aggregate; write e.g. count(ok) or sum(find.bytes)")
        operands = []
        for operand in re.split(r"\s*,\s*", match[2]):
            block, _, column = operand.partition(".")
            self._check_operand(at, block, column, blocks)
            if bool(column) != (match[1] in _OF_COLUMN):
                raise ValueError(f"{at}: {match[1]}() takes {'block.column' if not column else 'a block'}")
            operands.append((block, column or None))
        return Aggregate(match[1], tuple(operands), {**_FUNCTIONS[match[1]], **rules})

    def _check_operand(self, at: str, block: str, column: str, blocks: Mapping[str, Block]) -> None:
        if block not in blocks:
            raise ValueError(f"{at}: there is no block `{block}`")
        if column and column not in blocks[block].columns:
            raise ValueError(f"{at}: the block `{block}` has no column `{column}` (write it as `… AS {column}`)")

    def check(self, tool: Tool, document: Document) -> None:
        super().check(tool, document)
        self.check_form(tool, document)
        self._check_names(tool, document)

    def check_form(self, tool: Tool, document: Document) -> None:
        """Raise ToolFileError for blocks that do not fit together."""

    def found(self, tool: Tool) -> frozenset[str]:
        """Return the columns of an object, which its statements may name."""
        return _NONE

    def known(self, tool: Tool, block: Block) -> set[str]:
        """Return the names that a block may use besides parameters and lists."""
        return set(KEY_RANGE) if tool.keyed and block.name != "find" else set()

    def read(self, tool: Tool) -> frozenset[str]:
        """Return the parameters that the runner reads itself, whether a block names them or not."""
        return _NONE

    def _check_names(self, tool: Tool, document: Document) -> None:
        """Raise ToolFileError for undeclared or unused names, pasted values, or too low a risk for a block that drops data."""
        if (wrong := unknown_in(tool.lists)) is not None:
            raise ToolFileError(tool.source, document.line("lists"), wrong)
        for block in tool.blocks.values():
            for fault in self._name_faults(tool, block):
                raise ToolFileError(tool.source, block.line, fault)
        used = _used(tool) | self.read(tool)
        for name in (name for name in tool.parameters if name not in used):
            line = document.line("parameters", name)
            raise ToolFileError(tool.source, line, f"the parameter `{name}` is used by no block")
        for name in tool.declared_key or (("schema", "table") if tool.grouped else ()):
            if name not in self.found(tool):
                text = f"`find` has no column `{name}`, which the key needs"
                raise ToolFileError(tool.source, document.line("key"), text)

    def _name_faults(self, tool: Tool, block: Block) -> Iterator[str]:
        known = {*tool.parameters, *tool.lists, *self.known(tool, block)}
        for name in sorted(block.names - known):
            yield f"`{name}` is neither a parameter nor a column of `find`"
        for name in block.pasted:
            if name in tool.parameters and (kind := tool.parameters[name].type) not in PASTED:
                yield f"`{{{name}}}` is a {kind}: bind it as `:{name}`"
        least = _least_risk(tool, block)
        if tool.risk_level.rank < least.rank:
            needed = f"`risk: {least}`" if least is Risk.CRITICAL else f"at least `risk: {least}`"
            yield f"what drops or truncates data must be {needed}"


class StatementForm(QueryForm):
    """A single statement, `do`, on the objects in the parameters."""

    blocks: ClassVar[tuple[str, ...]] = (
        *("find", "same", "probe", "check", "hold", *STAGES),
        *("verify", "leftovers", "cleanup", "report", "undo", "undone"),
    )
    needed: ClassVar[tuple[str, ...]] = ("do",)
    #: Lists of objects by outcome, from which results are computed as from blocks.
    lists: ClassVar[tuple[str, ...]] = ("ok", "failed", "skipped", "corrupted", "batches", "found")
    #: Blocks that change something, or query only for the runner.
    unkept: ClassVar[frozenset[str]] = frozenset({"do", "probe", "leftovers", "cleanup", "undo", "undone"})

    def _check_operand(self, at: str, block: str, column: str, blocks: Mapping[str, Block]) -> None:
        if block in self.unkept:
            raise ValueError(f"{at}: what `{block}` returns is not kept; take it from `find`, `verify` or `report`")
        if block in self.lists and block not in blocks:
            figures = BATCH_FIGURES | ARCHIVE_FIGURES | _columns(blocks, "verify")
            if block == "batches" and column not in figures:
                raise ValueError(f"{at}: {unknown('figure of batches', column, figures)}")
            return
        super()._check_operand(at, block, column, blocks)

    def check_form(self, tool: Tool, document: Document) -> None:
        for name in tool.blocks:
            if name not in self.blocks:
                raise ToolFileError(tool.source, tool.blocks[name].line, unknown("block", name, self.blocks))
        for name in self.needed:
            if name not in tool.blocks:
                raise ToolFileError(tool.source, document.line("runs"), f"`runs: {tool.runs}` needs a block `{name}`")
        for block, fault in self.faults(tool):
            raise ToolFileError(tool.source, tool.blocks[block].line, fault)
        check_undo(tool)

    def faults(self, tool: Tool) -> Iterator[tuple[str, str]]:
        """Yield (block, fault); only the first is reported."""
        blocks = tool.blocks
        yield from _stage_faults(tool)
        if "hold" in blocks and "same" not in blocks:
            yield "hold", "`hold` needs a block `same`"
        if "same" in blocks and "same" not in blocks["same"].columns:
            yield "same", "`same` has no column `same`"
        if tool.deletes and "same" not in blocks:
            yield "do", "a tool that deletes rows needs a block `same`, which checks that it is the object of `find`"
        if tool.deletes and "hold" in self.blocks and "hold" not in blocks:
            yield "do", "a tool that deletes rows needs a block `hold`"
        if "cleanup" in blocks and "leftovers" not in blocks:
            yield "cleanup", "`cleanup` needs a block `leftovers`"
        if "verify" not in blocks and not tool.read_only:
            yield "do", "a tool that changes something needs a block `verify`"

    def found(self, tool: Tool) -> frozenset[str]:
        return _columns(tool.blocks, "find")

    def known(self, tool: Tool, block: Block) -> set[str]:
        if block.name == "find":
            return set()
        left = _columns(tool.blocks, "leftovers") if block.name == "cleanup" else _NONE
        return {*super().known(tool, block), *self.found(tool), *left, *(("group",) if tool.grouped else ())}


class EachForm(StatementForm):
    """The statement `do`, with its stages, for each object that `find` returns."""

    needed = ("do", "find")


class BatchedForm(EachForm):
    """The statement `do`, repeated for an object, one range of its rows at a time."""

    blocks = ("find", "same", "newest", "next", "guard", "stands", "do", "follow", "verify", "report")

    def known(self, tool: Tool, block: Block) -> set[str]:
        names = super().known(tool, block)
        if block.name in ("next", "guard", "stands", "do"):
            names |= BATCH_VALUES
        if tool.archives in ("delete", "load") and block.name != "find":
            names |= ARCHIVE_VALUES
        if tool.archives in ("write", "delete") and block.name == "verify":
            names |= {"upto"}
        return names

    def read(self, tool: Tool) -> frozenset[str]:
        frozen = FROZEN if tool.parameters.keys() >= FROZEN else _NONE
        indexed = frozenset({"indexed"}) if "newest" in tool.blocks else _NONE
        return PACING | ACKNOWLEDGED | ARCHIVES.get(tool.archives or "", _NONE) | frozen | indexed


#: `runs` of a file -> its form.
FORMS: Mapping[str, Form] = {
    "query": QueryForm(),
    "statement": StatementForm(),
    "each": EachForm(),
    "batched": BatchedForm(),
    "program": ProgramForm(),
    "python": CalledForm(),
}


def unknown(kind: str, value: object, known: Any) -> str:
    """Return the message for an unknown name, with the nearest known name."""
    error = UnknownNameError(kind, str(value), [str(one) for one in known])
    return f"{error.message}; {error.hint}"


def _columns(blocks: Mapping[str, Block], name: str) -> frozenset[str]:
    return blocks[name].columns if name in blocks else _NONE


def _stage_faults(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield (block, fault): stages need a `check`, which returns the next one."""
    stages = [name for name in STAGES if name in tool.blocks and name != "do"]
    if "check" not in tool.blocks:
        yield from ((name, f"`{name}` needs a block `check`") for name in stages)
        return
    wanted = {"reason", "next"} if stages else {"reason"}
    for missing in sorted(wanted - tool.blocks["check"].columns):
        yield "check", f"`check` has no column `{missing}`"
    if tool.grouped or not tool.idempotent:
        yield "check", "`check` is for single objects of an `idempotent` tool"


def _used(tool: Tool) -> set[str]:
    """Return the parameters that blocks and lists name."""
    used = {name for block in tool.blocks.values() for name in block.names}
    if used & KEY_RANGE.keys():
        used |= {"key"}
    if tool.lists:
        used |= {"columns"}
    if any(listed.over != "columns" for listed in tool.lists.values()):
        used |= {"relatives"}
    return used


def _least_risk(tool: Tool, block: Block) -> Risk:
    """Return the least risk of a statement that drops data: high for partitions, critical for all else but scratch databases."""
    if _PARTS.match(block.text):
        return Risk.HIGH
    if not _DROPS.match(block.text):
        return Risk.SAFE
    if _drops_scratch(tool, block):
        return Risk.MEDIUM
    # The table that `detach` has detached, and no other, still counts as a partition.
    detached = _PARTS.match(tool.blocks["detach"].text) if "detach" in tool.blocks else None
    partition = detached is not None and " ".join(block.text.split()).upper() == f"DROP TABLE {detached[1]}".upper()
    return Risk.HIGH if partition else Risk.CRITICAL


def _drops_scratch(tool: Tool, block: Block) -> bool:
    """Whether it drops a scratch database, by its name: a parameter of type `scratch`, which no query returns."""
    match = _DROPS_DATABASE.fullmatch(block.text)
    named = tool.parameters.get(match[1]) if match else None
    if named is None or named.type != "scratch":
        return False
    return not any(named.name in one.columns for one in tool.blocks.values())

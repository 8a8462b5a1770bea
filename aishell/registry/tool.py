"""A tool: one operation on a database, with its contract."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aishell.claims import SCRATCH_NAME
from aishell.codec import digest
from aishell.commands import command
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import Params, Risk
from aishell.registry.clauses import Clause
from aishell.registry.lists import Listed
from aishell.registry.schemas import check_schema
from aishell.settings.schemas import TEXT, mapping


def _open(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of a mapping that has these keys and may have others."""
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


#: Operator of a filter -> its SQL; `:x` stands for the bound value.
OPERATORS = {
    "=": "= :x", "!=": "<> :x", "<": "< :x", "<=": "<= :x", ">": "> :x", ">=": ">= :x", "like": "LIKE :x",
    "in": "IN (:x)", "not in": "NOT IN (:x)", "is null": "IS NULL", "is not null": "IS NOT NULL",
}  # fmt: skip
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
FILTER = mapping(
    {
        "column": TEXT,
        "operator": {"enum": list(OPERATORS), "title": "operator"},
        "value": {"anyOf": [_SCALAR, _list(_SCALAR, 1)]},
    },
    "column",
    "operator",
    title="a filter",
)
_COLUMN = _open({"column": TEXT, "type": {"type": "string"}, "form": {"type": "string"}}, "column", "form")
_RELATIVE = _open(
    {"schema": TEXT, "table": TEXT, "columns": _list(_COLUMN, 1), "key": _list(TEXT)}, "schema", "table", "columns"
)
_EDGE = _open(
    {
        "parent": {"type": "integer", "minimum": 0},
        "child": {"type": "integer", "minimum": 1},
        "pairs": _list({"type": "array", "minItems": 2}, 1),
    },
    *("parent", "child", "pairs"),
)
#: Parameter type -> JSON Schema.
PARAMETER_TYPES: dict[str, dict[str, Any]] = {
    "identifier": TEXT,
    "identifier_list": _list(_open({"schema": TEXT, "table": TEXT}, "schema", "table")),
    "scratch": {"type": "string", "pattern": rf"^{SCRATCH_NAME}$(?!\n)"},
    "keyword": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "scalar": _SCALAR,
    "filters": _list(FILTER),
    "columns": _list(_COLUMN, 1),
    "key": _list(TEXT, 1),
    #: The tables related to one, and the foreign keys between them.
    "relatives": _open({"tables": _list(_RELATIVE), "edges": _list(_EDGE)}, "tables", "edges"),
    "array": {"type": "array"},
    "object": {"type": "object"},
}
#: The statements for an object of `each`, in order; most tools have only the last.
STAGES = ("detach", "finalize", "do")
#: `batched`: the values that the runner passes to `next` and `do`; below, its own parameters, and the figures that it adds.
BATCH_VALUES = frozenset({"position", "size", "skip", "upto", "most"})
#: Conditions that a tool with a parameter of type `key` may paste: that a row lies after `position`, and up to `upto`.
KEY_RANGE = {"after": (">", "position"), "until": ("<=", "upto")}
#: Facts about the table that an archive stores, for the deletion of its rows.
ARCHIVE_VALUES = frozenset({"horizon", "filenode", "archived_rows", "whole"})
#: `archives` -> the parameters that the runner reads itself.
ARCHIVES = {
    "write": frozenset({"path", "format"}),
    "delete": frozenset({"archive"}),
    "load": frozenset({"archive", "part", "more", "within"}),
}
PACING = frozenset({"batch_target_ms", "max_rows", "sleep"})
#: Parameters of a deletion that serve only its gates, its approval and its undoing: the file with the archived rows, what is
#: deleted or changed with them, and the form of each column in the file.
ACKNOWLEDGED = frozenset({"archive", "cascades", "changes", "columns"})
#: Prefix of the name of a tool that is made from another's block `undo`.
UNDO = "undo_"
#: Parameters that a plan freezes: a step planned with the first gets the second (see `execution.preview`).
FROZEN = frozenset({"retention_days", "cutoff"})
BATCH_FIGURES = frozenset("rows_deleted batches longest_batch_ms seconds uncounted_batches rows_uncounted".split())
ARCHIVE_FIGURES = frozenset(
    """archive_path archive_id rows_archived archive_bytes rows_left rows_loaded rows_left_out rows_in_doubt rows_postponed
    relatives_archived relatives_deleted relatives_changed rows_cascaded""".split()
)
#: Types of parameters that an edit may change: how much and how fast. Parameters that name anything have other types.
TUNING = frozenset({"integer", "number"})
#: Types that may be pasted into SQL as {x}.
PASTED = frozenset({"identifier", "identifier_list", "scratch", "keyword", "integer", "filters", "key"})


@dataclass(frozen=True)
class Parameter:
    """A parameter of a tool; without a default it is required."""

    name: str
    type: str
    required: bool
    default: Any = None
    rules: Mapping[str, Any] = field(default_factory=dict)  # enum, minimum, maximum, description
    #: Whether an approver may change it. Other parameters identify the objects of the step, which the plan was made for.
    editable: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        schema = {**PARAMETER_TYPES[self.type], **self.rules}
        if not self.required and self.default is None:
            given = schema["type"]
            schema["type"] = [*(given if isinstance(given, list) else [given]), "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        return schema


_QUERY = re.compile(r"\s*(SELECT|WITH|SHOW|EXPLAIN)\b", re.IGNORECASE)
#: Effects that a query can have.
_EFFECT = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|MERGE\s+INTO|UPDATE\s+\S+\s+SET|INTO\s+(OUTFILE|DUMPFILE)|FOR\s+UPDATE|"
    r"pg_(terminate|cancel)_backend|pg_(create|drop)\w*slot|pg_switch_wal|pg_backup_\w+|set_config|nextval|setval|lo_\w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    """One SQL statement of a tool, in pieces: ("text" | "paste" | "bind", value)."""

    name: str
    comment: str
    line: int
    pieces: tuple[tuple[str, str], ...]

    @cached_property
    def looks(self) -> bool:
        """Whether the block is a query without side effects, judged by its text."""
        return bool(_QUERY.match(self.text)) and not _EFFECT.search(self.text)

    @cached_property
    def text(self) -> str:
        """The statement as in the file, without comments."""
        show = {"text": "{}", "paste": "{{{}}}", "bind": ":{}"}
        return "".join(show[kind].format(value) for kind, value in self.pieces)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(value for kind, value in self.pieces if kind != "text")

    @cached_property
    def pasted(self) -> tuple[str, ...]:
        """The names pasted into the statement, in order, without duplicates."""
        return tuple(dict.fromkeys(value for kind, value in self.pieces if kind == "paste"))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that a SELECT names with AS."""
        return frozenset(re.findall(r'\bAS\s+["`]?(\w+)["`]?', self.text, re.IGNORECASE))


@dataclass(frozen=True)
class Aggregate:
    """How a result field is computed: `sum(find.bytes)` is ("sum", (("find", "bytes"),))."""

    function: str
    operands: tuple[tuple[str, str | None], ...]
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Undo:
    """How a finished step of a tool is undone: a call of `tool`, if `when` holds. `how` is shown to people.

    `params` and `when` may use `${params.x}` and `${output.y}` of that step, and `${target.identity}` as planned.
    """

    tool: str
    how: str
    params: Mapping[str, Any]
    when: str | None = None


@dataclass(frozen=True)
class Traits:
    """The properties of a way of running that gates, previews and recovery depend on. The form of its file: `registry.ways`."""

    reads: bool = False  # all its blocks are queries
    calls: bool = False  # a callable decides what is sent
    unseen: bool = False  # and what is sent is unknown before the run
    single: bool = False  # it has one object, or none
    batches: bool = False  # it runs in short transactions, and can be stopped between any two


#: `runs` of a file -> its traits.
WAYS: Mapping[str, Traits] = {
    "query": Traits(reads=True),
    "statement": Traits(single=True),
    "each": Traits(),
    "batched": Traits(batches=True),
    "program": Traits(calls=True),
    "python": Traits(calls=True, unseen=True),
}


@dataclass(frozen=True)
class Tool:
    """A registered operation, as its file in `tools/` declares it."""

    name: str
    engine: str  # the folder: postgresql | mysql | sqlite | common
    clauses: tuple[Clause, ...]
    description: str
    category: str
    risk_level: Risk
    required_capabilities: frozenset[str]
    runs: str  # query | statement | each | batched | python
    parameters: Mapping[str, Parameter]
    returns: Mapping[str, Aggregate]
    blocks: Mapping[str, Block]
    source: str  # path relative to the site or the package, e.g. tools/postgresql/optimize_table.sql
    text: str
    lock: str = "none"
    transaction: str = "none"
    max_execution_time: int | None = None
    idempotent: bool = False
    group: int = 1
    batch: int = 1  # the size of the first batch
    deletes: bool = False  # whether it deletes rows of the application
    archives: str | None = None  # batched: write | delete | load; the chunks of an archive are its batches
    forms: Mapping[str, str] = field(default_factory=dict)  # form of a column -> how its values are written
    lists: Mapping[str, Listed] = field(default_factory=dict)  # name -> the list that is pasted
    declared_key: tuple[str, ...] = ()
    lock_timeout: float | None = None
    locks_too: Mapping[str, str] = field(default_factory=dict)  # locks on other tables, by safety/locks.py's ROLES
    requires_approval: bool = False
    rate_limit: int | None = None
    implementation: str | None = None
    foresees: str | None = None  # program: the callable that returns what will be sent, if the file cannot
    programs: Mapping[str, Sequence[str]] = field(default_factory=dict)  # name -> client program and its arguments
    examples: tuple[Mapping[str, Any], ...] = ()
    undone_by: Undo | None = None  # the call of another tool, if it has no block `undo`
    privileges: tuple[str, ...] = ()  # what the role needs on the table in its parameters, else on the whole database
    of_site: bool = False  # not shipped with aishell
    undoing: bool = False  # made from the block `undo` of a file, by `registry.undoing`

    @cached_property
    def undo(self) -> Undo | None:
        """The call that undoes it; None if it cannot be undone."""
        if "undo" not in self.blocks:
            return self.undone_by
        return Undo(UNDO + self.name, self.blocks["undo"].comment, {n: f"${{params.{n}}}" for n in self.parameters})

    @property
    def undo_text(self) -> str:
        """A clause that says whether a step can be undone, and how."""
        if self.undo:
            return f"can be undone: {self.undo.how}"
        archived = self.deletes and "archive" in self.parameters
        return "cannot be undone" + ("; `archives load` puts the rows of its archive back" if archived else "")

    @cached_property
    def version(self) -> str:
        """The digest of the text: a changed file is a different tool."""
        return digest(self.text)

    def line_of(self, key: str) -> int:
        """Return the line of a key in the header; 1 if it has no such key."""
        lines = enumerate(self.text.splitlines(), 1)
        return next((number for number, line in lines if line.removeprefix("-- ").startswith(f"{key}:")), 1)

    @property
    def way(self) -> Traits:
        return WAYS[self.runs]

    @property
    def read_only(self) -> bool:
        return self.way.reads or self.risk_level is Risk.SAFE

    @property
    def repeatable(self) -> bool:
        """Whether it may run again if its result is unknown; a callable resumes from the state that it finds."""
        return self.way.reads or self.way.calls or self.read_only or self.idempotent

    @cached_property
    def keyed(self) -> bool:
        """Whether it takes a key, whose ranges are its batches."""
        return any(parameter.type == "key" for parameter in self.parameters.values())

    @property
    def grouped(self) -> bool:
        return self.group > 1

    def stages(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the statements for an object of `find`: its own `next`, if it has one, and `do`."""
        return tuple(dict.fromkeys((str(row.get("next") or "do"), "do"))) if "check" in self.blocks else ("do",)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of `find` that name its object: as declared, else `schema` and `table` of a group, else those in `do`."""
        if self.declared_key:
            return self.declared_key
        if self.grouped:
            return ("schema", "table")
        if "do" not in self.blocks or "find" not in self.blocks:
            return ()
        find = self.blocks["find"].columns
        return tuple(name for name in self.blocks["do"].pasted if name in find and name not in self.parameters)

    @cached_property
    def identity(self) -> frozenset[str]:
        """The columns of `find` that distinguish its object from a later one of the same name: those that `same` compares."""
        if "same" not in self.blocks or "find" not in self.blocks:
            return frozenset()
        compared = self.blocks["same"].names & self.blocks["find"].columns
        return compared - self.parameters.keys() - set(self.key)

    def among(self, known: Sequence[Mapping[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the `rows` (of `find`) that are objects in `known`, by name. A tool that deletes also compares the identity, if
        all of `known` has it. (For others, a rebuild in the same run may have changed the object's identity.)
        """
        identity = [name for name in sorted(self.identity) if self.deletes and all(name in row for row in known)]
        columns = (*self.key, *identity)
        objects = {tuple(row.get(name) for name in columns) for row in known}
        return [row for row in rows if tuple(row.get(name) for name in columns) in objects]

    def bound(self, block: str) -> bool:
        """Whether a statement binds the identity itself, so that it finds nothing in another object of the same name."""
        return bool(self.identity) and block in self.blocks and self.identity <= self.blocks[block].names

    @cached_property
    def parameters_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {p.name: p.schema for p in self.parameters.values()},
            "required": [p.name for p in self.parameters.values() if p.required],
            "additionalProperties": False,
        }

    @cached_property
    def returns_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: dict(aggregate.schema) for name, aggregate in self.returns.items()},
            "required": list(self.returns),
        }

    def prepare(self, params: Params, later: Collection[str] = ()) -> dict[str, Any]:
        """Check `params` against the schema, and return them with defaults; those named in `later` are not known yet.

        Raises UnknownNameError for a parameter that the tool does not have, ParameterError for a missing or invalid value.
        """
        for name in params:
            if name not in self.parameters:
                raise UnknownNameError("parameter", name, self.parameters, f"a call of {self.name}")
        known = [p for p in self.parameters.values() if p.name not in later]
        missing = [p.name for p in known if p.required and p.name not in params]
        if missing:
            raise ParameterError(
                f"{self.name} needs the parameter {missing[0]!r}", hint=f"see `{command('tools', 'show', self.name)}`"
            )
        values = {p.name: params.get(p.name, p.default) for p in known}
        schema = {**self.parameters_schema, "required": [p.name for p in known if p.required]}
        check_schema(values, schema, f"a call of {self.name}")
        if self.parameters.keys() >= FROZEN and not FROZEN & set(later) and values["cutoff"] is None:
            raise ParameterError(f"{self.name} needs cutoff or, in a plan that is to be made, retention_days")
        return values

"""A tool: one operation on a database, with its contract."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aishell.errors import ParameterError, UnknownNameError
from aishell.models import Params, Risk, digest

_OBJECT = {
    "type": "object",
    "properties": {
        "schema": {"type": "string", "minLength": 1},
        "table": {"type": "string", "minLength": 1},
    },
    "required": ["schema", "table"],
}
#: Parameter type -> JSON Schema.
PARAMETER_TYPES: dict[str, dict[str, Any]] = {
    "identifier": {"type": "string", "minLength": 1},
    "identifier_list": {"type": "array", "items": _OBJECT},
    "keyword": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array"},
    "object": {"type": "object"},
}
#: Types that may be pasted into SQL as {x}.
PASTED = frozenset({"identifier", "identifier_list", "keyword", "integer"})


@dataclass(frozen=True)
class Parameter:
    """A parameter of a tool; without a default it is required."""

    name: str
    type: str
    required: bool
    default: Any = None
    rules: Mapping[str, Any] = field(default_factory=dict)  # enum, minimum, maximum, description

    @property
    def schema(self) -> dict[str, Any]:
        schema = {**PARAMETER_TYPES[self.type], **self.rules}
        if not self.required and self.default is None:
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
        return schema


@dataclass(frozen=True)
class Clause:
    """`postgresql >= 12 < 17, with pgstattuple`: which servers a file is for."""

    product: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...] = ()
    with_: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def fits(self, product: str, version: tuple[int, ...], features: frozenset[str]) -> bool:
        return (
            self.product == product
            and all(_compare(version, operator, bound) for operator, bound in self.bounds)
            and self.with_ <= features
            and not self.without & features
        )

    def disjoint(self, other: Clause) -> bool:
        """Whether no server fits both."""
        if self.product != other.product or self.with_ & other.without or other.with_ & self.without:
            return True
        edges = {bound for _, bound in (*self.bounds, *other.bounds)} | {(0,)}
        probes = (
            edges
            | {(*edge[:-1], edge[-1] + 1) for edge in edges}
            | {(*edge[:-1], max(edge[-1] - 1, 0)) for edge in edges}
        )
        everything = self.bounds + other.bounds
        return not any(all(_compare(probe, o, b) for o, b in everything) for probe in probes)


@dataclass(frozen=True)
class Block:
    """One SQL statement of a tool, in pieces: ("text" | "paste" | "bind", value)."""

    name: str
    comment: str
    line: int
    pieces: tuple[tuple[str, str], ...]

    @cached_property
    def text(self) -> str:
        """The statement as it stands in the file, without comments."""
        show = {"text": "{}", "paste": "{{{}}}", "bind": ":{}"}
        return "".join(show[kind].format(value) for kind, value in self.pieces)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(value for kind, value in self.pieces if kind != "text")

    @cached_property
    def pasted(self) -> tuple[str, ...]:
        """Names pasted into the statement, in order, each once."""
        return tuple(dict.fromkeys(value for kind, value in self.pieces if kind == "paste"))

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns a SELECT declares with AS."""
        return frozenset(re.findall(r'\bAS\s+["`]?(\w+)["`]?', self.text, re.IGNORECASE))


@dataclass(frozen=True)
class Aggregate:
    """How a result field is made: `sum(find.bytes)` is ("sum", (("find", "bytes"),))."""

    function: str
    operands: tuple[tuple[str, str | None], ...]
    schema: Mapping[str, Any]


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
    runs: str  # query | statement | each | python
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
    declared_key: tuple[str, ...] = ()
    lock_timeout: float | None = None
    requires_approval: bool = False
    rate_limit: int | None = None
    implementation: str | None = None
    examples: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def version(self) -> str:
        """The digest of the file: a changed file is another tool."""
        return digest(self.text)

    @property
    def read_only(self) -> bool:
        return self.runs == "query" or self.risk_level is Risk.SAFE

    @property
    def grouped(self) -> bool:
        return self.group > 1

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of `find` that name its object: as declared, else those `do` pastes, else `schema` and `table`."""
        if self.declared_key:
            return self.declared_key
        if self.grouped:
            return ("schema", "table")
        if "do" not in self.blocks or "find" not in self.blocks:
            return ()
        find = self.blocks["find"].columns
        return tuple(name for name in self.blocks["do"].pasted if name in find and name not in self.parameters)

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
        """`params` checked against the schema, with defaults filled in; those named in `later` are not known yet.

        Raises UnknownNameError for a parameter the tool does not take, ParameterError for a missing or wrong value.
        """
        for name in params:
            if name not in self.parameters:
                raise UnknownNameError("parameter", name, self.parameters, f"a call of {self.name}")
        known = [p for p in self.parameters.values() if p.name not in later]
        missing = [p.name for p in known if p.required and p.name not in params]
        if missing:
            raise ParameterError(
                f"{self.name} needs the parameter {missing[0]!r}", hint=f"see `aishell tools show {self.name}`"
            )
        values = {p.name: params.get(p.name, p.default) for p in known}
        schema = {**self.parameters_schema, "required": [p.name for p in known if p.required]}
        check_schema(values, schema, f"a call of {self.name}")
        return values


def check_schema(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raises ParameterError naming the value, its place and what would fit."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(dict(schema)).iter_errors(value))
    if error is not None:
        place = "".join(f".{part}" for part in error.absolute_path) or ""
        raise ParameterError(f"in {where}{place}: {error.message}")


def _compare(version: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    padded = (*version, 0, 0, 0)[: max(len(bound), 1)]
    return {
        ">=": padded >= bound,
        ">": padded > bound,
        "<": padded < bound,
        "<=": padded <= bound,
        "==": padded == bound,
    }[operator]

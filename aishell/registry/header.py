"""Reads one file of `tools/`: header grammar, blocks, and the checks that need only the file.

The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from aishell.engines import PROFILES
from aishell.errors import ParameterError, SettingsError, ToolFileError
from aishell.models import CAPABILITIES, CATEGORIES, Risk
from aishell.registry.clauses import read_clauses
from aishell.registry.fragments import expand
from aishell.registry.guards import Choice, choices
from aishell.registry.lists import Listed
from aishell.registry.render import split
from aishell.registry.schemas import check_schema
from aishell.registry.tool import ARCHIVES, PARAMETER_TYPES, TUNING, Block, Parameter, Tool
from aishell.registry.undo import read_undo
from aishell.registry.ways import FORMS, unknown
from aishell.settings.schemas import TEXT, TEXTS, mapping, number, whole
from aishell.settings.validation import faults
from aishell.settings.yamlfile import Document, parse

_BLOCK = re.compile(r"^-- ([a-z_]+):[ \t]*(.*)$", re.MULTILINE)
#: Engine -> privileges that a tool may require.
PRIVILEGES: Mapping[str, Sequence[str]] = {engine.name: engine.privileges for engine in PROFILES.values()}
_BIGINT = number(-(2**63), 2**63 - 1)
#: The most seconds that a statement, and a wait for a lock, may take.
_WEEK, _HOUR = 7 * 86400, 3600
_CODE: dict[str, Any] = {"type": "string", "format": "code"}
_TEXT_OR_MAPPING: dict[str, Any] = {"anyOf": [TEXT, {"type": "object"}]}
PARAMETER = mapping(
    {
        "type": {"enum": list(PARAMETER_TYPES), "title": "type"},
        "default": {},
        "enum": {"type": "array", "minItems": 1, "unique": ()},
        "minimum": _BIGINT,
        "maximum": _BIGINT,
        "description": TEXT,
        "editable": {"type": "boolean"},
        "items": {"type": "object"},
    },
    "type",
    title="a parameter",
)
_EXAMPLE = mapping({"params": {"type": "object"}, "description": TEXT}, "params", title="an example")


def _each(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping from any names to such values."""
    return {"type": "object", "additionalProperties": schema}


#: The keys of a tool file (tools/README.md describes them).
HEADER = mapping(
    {
        "name": TEXT,
        "engine": TEXT,
        "category": {"enum": sorted(CATEGORIES), "title": "category"},
        "risk": {"enum": [str(risk) for risk in Risk], "title": "risk"},
        "capabilities": {**TEXTS, "items": {"enum": sorted(CAPABILITIES), "title": "capability"}, "minItems": 1},
        "runs": {"enum": list(FORMS), "title": "way of running"},
        "returns": _each(_TEXT_OR_MAPPING),
        "parameters": _each(PARAMETER),
        "privileges": {**TEXTS, "minItems": 1},
        "key": TEXTS,
        "lock": TEXT,
        "locks_too": _each(TEXT),
        "transaction": {"enum": ["none", "single"], "title": "transaction"},
        "max_execution_time": whole(1, _WEEK),
        "lock_timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": _HOUR},
        "rate_limit": whole(1, 100_000),
        "group": whole(1, 100_000),
        "batch": whole(1, 10_000_000),
        **{key: {"type": "boolean"} for key in ("idempotent", "requires_approval", "deletes")},
        "implementation": {**_CODE, "title": "implementation"},
        "foresees": {**_CODE, "title": "foresees"},
        "programs": _each({"type": "array", "items": {"type": "string"}, "minItems": 1}),
        "examples": {"type": "array", "items": _EXAMPLE},
        "description": TEXT,
        "archives": {"enum": list(ARCHIVES), "title": "value of archives"},
        "forms": _each(TEXT),
        "lists": _each(_TEXT_OR_MAPPING),
        "undo": {"type": "object"},
    },
    *("name", "category", "risk", "capabilities", "runs", "returns", "description"),
    title="the header",
)
#: Keys whose values a tool keeps unchanged.
_AS_WRITTEN = (
    *("description", "category", "runs", "lock", "locks_too", "transaction", "max_execution_time", "lock_timeout"),
    *("rate_limit", "group", "batch", "idempotent", "requires_approval", "deletes", "implementation", "foresees"),
    *("programs", "archives", "forms"),
)


def read_tools(
    text: str, source: str, engine: str, fragments: Path | None = None, wall: Callable[[Tool], None] | None = None
) -> list[Tool]:
    """Return the tools in `text`, several if it has guards; the text of each contains its includes from the folder `fragments`.

    Raises ToolFileError with file and line for a violation of the grammar, and what `wall` raises.
    """
    if source.endswith(".yaml"):
        return [_looked(_build(_yaml(text, source), {}, source, engine, text), wall)]
    return [_read(choice, source, engine, wall) for choice in choices(expand(text, source, fragments), engine)]


def read_tool(
    text: str, source: str, engine: str, fragments: Path | None = None, wall: Callable[[Tool], None] | None = None
) -> Tool:
    """Return the tool in a text that defines exactly one, as stored with a plan. Raises ToolFileError."""
    tools = read_tools(text, source, engine, fragments, wall)
    if len(tools) != 1:
        raise ToolFileError(source, 1, f"expected one tool, but its guards make {len(tools)}")
    return tools[0]


def _read(choice: Choice, source: str, engine: str, wall: Callable[[Tool], None] | None) -> Tool:
    text = choice.text
    try:
        header, body_line = _header(text, source)
        blocks = _blocks(text, body_line, source, engine)
        return _looked(_build(_yaml(header, source), blocks, source, engine, text), wall)
    except ToolFileError as error:
        path, line = choice.places[min(error.line, len(choice.places)) - 1]
        raise ToolFileError(path, line, error.message.removeprefix(f"{error.path}:{error.line}: ")) from error


def _looked(tool: Tool, wall: Callable[[Tool], None] | None) -> Tool:
    """Return the tool, checked by the wall, if there is one."""
    if wall is not None:
        wall(tool)
    return replace(tool, of_site=wall is not None)


def _header(text: str, source: str) -> tuple[str, int]:
    """Return the YAML of the leading comment, with the prose below as its `description`, and the number of header lines."""
    lines = text.splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    stripped = [line[2:].removeprefix(" ") for line in lines[:end]]
    prose = next((n for n, line in enumerate(stripped) if not line.strip()), end)
    description = " ".join(line.strip() for line in stripped[prose:]).strip()
    if not description:
        raise ToolFileError(
            source, max(end, 1), "the description is missing: prose below the header, after an empty `--` line"
        )
    quoted = description.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join([*stripped[:prose], f'description: "{quoted}"']), end


def _yaml(text: str, source: str) -> Document:
    try:
        document = parse(text, source)
    except SettingsError as error:
        path, line, message = error.message.removeprefix(source).partition(":")[2].partition(":")
        raise ToolFileError(source, int(path or 1) if path.isdigit() else 1, message.strip() or line) from error
    if not isinstance(document.data, dict):
        raise ToolFileError(source, 1, "the header is missing")
    return document


def _blocks(text: str, body_line: int, source: str, engine: str) -> dict[str, Block]:
    lines = text.splitlines(keepends=True)
    body = "".join(lines[body_line:])
    marks = list(_BLOCK.finditer(body))
    if not marks:
        raise ToolFileError(source, body_line + 1, "no block: write `-- do: what it does` above the SQL")
    blocks = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        name, line = mark[1], body_line + body.count("\n", 0, mark.start()) + 1
        sql = body[mark.end() : following.start() if following else None].strip()
        if name in blocks:
            raise ToolFileError(source, line, f"duplicate block `{name}`")
        pieces = split(sql, engine, source, line)
        if not any(value.strip() for _, value in pieces):
            raise ToolFileError(source, line, f"the block `{name}` is empty")
        blocks[name] = Block(name, mark[2].strip(), line, pieces)
    return blocks


def _build(document: Document, blocks: Mapping[str, Block], source: str, engine: str, text: str) -> Tool:
    data = document.data

    def refuse(message: str, *key: object) -> ToolFileError:
        return ToolFileError(source, document.line(*key), message)

    for fault in faults(data, HEADER, {}):
        raise refuse(f"{fault.message}; {fault.hint}", *fault.at)
    if data.get("transaction", "none") != "none":
        # Progress is recorded per object, and an interrupted step resumes after the last, so no object can be rolled back.
        raise refuse(
            f"transaction must be none, not {data['transaction']!r}: each statement is committed separately",
            "transaction",
        )
    name = str(data["name"])
    if name != PurePosixPath(source).stem or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise refuse(f"the name {name!r} does not match the file name", "name")
    try:
        parameters = {n: _parameter(n, spec) for n, spec in (data.get("parameters") or {}).items()}
        form = FORMS[data["runs"]]
        returns = {n: form.result(f"returns.{n}", spec, blocks) for n, spec in data["returns"].items()}
        tool = Tool(
            name=name,
            engine=engine,
            source=source,
            text=text,
            blocks=blocks,
            clauses=read_clauses(str(data.get("engine", "")), engine),
            risk_level=Risk(data["risk"]),
            required_capabilities=frozenset(data["capabilities"]),
            parameters=parameters,
            returns=returns,
            lists={n: Listed.of(spec) for n, spec in (data.get("lists") or {}).items()},
            declared_key=tuple(data.get("key") or ()),
            examples=tuple(data.get("examples") or ()),
            privileges=_privileges(data.get("privileges") or (), engine),
            undone_by=read_undo(data["undo"], parameters, returns) if data.get("undo") else None,
            **{key: data[key] for key in _AS_WRITTEN if data.get(key) is not None},
        )
    except ValueError as error:
        key = str(error).split(":")[0].split(".")  # as `parameters.rows`
        raise refuse(str(error), *key[: 1 if key[0] in ("engine", "privileges") else 2]) from error
    form.check(tool, document)
    return tool


def _privileges(names: Sequence[str], engine: str) -> tuple[str, ...]:
    for name in names:
        if name not in PRIVILEGES.get(engine, ()):
            raise ValueError(f"privileges: {unknown('privilege', name, PRIVILEGES.get(engine, ()))}")
    return tuple(names)


def _parameter(name: str, spec: Any) -> Parameter:
    at = f"parameters.{name}"
    if spec["type"] == "keyword" and not spec.get("enum"):
        raise ValueError(f"{at}: a keyword needs an `enum`")
    if spec.get("editable") and spec["type"] not in TUNING:
        raise ValueError(f"{at}: only a parameter of type {' or '.join(sorted(TUNING))} can be `editable`")
    rules = {key: value for key, value in spec.items() if key not in ("type", "default", "editable")}
    if rules.get("minimum", 0) > rules.get("maximum", rules.get("minimum", 0)):
        raise ValueError(f"{at}: its minimum {rules['minimum']} is above its maximum {rules['maximum']}")
    parameter = Parameter(
        name, spec["type"], "default" not in spec, spec.get("default"), rules, bool(spec.get("editable"))
    )
    if "default" in spec:
        _fit(spec["default"], parameter.schema, f"{at}: its default")
    return parameter


def _fit(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raise ValueError for a value that does not match the parameter's schema."""
    try:
        check_schema(value, schema, where)
    except ParameterError as error:
        raise ValueError(f"{where}: {error.message.removeprefix(f'in {where}')}") from error

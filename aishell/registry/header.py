"""Reads one file of `tools/`: header grammar, blocks, and the checks that need nothing but the file.

The grammar is described for people in tools/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from aishell.engines import PROFILES
from aishell.errors import ParameterError, SettingsError, ToolFileError, UnknownNameError
from aishell.models import Risk
from aishell.registry.fragments import expand
from aishell.registry.header_schema import ARCHIVES, HEADER, PRIVILEGES
from aishell.registry.lists import Listed, unknown_in
from aishell.registry.programs import CLIENTS
from aishell.registry.render import split
from aishell.registry.schemas import check_schema
from aishell.registry.tool import (
    ACKNOWLEDGED,
    ARCHIVE_FIGURES,
    ARCHIVE_VALUES,
    BATCH_FIGURES,
    BATCH_VALUES,
    FROZEN,
    KEY_RANGE,
    PACING,
    PASTED,
    STAGES,
    TUNING,
    Aggregate,
    Block,
    Clause,
    Parameter,
    Tool,
)
from aishell.registry.undo import check_undo, read_undo
from aishell.schema import faults
from aishell.yamlfile import Document, parse

#: Folder of tools -> the products that a file in it can be for.
ENGINES = {**{engine.name: {*engine.supported} for engine in PROFILES.values()}, "common": set[str]()}
_STEP_BLOCKS = (
    *("find", "same", "probe", "check", "hold", *STAGES),
    *("verify", "leftovers", "cleanup", "report", "undo", "undone"),
)
_BATCH_BLOCKS = ("find", "same", "newest", "next", "guard", "stands", "do", "follow", "verify", "report")
_OBJECT_LISTS = ("ok", "failed", "skipped", "corrupted", "batches")

_BLOCK = re.compile(r"^-- ([a-z_]+):[ \t]*(.*)$", re.MULTILINE)
_CLAUSE = re.compile(r"^(\w+)((?:\s*(?:>=|<=|==|<|>)\s*\d+(?:\.\d+)*)*)((?:\s*,?\s*(?:with|without)\s+\w+)*)$")
_AGGREGATE = re.compile(r"^(\w+)\(\s*(\w+(?:\.\w+)?(?:\s*,\s*\w+)*)\s*\)$")
_TYPES: dict[str, dict[str, Any]] = {
    "count": {"type": "integer"},
    "sum": {"type": "number"},
    "total": {"type": ["number", "null"]},
    "max": {},
    "first": {},
    "object": {"type": ["object", "null"]},
    "list": {"type": "array"},
    "rows": {"type": "array", "items": {"type": "object"}},
}
_DROPS = re.compile(r"^\s*(DROP|TRUNCATE)\b(?!\s+INDEX\b)", re.IGNORECASE)
_DROPS_DATABASE = re.compile(r"DROP\s+DATABASE\s+(?:IF\s+EXISTS\s+)?\{(\w+)\}", re.IGNORECASE)
_PARTS = re.compile(r"^\s*ALTER\s+TABLE\s.*\b(?:DROP|TRUNCATE|DETACH)\s+PARTITION\s+(\S+)", re.IGNORECASE | re.DOTALL)


def read_tool(
    text: str, source: str, engine: str, fragments: Path | None = None, wall: Callable[[Tool], None] | None = None
) -> Tool:
    """The tool in `text`, whose own text has the SQL it includes from the folder `fragments`.

    Raises ToolFileError with file and line for anything the grammar does not allow, and what `wall` raises.
    """
    look = wall or (lambda tool: None)
    if source.endswith(".yaml"):
        look(tool := _build(_yaml(text, source), {}, source, engine, text))
        return replace(tool, of_site=wall is not None)
    text, places = expand(text, source, fragments)
    try:
        header, body_line = _header(text, source)
        blocks = _blocks(text, body_line, source, engine)
        look(tool := _build(_yaml(header, source), blocks, source, engine, text))
        return replace(tool, of_site=wall is not None)
    except ToolFileError as error:
        place = places[min(error.line, len(places)) - 1]
        raise ToolFileError(*place, error.message.removeprefix(f"{error.path}:{error.line}: ")) from error


def _header(text: str, source: str) -> tuple[str, int]:
    """The YAML of the leading comment, with the prose below it as its `description`, and the line the SQL begins on."""
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
            raise ToolFileError(source, line, f"the block `{name}` stands twice")
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
        # What is done is written down object by object, and an interrupted step goes on behind it: none can be rolled back.
        raise refuse(
            f"transaction can only be none, not {data['transaction']!r}: each statement is committed by itself",
            "transaction",
        )
    name = str(data["name"])
    if name != PurePosixPath(source).stem or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise refuse(f"the name {name!r} must be the file's name", "name")
    try:
        parameters = {n: _parameter(n, spec) for n, spec in (data.get("parameters") or {}).items()}
        returns = {n: _aggregate(n, spec, data["runs"], blocks) for n, spec in data["returns"].items()}
        tool = Tool(
            name=name,
            engine=engine,
            clauses=_clauses(str(data.get("engine", "")), engine),
            description=data["description"],
            category=data["category"],
            risk_level=Risk(data["risk"]),
            required_capabilities=frozenset(data["capabilities"]),
            runs=data["runs"],
            parameters=parameters,
            returns=returns,
            blocks=blocks,
            source=source,
            text=text,
            lock=str(data.get("lock", "none")),
            transaction=str(data.get("transaction", "none")),
            max_execution_time=data.get("max_execution_time"),
            idempotent=bool(data.get("idempotent")),
            group=data.get("group") or 1,
            batch=data.get("batch") or 1,
            deletes=bool(data.get("deletes")),
            archives=data.get("archives"),
            forms=data.get("forms") or {},
            lists={n: Listed.of(spec) for n, spec in (data.get("lists") or {}).items()},
            declared_key=tuple(data.get("key") or ()),
            lock_timeout=data.get("lock_timeout"),
            locks_too={str(role): str(lock) for role, lock in (data.get("locks_too") or {}).items()},
            requires_approval=bool(data.get("requires_approval")),
            rate_limit=data.get("rate_limit"),
            implementation=data.get("implementation"),
            foresees=data.get("foresees"),
            programs=dict(data.get("programs") or {}),
            examples=tuple(data.get("examples") or ()),
            privileges=_privileges(data.get("privileges") or (), engine),
            undone_by=read_undo(data["undo"], parameters, returns) if data.get("undo") else None,
        )
    except ValueError as error:
        keys = ("parameters", "returns", "engine", "examples", "undo", "lists", "privileges")
        key = next((k for k in keys if str(error).startswith(k)), "name")
        raise refuse(
            str(error), *str(error).split(":")[0].split(".")[: 1 if key in ("engine", "privileges") else 2]
        ) from error
    _check_blocks(tool, document)
    return tool


def _privileges(names: Sequence[str], engine: str) -> tuple[str, ...]:
    for name in names:
        if name not in PRIVILEGES.get(engine, ()):
            raise ValueError(f"privileges: {_unknown('privilege', name, PRIVILEGES.get(engine, ()))}")
    return tuple(names)


def _parameter(name: str, spec: Any) -> Parameter:
    at = f"parameters.{name}"
    if spec["type"] == "keyword" and not spec.get("enum"):
        raise ValueError(f"{at}: a keyword needs its enum")
    if spec.get("editable") and spec["type"] not in TUNING:
        raise ValueError(f"{at}: only what says how much or how fast can be `editable`: {' or '.join(sorted(TUNING))}")
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
    """Raises ValueError for a value that a parameter would not take."""
    try:
        check_schema(value, schema, where)
    except ParameterError as error:
        raise ValueError(f"{where}: {error.message.removeprefix(f'in {where}')}") from error


def _aggregate(name: str, spec: Any, runs: str, blocks: Mapping[str, Block]) -> Aggregate:
    at = f"returns.{name}"
    extra = {k: v for k, v in spec.items() if k != "from"} if isinstance(spec, dict) else {}
    if runs in ("program", "python"):
        return Aggregate("value", (), extra or (spec if isinstance(spec, dict) else {}))
    expression = spec.get("from") if isinstance(spec, dict) else spec
    match = _AGGREGATE.match(str(expression))
    if not match or match[1] not in _TYPES:
        raise ValueError(f"{at}: {expression!r} is no aggregate; write e.g. count(ok) or sum(find.bytes)")
    operands = []
    for operand in re.split(r"\s*,\s*", match[2]):
        block, _, column = operand.partition(".")
        if runs != "query" and block in ("do", "probe", "leftovers", "cleanup", "undo", "undone"):
            raise ValueError(f"{at}: what `{block}` returns is not kept; take it from `find`, `verify` or `report`")
        if block not in blocks and not (runs != "query" and block in (*_OBJECT_LISTS, "found")):
            raise ValueError(f"{at}: there is no block `{block}`")
        figures = BATCH_FIGURES | ARCHIVE_FIGURES | (blocks["verify"].columns if "verify" in blocks else frozenset())
        if block == "batches" and column not in figures:
            raise ValueError(f"{at}: {_unknown('figure of batches', column, figures)}")
        if column and block in blocks and column not in blocks[block].columns:
            raise ValueError(f"{at}: the block `{block}` has no column `{column}` (write it as `… AS {column}`)")
        if bool(column) != (match[1] in ("sum", "total", "max", "first", "list")):
            raise ValueError(f"{at}: {match[1]}() takes {'block.column' if not column else 'a block'}")
        operands.append((block, column or None))
    return Aggregate(match[1], tuple(operands), {**_TYPES[match[1]], **extra})


def _clauses(text: str, engine: str) -> tuple[Clause, ...]:
    if engine == "common":
        return ()
    clauses = []
    for part in re.split(r",(?!\s*with)\s*", text):
        match = _CLAUSE.match(part.strip())
        if not match or match[1] not in ENGINES[engine]:
            raise ValueError(
                f"engine: {part!r} does not name a server of this folder ({', '.join(sorted(ENGINES[engine]))})"
            )
        bounds = re.findall(r"(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)", match[2])
        clauses.append(
            Clause(
                match[1],
                tuple((operator, tuple(map(int, number.split(".")))) for operator, number in bounds),
                frozenset(re.findall(r"\bwith\s+(\w+)", match[3])),
                frozenset(re.findall(r"\bwithout\s+(\w+)", match[3])),
            )
        )
    return tuple(clauses)


def _check_blocks(tool: Tool, document: Document) -> None:
    """Declared = used, the blocks fit the way of running, and what drops data says so."""
    source = tool.source
    if tool.foresees is not None and tool.runs != "program":
        raise ToolFileError(source, document.line("foresees"), "`foresees` is for a tool with `runs: program`")
    if tool.runs in ("program", "python"):
        if not tool.implementation or ":" not in tool.implementation:
            needed_ = "`implementation: package.module:function`"
            raise ToolFileError(source, document.line("runs"), f"`runs: {tool.runs}` needs {needed_}")
        _check_programs(tool, document)
        return
    if tool.runs != "query":
        blocks = _BATCH_BLOCKS if tool.runs == "batched" else _STEP_BLOCKS
        for name in tool.blocks:
            if name not in blocks:
                raise ToolFileError(source, tool.blocks[name].line, _unknown("block", name, blocks))
        needed = ("do",) if tool.runs == "statement" else ("do", "find")
        for name in needed:
            if name not in tool.blocks:
                raise ToolFileError(source, document.line("runs"), f"`runs: {tool.runs}` needs a block `{name}`")
        stages = [name for name in STAGES if name in tool.blocks and name != "do"]
        if "check" not in tool.blocks and stages:
            raise ToolFileError(source, tool.blocks[stages[0]].line, f"`{stages[0]}` needs a block `check`")
        if "check" in tool.blocks:
            line, wanted = tool.blocks["check"].line, {"reason"} | ({"next"} if stages else set())
            if missing := sorted(wanted - tool.blocks["check"].columns):
                raise ToolFileError(source, line, f"`check` has no column `{missing[0]}`")
            if tool.grouped or not tool.idempotent:
                raise ToolFileError(source, line, "`check` is for single objects of an `idempotent` tool")
        check_undo(tool)
        if "hold" in tool.blocks and "same" not in tool.blocks:
            raise ToolFileError(source, tool.blocks["hold"].line, "`hold` needs a block `same`")
        if "same" in tool.blocks and "same" not in tool.blocks["same"].columns:
            raise ToolFileError(source, tool.blocks["same"].line, "`same` has no column `same`")
        if tool.deletes and "same" not in tool.blocks:
            lacking = "a tool that deletes rows needs a block `same`: whether the name stands for what `find` saw"
            raise ToolFileError(source, tool.blocks["do"].line, lacking)
        if tool.deletes and tool.runs != "batched" and "hold" not in tool.blocks:
            raise ToolFileError(source, tool.blocks["do"].line, "a tool that deletes rows needs a block `hold`")
        if "cleanup" in tool.blocks and "leftovers" not in tool.blocks:
            raise ToolFileError(source, tool.blocks["cleanup"].line, "`cleanup` needs a block `leftovers`")
        if "verify" not in tool.blocks and not tool.read_only:
            raise ToolFileError(source, tool.blocks["do"].line, "a tool that changes something needs a block `verify`")
    found = tool.blocks["find"].columns if "find" in tool.blocks and tool.runs != "query" else frozenset[str]()
    left = tool.blocks["leftovers"].columns if "leftovers" in tool.blocks else frozenset[str]()
    if (wrong := unknown_in(tool.lists)) is not None:
        raise ToolFileError(source, document.line("lists"), wrong)
    used: set[str] = {"columns"} if tool.lists else set()
    used |= {"relatives"} if any(listed.over != "columns" for listed in tool.lists.values()) else set()
    for block in tool.blocks.values():
        known = set(tool.parameters)
        if tool.runs != "query" and block.name != "find":
            known |= found | ({"group"} if tool.grouped else set())
        known |= tool.lists.keys()
        if tool.runs == "batched" and block.name in ("next", "guard", "stands", "do"):
            known |= BATCH_VALUES
        if tool.keyed and block.name != "find":
            known |= KEY_RANGE.keys()
        if tool.archives in ("delete", "load") and block.name != "find":
            known |= ARCHIVE_VALUES
        if tool.archives in ("write", "delete") and block.name == "verify":
            known |= {"upto"}
        if block.name == "cleanup":
            known |= left
        for name in sorted(block.names - known):
            raise ToolFileError(source, block.line, f"`{name}` is neither a parameter nor a column of `find`")
        for name in block.pasted:
            if name in tool.parameters and tool.parameters[name].type not in PASTED:
                kind = tool.parameters[name].type
                raise ToolFileError(source, block.line, f"`{{{name}}}` is a {kind}: bind it as `:{name}`")
        used |= block.names | ({"key"} if block.names & KEY_RANGE.keys() else set())
        if tool.risk_level.rank < (least := _least_risk(tool, block)).rank:
            least_ = f"`risk: {least}`" if least is Risk.CRITICAL else f"at least `risk: {least}`"
            raise ToolFileError(source, block.line, f"what drops or truncates data must be {least_}")
    for name in tool.parameters:
        read = PACING | ACKNOWLEDGED | ARCHIVES.get(tool.archives or "", frozenset())
        read |= FROZEN if tool.parameters.keys() >= FROZEN else set()
        read |= {"indexed"} if "newest" in tool.blocks else set()
        if name not in used and not (tool.runs == "batched" and name in read):
            raise ToolFileError(
                source, document.line("parameters", name), f"the parameter `{name}` is used by no block"
            )
    for name in tool.declared_key or (("schema", "table") if tool.grouped else ()):
        if name not in found:
            raise ToolFileError(source, document.line("key"), f"`find` has no column `{name}`, which the key needs")


def _check_programs(tool: Tool, document: Document) -> None:
    """Only listed clients, each as a list of arguments."""
    if tool.programs and tool.runs != "program":
        raise ToolFileError(tool.source, document.line("programs"), "`programs` are for `runs: program`")
    for name, words in tool.programs.items():
        line = document.line("programs", name)
        if words[0] not in CLIENTS:
            raise ToolFileError(tool.source, line, _unknown("client program", words[0], CLIENTS))


def _least_risk(tool: Tool, block: Block) -> Risk:
    """What a statement that drops data must be declared as: high for partitions, critical for all else but our own scratch."""
    if _PARTS.match(block.text):
        return Risk.HIGH
    if not _DROPS.match(block.text):
        return Risk.SAFE
    scratch = _DROPS_DATABASE.fullmatch(block.text)
    named = tool.parameters.get(scratch[1]) if scratch else None
    if (
        named is not None
        and named.type == "scratch"
        and not any(named.name in one.columns for one in tool.blocks.values())
    ):
        return Risk.MEDIUM
    # The table that `detach` has taken out of its parent, and no other, is still a partition.
    detached = _PARTS.match(tool.blocks["detach"].text) if "detach" in tool.blocks else None
    partition = detached is not None and " ".join(block.text.split()).upper() == f"DROP TABLE {detached[1]}".upper()
    return Risk.HIGH if partition else Risk.CRITICAL


def _unknown(kind: str, value: object, known: Any) -> str:
    error = UnknownNameError(kind, str(value), [str(k) for k in known])
    return f"{error.message}; {error.hint}"

"""From a block of a tool file to a statement: the only place where SQL text and values meet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aishell.codec import plain
from aishell.databases.base import Database, Statement
from aishell.databases.quoting import literal, quote
from aishell.engines import PROFILES, STANDARD, profile
from aishell.errors import ParameterError, ToolFileError
from aishell.models import Risk
from aishell.registry.lists import Lists, separated
from aishell.registry.programs import shown
from aishell.registry.reading import reading_blocks
from aishell.registry.tool import KEY_RANGE, OPERATORS, Block, Parameter, Tool
from aishell.registry.touched import GUARDS, Guard, columns_guard
from aishell.reporting.units import exact, printable

#: The blocks that only read.
READING = frozenset("find same newest next guard stands follow check verify leftovers report undone".split())
#: Prefixes of the names of blocks that a program tool sends, and that it sends only if it fails.
SENT, BACK = "do_", "back_"
ONLY_BACK = "only where it fails, to take it back"
Pieces = tuple[tuple[str, str], ...]

_ALIASED = re.compile(r"\w\.\Z")


def split(sql: str, engine: str, source: str, line: int) -> Pieces:
    """Split a block into text, `{paste}` and `:bind` pieces. Comments are removed; literals, quoted names and casts are kept.

    Raises ToolFileError for a brace that is not a placeholder, and for a second statement.
    """
    dialect = PROFILES.get(engine, STANDARD)
    token = re.compile(
        rf"(?P<comment>{dialect.comment}|/\*(?!\+|M?!).*?\*/)"
        rf"|(?P<string>{dialect.string})"
        r"|(?P<cast>::)|(?<![\w:]):(?P<bind>[a-z_][a-z0-9_]*)"
        r"|\{(?P<paste>[a-z_][a-z0-9_]*)\}|(?P<brace>[{}])|(?P<end>;)",
        re.DOTALL,
    )
    pieces: list[tuple[str, str]] = []
    text, position, ended = "", 0, False

    def refused(message: str, offset: int) -> ToolFileError:
        return ToolFileError(source, line + 1 + sql.count("\n", 0, offset), message)

    for match in token.finditer(sql):
        between = sql[position : match.start()]
        kind = match.lastgroup
        if ended and (between.strip() or kind not in ("comment", "end")):
            raise refused(_ONE, position + len(between) - len(between.lstrip()))
        text = _joined(text, between)
        position = match.end()
        if kind == "comment":
            text += " "
        elif kind in ("bind", "paste"):
            pieces += [("text", text), (kind, match[kind])]
            text = ""
        elif kind == "brace":
            raise refused("a brace outside a literal must be a placeholder like {table}", match.start())
        elif kind == "end":
            ended = True
        else:
            text += match[0]
    rest = sql[position:]
    if ended and rest.strip():
        raise refused(_ONE, position + len(rest) - len(rest.lstrip()))
    pieces.append(("text", _joined(text, rest)))
    return _trim([piece for piece in pieces if piece[1]])


_ONE = "one statement per block"


def _joined(text: str, more: str) -> str:
    """Append `more`, which contains no literal, to `text`, without the trailing blanks that removed comments leave."""
    return (text.rstrip(" \t") if more.startswith("\n") else text) + re.sub(r"[ \t]+\n", "\n", more)


def _trim(pieces: list[tuple[str, str]]) -> Pieces:
    if pieces and pieces[0][0] == "text":
        pieces[0] = ("text", pieces[0][1].lstrip())
    if pieces and pieces[-1][0] == "text":
        pieces[-1] = ("text", pieces[-1][1].rstrip())
    return tuple(piece for piece in pieces if piece[1])


class _Text:
    """A statement under construction: `sql` for the driver, `text` with the values filled in, `shown` for a screen."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sql, self.text, self.shown = list[str](), list[str](), list[str]()
        self.params: dict[str, Any] = {}
        self.aliased: list[str] = []  # the names that were pasted after an alias

    @property
    def behind_alias(self) -> bool:
        """Whether the next pasted name is qualified by a table or alias in the tool's text."""
        return bool(self.text and _ALIASED.search(self.text[-1]))

    def plain(self, piece: str) -> None:
        """Add text of the tool's file, including line breaks."""
        self._add(piece, "\n".join(map(printable, piece.split("\n"))))

    def paste(self, piece: str) -> None:
        """Add a name, a number or a word that has been checked."""
        self._add(piece, exact(piece))

    def bind(self, name: str, value: Any) -> None:
        self.params[name] = _bindable(value)
        self.sql.append(self.database.placeholder.format(name))
        self._say(literal(self.params[name]))

    def later(self, name: str, label: str) -> None:
        """Add a placeholder for a value that is known when the statement is sent; people see its `label`."""
        self.sql.append(self.database.placeholder.format(name))
        self._say(f":{label}")

    def statement(self, tool: Tool, block: str, guard: Guard | None = None) -> Statement:
        text, shown = "".join(self.text), "".join(self.shown)
        only_reads = tool.read_only or reads(tool, block)
        if guarded(tool, block):
            guard = GUARDS.get(self.database.engine)
        return Statement("".join(self.sql), self.params, text, shown, tool.source, block, only_reads, guard)

    def _add(self, piece: str, shown: str) -> None:
        self.sql.append(piece.replace("%", "%%") if self.database.escape_percent else piece)
        self.text.append(piece)
        self.shown.append(shown)

    def _say(self, piece: str) -> None:
        self.text.append(piece)
        self.shown.append(exact(piece))


def guarded(tool: Tool, block: str) -> bool:
    """Whether the server must check what a block touches: a site's block that runs without approval and must only read."""
    return (
        tool.of_site
        and tool.risk_level.rank < Risk.MEDIUM.rank
        and any(one.name == block for one in reading_blocks(tool))
    )


def reads(tool: Tool, block: str) -> bool:
    """Whether a block only reads: by its name if the way of running gives names a meaning, else by its text."""
    if tool.way.reads or tool.way.calls:
        return tool.blocks[block].looks
    return block in READING


def render(
    tool: Tool, block: Block, values: Mapping[str, Any], database: Database, *, later: Collection[str] = ()
) -> Statement:
    """Return the statement of `block` with `values`: parameters, and columns of the `find` row if the block may use them.

    The values of the names in `later` are known only when it runs: people see the names. Raises ParameterError for a value that
    cannot be pasted.
    """
    text = _Text(database)
    for kind, piece in block.pieces:
        if kind == "text":
            text.plain(piece)
        elif kind == "paste":
            _write_pasted(text, tool, piece, values, later)
        elif piece in later:
            text.later(piece, piece)
        else:
            text.bind(piece, values[piece])
    return text.statement(tool, block.name, columns_guard(database.engine, text.aliased, values))


def foreseen_program(tool: Tool, values: Mapping[str, Any], database: Database) -> list[Statement]:
    """Return what a program tool will send, as far as its file and its parameters determine that: its client programs, then its
    statements, and last the statements that it sends only if it fails.
    """
    lines = [shown(words, values) for words in tool.programs.values()]
    return [*(Statement.of(line) for line in lines), *foreseen_blocks(tool, values, database)]


def foreseen_blocks(tool: Tool, values: Mapping[str, Any], database: Database) -> list[Statement]:
    """Return only the statements, in the order of the file, each with its comment in the file."""
    named = [(b, b.comment) for b in tool.blocks.values() if b.name.startswith(SENT)]
    back = [(b, f"{ONLY_BACK}: {b.comment}") for b in tool.blocks.values() if b.name.startswith(BACK)]
    return [replace(foreseen(tool, block, values, database), note=note) for block, note in (*named, *back)]


def foreseen(tool: Tool, block: Block, values: Mapping[str, Any], database: Database) -> Statement:
    """Return the statement of a block with the known values; if others appear by name, it cannot be sent, and `sql` is empty."""
    lists = tool.lists.keys() if values.keys() >= tool.parameters.keys() else frozenset[str]()
    later = block.names - values.keys() - lists
    statement = render(tool, block, values, database, later=later)
    return replace(statement, sql="", params={}) if later else statement


def _write_pasted(text: _Text, tool: Tool, name: str, values: Mapping[str, Any], later: Collection[str]) -> None:
    """Write the text in the place of `{name}`."""
    engine = text.database.engine
    if name in later:
        text.plain(f"{{{name}}}")
    elif tool.keyed and name in KEY_RANGE:
        _range(text, name, values, later)
    elif name in tool.lists:
        Lists(tool.lists, tool.forms, engine, text, tool.name).paste(name, values)
    elif name in tool.parameters and tool.parameters[name].type == "filters":
        for number, condition in enumerate(values[name]):
            _filter(text, condition, f"{name}_{number}")
    else:
        if text.behind_alias:
            text.aliased += [values[name]] if isinstance(values[name], str) else list(values[name] or ())
        text.paste(_paste(tool, name, values[name], engine))


def _filter(text: _Text, condition: Mapping[str, Any], name: str) -> None:
    """Write a filter, and bind its values. Raises ParameterError if they do not fit its operator."""
    operator, value = condition["operator"], condition.get("value")
    before, takes, after = OPERATORS[operator].partition(":x")
    values = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if bool(takes) != bool(values) or (operator in ("in", "not in")) != isinstance(value, (list, tuple)):
        wanted = "no value" if not takes else "a list of values" if operator in ("in", "not in") else "one value"
        raise ParameterError(f"the filter on {condition['column']!r} with {operator!r} takes {wanted}, not {value!r}")
    text.plain(" AND ")
    text.paste(quote(condition["column"], text.database.engine))
    text.plain(f" {before}")
    for number, item in separated(text, values, ", "):
        text.bind(f"{name}_{number}", item)
    text.plain(after)


def _range(text: _Text, name: str, values: Mapping[str, Any], later: Collection[str]) -> None:
    """Write the condition that a row's key lies after, or not after, the values of an end; an end of None sets no limit.

    PostgreSQL and SQLite use an index for `(a, b) > (1, 2)`; MariaDB and MySQL use none for a comparison of rows, so it is
    spelled out for them column by column.
    """
    operator, end = KEY_RANGE[name]
    key = [quote(column, text.database.engine) for column in values["key"]]
    if end in later:
        _compare_rows(text, key, operator)
        text.later(end, end)
    elif values[end] is None:
        text.plain("1 = 1")
    elif profile(text.database.engine).compares_rows:
        _compare_rows(text, key, operator)
        text.plain("(")
        for number, value in separated(text, values[end], ", "):
            text.bind(f"{end}_{number}", value)
        text.plain(")")
    else:
        text.plain("(")
        for last, _ in separated(text, key, " OR "):
            _compare_columns(text, key[: last + 1], operator if last == len(key) - 1 else operator[0], end, values[end])
        text.plain(")")


def _compare_rows(text: _Text, key: Sequence[str], operator: str) -> None:
    """Write `("a", "b") > `, without the right-hand side."""
    text.plain("(")
    text.paste(", ".join(key))
    text.plain(f") {operator} ")


def _compare_columns(text: _Text, key: Sequence[str], operator: str, end: str, values: Sequence[Any]) -> None:
    """Write `"a" = 1 AND "b" > 2`: equality for all columns but the last."""
    last = len(key) - 1
    for number, column in separated(text, key, " AND "):
        text.paste(column)
        text.plain(f" {operator if number == last else '='} ")
        text.bind(f"{end}_{last}_{number}", values[number])


#: Values that no file declares and that are not single names: the objects of a group, the columns in a row of the tool's own,
#: tables with their new names, and a partition's bounds.
_GIVEN = {"group": "identifier_list", "columns": "key", "moves": "moves", "bound": "bound"}
#: A range partition's bounds, as PostgreSQL's pg_get_expr writes them.
_END = r"(?:MINVALUE|MAXVALUE|'(?:[^'\\]|'')*'|-?[0-9.]+)"
_BOUND = re.compile(rf"FOR VALUES FROM \({_END}(?:, {_END})*\) TO \({_END}(?:, {_END})*\)")


def _table(item: Mapping[str, str], engine: str) -> str:
    return f"{quote(item['schema'], engine)}.{quote(item['table'], engine)}"


def _move(ends: Sequence[Sequence[str]], engine: str) -> str:
    return " TO ".join(".".join(quote(part, engine) for part in end) for end in ends)


#: Type of a value with several items -> how one of them is pasted.
_SEVERAL: Mapping[str, Callable[[Any, str], str]] = {"key": quote, "identifier_list": _table, "moves": _move}


def _paste(tool: Tool, name: str, value: Any, engine: str) -> str:
    parameter = tool.parameters.get(name)
    kind = parameter.type if parameter else _GIVEN.get(name, "identifier")
    if kind in _SEVERAL:
        if kind == "identifier_list" and not value:
            raise ParameterError(f"{tool.name}: {name} is empty")
        return ", ".join(_SEVERAL[kind](item, engine) for item in value)
    if kind == "integer" or (parameter is None and type(value) is int):
        return str(int(value))
    if parameter is not None and kind == "keyword":
        return _word(tool, parameter, value)
    if not isinstance(value, str):
        raise ParameterError(f"{tool.name}: {name} is {value!r}, not a name")
    if kind != "bound":
        return quote(value, engine)
    if not _BOUND.fullmatch(value):
        raise ParameterError(f"{tool.name}: invalid bounds of a range partition: {value!r}")
    return value


def _word(tool: Tool, parameter: Parameter, value: Any) -> str:
    if value not in parameter.rules["enum"]:
        raise ParameterError(f"{tool.name}: {value!r} is not an allowed value of {parameter.name}")
    return str(value)


def _bindable(value: Any) -> Any:
    """Return a value for the driver: lists and objects as JSON text, everything else unchanged."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(plain(value), ensure_ascii=False)
    return value

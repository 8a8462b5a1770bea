"""From a block of a tool file to a statement: the only place where SQL text and values meet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.databases.quoting import literal, quote
from aishell.errors import ParameterError, ToolFileError
from aishell.models import plain
from aishell.registry.tool import KEY_RANGE, OPERATORS, Block, Tool

#: The blocks that only look.
READING = frozenset("find newest next guard check verify leftovers report".split())
Pieces = tuple[tuple[str, str], ...]

# PostgreSQL: a letter before the quote or the dollar belongs to a word, as in LIKE'%\'.
_STRING = {
    "mysql": r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`(?:[^`]|``)*`",
    "postgresql": r"(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
    "sqlite": r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]",
}
_COMMENT = {"mysql": r"--(?=\s|\Z)[^\n]*|#[^\n]*", "postgresql": r"--[^\n]*", "sqlite": r"--[^\n]*"}


def split(sql: str, engine: str, source: str, line: int) -> Pieces:
    """Cut a block into text, `{paste}` and `:bind` pieces. Comments go; literals, quoted names and casts stay as they are.

    Raises ToolFileError for a brace that is no placeholder and for a second statement.
    """
    token = re.compile(
        rf"(?P<comment>{_COMMENT.get(engine, _COMMENT['sqlite'])}|/\*(?![+!]).*?\*/)"
        rf"|(?P<string>{_STRING.get(engine, _STRING['sqlite'])})"
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
    """`more`, which holds no literal, after `text`; blanks at the ends of lines go, as comments leave many."""
    return (text.rstrip(" \t") if more.startswith("\n") else text) + re.sub(r"[ \t]+\n", "\n", more)


def _trim(pieces: list[tuple[str, str]]) -> Pieces:
    if pieces and pieces[0][0] == "text":
        pieces[0] = ("text", pieces[0][1].lstrip())
    if pieces and pieces[-1][0] == "text":
        pieces[-1] = ("text", pieces[-1][1].rstrip())
    return tuple(piece for piece in pieces if piece[1])


def reads(tool: Tool, block: str) -> bool:
    """Whether a block only looks: by its name, where the way of running knows its blocks by their names, else by its text."""
    if tool.runs in ("statement", "each", "batched"):
        return block in READING
    return tool.blocks[block].looks


def render(
    tool: Tool, block: Block, values: Mapping[str, Any], database: Database, *, later: Collection[str] = ()
) -> Statement:
    """The statement of `block` with `values`: parameters, and columns of the `find` row where the block may use them.

    The values of `later` are known only when it runs: their names stand in the text for people. Raises ParameterError for a
    value that cannot be pasted.
    """
    sql, text, params = list[str](), list[str](), dict[str, Any]()

    def plain_text(piece: str) -> None:
        sql.append(piece.replace("%", "%%") if database.escape_percent else piece)
        text.append(piece)

    def bind(name: str, value: Any) -> None:
        params[name] = _bindable(value)
        sql.append(database.placeholder.format(name))
        text.append(literal(params[name]))

    for kind, piece in block.pieces:
        if kind == "text":
            plain_text(piece)
        elif kind == "bind" and piece in later:
            text.append(f":{piece}")
        elif kind == "bind":
            bind(piece, values[piece])
        elif tool.keyed and piece in KEY_RANGE:
            _range(tool, piece, values, database.engine, later, (plain_text, bind))
        elif piece in tool.lists:
            _columns(tool, piece, values["columns"], database, (plain_text, bind), (sql, text))
        elif (parameter := tool.parameters.get(piece)) is not None and parameter.type == "filters":
            for number, condition in enumerate(values[piece]):
                plain_text(f" AND {quote(condition['column'], database.engine)} ")
                _filter(condition, f"{piece}_{number}", plain_text, bind)
        else:
            plain_text(_paste(tool, piece, values[piece], database.engine))
    return Statement(
        "".join(sql), params, "".join(text), tool.source, block.name, tool.read_only or reads(tool, block.name)
    )


def _filter(
    condition: Mapping[str, Any], name: str, plain_text: Callable[[str], None], bind: Callable[[str, Any], None]
) -> None:
    """The operator of a filter and its values, each bound. Raises ParameterError where they do not fit each other."""
    operator, value = condition["operator"], condition.get("value")
    before, takes, after = OPERATORS[operator].partition(":x")
    values = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if bool(takes) != bool(values) or (operator in ("in", "not in")) != isinstance(value, (list, tuple)):
        wanted = "no value" if not takes else "a list of values" if operator in ("in", "not in") else "one value"
        raise ParameterError(f"the filter on {condition['column']!r} with {operator!r} takes {wanted}, not {value!r}")
    plain_text(before)
    for number, item in enumerate(values):
        if number:
            plain_text(", ")
        bind(f"{name}_{number}", item)
    plain_text(after)


def _range(
    tool: Tool,
    name: str,
    values: Mapping[str, Any],
    engine: str,
    later: Collection[str],
    write: tuple[Callable[[str], None], Callable[[str, Any], None]],
) -> None:
    """The condition that a row's key lies after, or not after, the values of an end; an end that is None is none.

    PostgreSQL and SQLite search an index for `(a, b) > (1, 2)`; MariaDB and MySQL use none for a comparison of rows, so it is
    spelt out for them column by column.
    """
    plain_text, bind = write
    operator, end = KEY_RANGE[name]
    key = [quote(column, engine) for column in values["key"]]
    if end in later:
        plain_text(f"({', '.join(key)}) {operator} :{end}")
        return
    if values[end] is None:
        plain_text("1 = 1")
        return
    if engine != "mysql":
        plain_text(f"({', '.join(key)}) {operator} (")
        for number, value in enumerate(values[end]):
            plain_text(", " if number else "")
            bind(f"{end}_{number}", value)
        plain_text(")")
        return
    plain_text("(")
    for last in range(len(key)):
        plain_text(" OR " if last else "")
        for number in range(last + 1):
            strict = operator if last == len(key) - 1 else operator[0]
            plain_text(f"{' AND ' if number else ''}{key[number]} {strict if number == last else '='} ")
            bind(f"{end}_{last}_{number}", values[end][number])
    plain_text(")")


_TEMPLATE = re.compile(r"\{form\}|\{column\}|:name|:value")


def _columns(
    tool: Tool,
    name: str,
    columns: Sequence[Mapping[str, Any]],
    database: Database,
    write: tuple[Callable[[str], None], Callable[[str, Any], None]],
    parts: tuple[list[str], list[str]],
) -> None:
    """What the list `name` of the tool says of each column: {column} quoted, {form} as its form says, :name bound, and
    :value open, for the rows of `execute_many`. Raises ParameterError for a form the tool does not have."""
    (plain_text, bind), (sql, text) = write, parts
    for number, column in enumerate(columns):
        if column["form"] not in tool.forms:
            raise ParameterError(f"{tool.name} has no form {column['form']!r} for the column {column['column']!r}")
        template = tool.lists[name].replace("{form}", tool.forms[column["form"]])
        plain_text(", " if number else "")
        position = 0
        for match in _TEMPLATE.finditer(template):
            plain_text(template[position : match.start()])
            position = match.end()
            if match[0] == "{column}":
                plain_text(quote(column["column"], database.engine))
            elif match[0] == ":name":
                bind(f"name_{number}", column["column"])
            else:
                sql.append(database.placeholder.format(f"value_{number}"))
                text.append(f":{column['column']}")
        plain_text(template[position:])


#: What no file declares, and is no single name: the objects of a group, the columns that a row of the tool's own tells, and
#: tables with the names they get.
_GIVEN = {"group": "identifier_list", "columns": "key", "moves": "moves"}


def _paste(tool: Tool, name: str, value: Any, engine: str) -> str:
    parameter = tool.parameters.get(name)
    kind = parameter.type if parameter else _GIVEN.get(name, "identifier")
    if kind == "key":
        return ", ".join(quote(column, engine) for column in value)
    if kind == "identifier_list":
        if not value:
            raise ParameterError(f"{tool.name}: {name} names no table")
        return ", ".join(f"{quote(item['schema'], engine)}.{quote(item['table'], engine)}" for item in value)
    if kind == "moves":
        return ", ".join(" TO ".join(".".join(quote(part, engine) for part in end) for end in move) for move in value)
    if kind == "integer" or (parameter is None and isinstance(value, int) and not isinstance(value, bool)):
        return str(int(value))
    if kind == "keyword":
        if parameter is None or value not in parameter.rules["enum"]:
            raise ParameterError(f"{tool.name}: {value!r} is not one of the words {name} may be")
        return str(value)
    if not isinstance(value, str):
        raise ParameterError(f"{tool.name}: {name} is {value!r}, not a name")
    return quote(value, engine)


def _bindable(value: Any) -> Any:
    """Lists and objects travel as JSON text; everything else as it is."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(plain(value), ensure_ascii=False)
    return value

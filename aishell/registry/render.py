"""From a block of a tool file to a statement: the only place where SQL text and values meet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.databases.quoting import literal, quote
from aishell.errors import ParameterError, ToolFileError
from aishell.models import plain
from aishell.registry.tool import Block, Tool

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


def render(tool: Tool, block: Block, values: Mapping[str, Any], database: Database) -> Statement:
    """The statement of `block` with `values`: parameters, and columns of the `find` row where the block may use them.

    Raises ParameterError for a value that cannot be pasted.
    """
    sql, text, params = [], [], {}
    for kind, piece in block.pieces:
        if kind == "text":
            sql.append(piece.replace("%", "%%") if database.escape_percent else piece)
            text.append(piece)
        elif kind == "paste":
            pasted = _paste(tool, piece, values[piece], database.engine)
            sql.append(pasted.replace("%", "%%") if database.escape_percent else pasted)
            text.append(pasted)
        else:
            value = _bindable(values[piece])
            params[piece] = value
            sql.append(database.placeholder.format(piece))
            text.append(literal(value))
    return Statement("".join(sql), params, "".join(text))


def _paste(tool: Tool, name: str, value: Any, engine: str) -> str:
    parameter = tool.parameters.get(name)
    kind = parameter.type if parameter else "identifier_list" if name == "group" else "identifier"
    if kind == "identifier_list":
        if not value:
            raise ParameterError(f"{tool.name}: {name} names no table")
        return ", ".join(f"{quote(item['schema'], engine)}.{quote(item['table'], engine)}" for item in value)
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

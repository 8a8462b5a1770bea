"""Which blocks of a tool only read, and every text that such a block can be sent as. Pure.

These texts are parsed when a tool is loaded (`registry/parsing.py`): a number replaces each bound value, a quoted name each
pasted name. SQL that the file itself pastes (words of an enumeration, forms of columns) is unchanged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from aishell.databases.quoting import quote
from aishell.errors import ToolFileError
from aishell.registry.lists import ROLES, Lists
from aishell.registry.tool import KEY_RANGE, STAGES, Block, Tool

#: The blocks that may change data or take locks in a tool that is not `safe`; every other block must only read.
CHANGING = frozenset({"hold", *STAGES, "cleanup", "undo", "probe"})
#: The most texts of a block that are parsed.
MOST_TEXTS = 64
_VALUE = "0"


def reading_blocks(tool: Tool) -> list[Block]:
    """Return the blocks that must only read: all blocks of a `safe` tool or a query, else those not in `CHANGING`.

    None for a program or a callable, which sends its blocks itself: a site's tool of that kind must be at least `medium`.
    """
    if tool.way.calls:
        return []
    if tool.read_only or tool.archives == "write":
        return list(tool.blocks.values())
    return [block for name, block in tool.blocks.items() if name not in CHANGING]


def texts(tool: Tool, block: Block, engine: str) -> Iterator[str]:
    """Yield the block's SQL for `engine`, once per combination of the words that it pastes. Raises ToolFileError for too many."""
    words = {name: tool.parameters[name].rules["enum"] for name in block.pasted if _kind(tool, name) == "keyword"}
    combinations = list(itertools.islice(itertools.product(*words.values()), MOST_TEXTS + 1))
    if len(combinations) > MOST_TEXTS:
        raise ToolFileError(tool.source, block.line, f"its words can be combined in more than {MOST_TEXTS} ways")
    for chosen in combinations:
        pasted = dict(zip(words, map(str, chosen), strict=True))
        yield "".join(
            value if kind == "text" else _VALUE if kind == "bind" else pasted.get(value) or _pasted(tool, value, engine)
            for kind, value in block.pieces
        )


def _kind(tool: Tool, name: str) -> str:
    return tool.parameters[name].type if name in tool.parameters else ""


def _pasted(tool: Tool, name: str, engine: str) -> str:
    """Return the sample text for a pasted name."""
    quoted, kind = quote(name, engine), _kind(tool, name)
    if kind == "keyword":
        return ""  # the empty word of its enumeration
    if name in tool.lists:
        return _listed(tool, name, engine)
    if tool.keyed and name in KEY_RANGE:
        return f"{quoted} > {_VALUE}"
    if kind == "filters":
        return f" AND {quoted} = {_VALUE}"
    if kind == "integer":
        return _VALUE
    return f"{quoted}.{quoted}" if kind == "identifier_list" or name == "group" else quoted


def _listed(tool: Tool, name: str, engine: str) -> str:
    """Return a list over a column of each form and role, and over a table with another that references it and itself."""
    roles = ROLES if tool.lists[name].roles else ROLES[:1]
    columns = [
        {"column": name, "form": form, "role": role} for form, role in itertools.product(tool.forms or ("",), roles)
    ]
    table = {"schema": "s", "table": "t", "columns": columns, "key": ["k"]}
    edges = [{"parent": 0, "child": 1, "pairs": [["a", "k"]]}, {"parent": 1, "child": 1, "pairs": [["b", "k"]]}]
    values = {**table, "relatives": {"tables": [table], "edges": edges}, "edge": 0, "keys": [[0]], "moved": [[0]]}
    written = _Sample()
    Lists(tool.lists, tool.forms or {"": ""}, engine, written, tool.name).paste(name, values)
    return "".join(written.pieces)


class _Sample:
    """A statement that is parsed and never sent."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def plain(self, piece: str) -> None:
        self.pieces.append(piece)

    paste = plain

    def bind(self, name: str, value: object) -> None:
        self.pieces.append(_VALUE)

    later = bind

"""What a program tool will send, as far as its file and its parameters tell before it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aishell.databases.base import Database, Statement
from aishell.registry.programs import shown
from aishell.registry.render import render
from aishell.registry.tool import Block, Tool

#: What the name of a block begins with that such a tool sends, and of one that it sends only where it fails.
SENT, BACK = "do_", "back_"
ONLY_BACK = "only where it fails, to take it back"


def program(tool: Tool, values: Mapping[str, Any], database: Database) -> list[Statement]:
    """Its client programs, then its statements, those last that it sends only where it fails."""
    lines = [shown(words, values) for words in tool.programs.values()]
    return [*(Statement(line, {}, line) for line in lines), *blocks(tool, values, database)]


def blocks(tool: Tool, values: Mapping[str, Any], database: Database) -> list[Statement]:
    """The statements alone, in the order of the file, each with what its file says of it."""
    named = [(b, b.comment) for b in tool.blocks.values() if b.name.startswith(SENT)]
    back = [(b, f"{ONLY_BACK}: {b.comment}") for b in tool.blocks.values() if b.name.startswith(BACK)]
    return [replace(foreseen(tool, block, values, database), note=note) for block, note in (*named, *back)]


def foreseen(tool: Tool, block: Block, values: Mapping[str, Any], database: Database) -> Statement:
    """The statement of a block with what is known; where the rest stands by its name it cannot be sent, and `sql` is empty."""
    lists = tool.lists.keys() if values.keys() >= tool.parameters.keys() else frozenset[str]()
    later = block.names - values.keys() - lists
    statement = render(tool, block, values, database, later=later)
    return replace(statement, sql="", params={}) if later else statement

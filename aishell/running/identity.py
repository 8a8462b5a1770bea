"""Whether a name still stands for the object that was approved: a table can be renamed away and made anew meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aishell.databases.base import Session
from aishell.errors import ReplacedError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context, label_of

#: Seconds between two looks at an object that is too young to be told from one that takes its place at once.
YOUNG = 0.2


def demand_same(tool: Tool, values: Mapping[str, Any], context: Context, session: Session) -> Row:
    """Ask `same` in the session that is to change the object, or has. Raises ReplacedError where it is another one.

    A tool without that block names no object that could be replaced: a whole file, or a table that is read only.
    """
    if "same" not in tool.blocks:
        return {}
    rows = session.query(render(tool, tool.blocks["same"], values, context.database))
    if not rows or not rows[0]["same"]:
        raise ReplacedError(
            f"{label_of(tool, values, {})} is not the object that was approved: it was replaced, altered or rebuilt meanwhile",
            hint="see what stands there now, then make a new plan",
        )
    return rows[0]


def settled(look: Callable[[], list[Row]], rest: Callable[[float], object]) -> list[Row]:
    """What `look` finds, as soon as none of it is too young (`settled`): where an identity is in seconds, one more may be made
    within the same."""
    found = look()
    while any(row.get("settled") in (False, 0) for row in found):
        rest(YOUNG)
        found = look()
    return found

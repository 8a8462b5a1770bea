"""The objects of a step that is taken back: each is looked at first, since it may be as it was, or past that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.databases.base import Database, Session
from aishell.errors import StepError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.reporting.units import few
from aishell.running.context import Context, ObjectResult, label_of
from aishell.running.per_object import Objects

#: Objects of one reason that an error names.
NAMED = 5


class Undoing(Objects):
    """`undo` for every object that is not as it was before; one that cannot be taken back any more has failed, and says why."""

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        with self.context.reading() as session:
            seen = look(self.tool, {**self.values, **group[0]}, self.context.database, session)
        if seen.get("ok"):
            return [self._result(group[0], "ok", seen)]
        if seen.get("reason") is not None:
            return [self._result(group[0], "failed", seen, f"cannot be undone: {seen['reason']}")]
        return super()._do(group)


def objects(tool: Tool, values: Mapping[str, Any], found: Sequence[Row], context: Context) -> list[Row]:
    """Those of `found`, in reverse order, that are not as they were. Raises StepError where none of them can be taken back."""
    with context.reading() as session:
        left, gone = sorted_out(tool, values, list(reversed(found)), context.database, session)
    if gone and len(gone) == len(left):
        raise StepError(f"cannot be undone: {told(gone, len(left))}")
    return left


def sorted_out(
    tool: Tool, values: Mapping[str, Any], found: Sequence[Row], database: Database, session: Session
) -> tuple[list[Row], dict[str, str]]:
    """Those of `found` that are not as they were; and of those among them that cannot be taken back, name and reason."""
    seen = [(row, look(tool, {**values, **row}, database, session)) for row in found]
    left = [(row, now) for row, now in seen if not now.get("ok")]
    gone = {label_of(tool, values, row): str(now["reason"]) for row, now in left if now.get("reason") is not None}
    return [row for row, _ in left], gone


def told(gone: Mapping[str, str], objects: int) -> str:
    """Why some of so many objects cannot be taken back: their names for each reason; of a single one it is clear which."""
    if objects == 1:
        return next(iter(gone.values()))
    names = {why: [name for name, reason in gone.items() if reason == why] for why in gone.values()}
    return "; ".join(f"{why}: {few(of, NAMED)}" for why, of in names.items())


def look(tool: Tool, values: Mapping[str, Any], database: Database, session: Session) -> Row:
    """What `undone` says of one object now."""
    rows = session.query(render(tool, tool.blocks["verify"], values, database))
    return rows[0] if rows else {}

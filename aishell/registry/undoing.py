"""The objects of a step that is taken back: each is looked at first, since it may be as it was, or past that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aishell.errors import StepError
from aishell.models import Row
from aishell.registry.context import Context, ObjectResult, label_of
from aishell.registry.objects import Objects
from aishell.registry.render import render
from aishell.registry.tool import Tool


class Undoing(Objects):
    """`undo` for every object that is not as it was before; one that cannot be taken back any more has failed, and says why."""

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        seen = look(self.tool, {**self.values, **group[0]}, self.context)
        if seen.get("ok"):
            return [self._result(group[0], "ok", seen)]
        if seen.get("reason") is not None:
            return [self._result(group[0], "failed", seen, f"cannot be undone: {seen['reason']}")]
        return super()._do(group)


def objects(tool: Tool, values: Mapping[str, Any], found: Sequence[Row], context: Context) -> list[Row]:
    """Those of `found`, in reverse order, that are not as they were. Raises StepError where none of them can be taken back."""
    rows = [(row, look(tool, {**values, **row}, context)) for row in reversed(found)]
    left = [(row, seen.get("reason")) for row, seen in rows if not seen.get("ok")]
    if left and all(reason is not None for _, reason in left):
        told = (f"{label_of(tool, values, row)}: {reason}" if len(left) > 1 else str(reason) for row, reason in left)
        raise StepError(f"cannot be undone: {'; '.join(list(told)[:5])}")
    return [row for row, _ in left]


def look(tool: Tool, values: Mapping[str, Any], context: Context) -> Row:
    """What `undone` says of one object now."""
    with context.reading() as session:
        rows = session.query(render(tool, tool.blocks["verify"], values, context.database))
    return rows[0] if rows else {}

"""`each` with a `check`: look at an object before each statement, send the one that is next, and look again."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from aishell.databases.base import Session, StatementResult
from aishell.errors import DatabaseError
from aishell.models import Row
from aishell.running.context import ObjectResult
from aishell.running.per_object import Objects, wait_for_end


class Stages(Objects):
    """Objects that take several statements, or whose rows are looked at right before they go.

    Where an object stands is always read from the database, never remembered: whatever interrupted an earlier attempt, and
    whenever, the next one goes on from what it finds.
    """

    _block = ""  # the statement that was sent last

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        row = group[0]
        if self._lost is not None:
            wait_for_end(self.context)
            self._lost = None
        self._block, outcome, seen = "", StatementResult(), Row()
        if self._look("verify", row).get("ok"):
            if self.context.interrupted and "hold" in self.tool.blocks:
                with self.context.reading() as session:
                    self._renew(session, group)  # it was ours that went: killed before it was written down
            return self._verify(group, outcome)
        with self.context.writing(1 + len(row.get("referenced") or ())) as session:
            while self._block != "do":
                seen = self._look("check", row)
                reason = seen.get("reason") or (None if self._block else self._held(session, row))
                if reason is not None:
                    return [self._result(row, "deferred", reason=str(reason))]
                block = str(seen.get("next") or "do")
                if block == self._block:
                    break  # it had no effect, and `verify` will say so
                self._block = block
                outcome = self._send(session, block, group)
        told = {name: value for name, value in seen.items() if name not in ("next", "reason")}
        return [replace(one, after={**told, **(one.after or {})}) for one in self._verify(group, outcome)]

    def _look(self, block: str, row: Row) -> Row:
        with self.context.reading() as session:
            rows = session.query(self._render(block, row))
        return rows[0] if rows else {}

    def _send(self, session: Session, block: str, group: list[Row]) -> StatementResult:
        try:
            return super()._send(session, block, group)
        except DatabaseError as error:
            if error.kind != "connection_lost":
                raise
            self._lost = error
            raise DatabaseError(error.message, kind="connect", code=error.code) from error

    def _told(self, error: DatabaseError, group: list[Row]) -> str:
        """What could not be done, and what is still to be done."""
        if not self._block:
            return error.message
        told = f"{self.tool.blocks[self._block].comment}: {error.message}"
        with contextlib.suppress(DatabaseError):  # it cannot be looked at either, and the reason is told already
            left = self._look("check", group[0]).get("next")
            if left in self.tool.blocks and left != self._block:
                told += f"; left to do: {self.tool.blocks[str(left)].comment}"
        return told

    def _status(self, error: DatabaseError) -> str:
        """A lock that was not free defers what is whole, or what the next run finds and ends by itself: a pending detach.

        A table that has been detached is found by no later run: that is a failure, which `runs resume` goes on from.
        """
        if error.kind == "lock_timeout" and not (self._block == "do" and "detach" in self.tool.blocks):
            return "deferred"
        return super()._status(error)

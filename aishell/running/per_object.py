"""`statement` and `each`: for each object probe, do, verify, and clean up what an interruption left.

`Stages` is for objects that take several statements, `Undoing` for the objects of a step that is undone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from aishell.databases.base import Database, Session, SessionOptions, Statement, StatementResult
from aishell.errors import DatabaseError, ReplacedError, StepError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.reporting.units import few
from aishell.running.context import Context, InDoubtError, ObjectResult, ToolResult, demand_same, label_of, settled
from aishell.running.results import conclude

#: Pauses in seconds for an effect to show in the catalog: before PostgreSQL 15 the statistics collector lags by up to 0.5 s.
VERIFY_PATIENCE = (0.0, 0.1, 0.3, 0.6, 1.0)
#: Maximum total size in bytes of objects that share a statement of a grouped tool, to keep progress and timeouts meaningful.
GROUP_BYTES = 64 << 20
#: Errors that the next object would meet as well.
_STOPPING = ("cancelled", "connect", "disk_full", "read_only")


class Objects:
    """`statement` and `each`: probe, do and verify every object; a failure on one object does not stop the next."""

    def __init__(self, tool: Tool, values: Mapping[str, Any], context: Context) -> None:
        self.tool, self.values, self.context = tool, values, context
        self.results: list[ObjectResult] = []
        #: The identity as our own statements have left it, including those of an earlier process.
        self._renewed: Row = {
            name: value for after in context.earlier for name, value in after.items() if name in tool.identity
        }
        #: The error that ended the connection during a statement whose outcome has not been looked up yet.
        self._lost: DatabaseError | None = None

    def run(self, found: Sequence[Row]) -> ToolResult:
        through = 0
        for group in groups(self.tool, found):
            self._next(group, through, len(found))
            through += len(group)
        self.context.progress(len(found), len(found), "")
        return conclude(self.tool, self.values, self.results, self.context)

    def _next(self, group: list[Row], through: int, total: int) -> None:
        """Run one group of objects, usually a single one; objects of a larger group that were not ok are retried alone."""
        if self.context.cancelled():
            raise DatabaseError("cancelled before the next object", kind="cancelled")
        self.context.progress(through, total, label_of(self.tool, self.values, group[0]))
        started = time.monotonic()
        try:
            results = self._attempt(group)
        except DatabaseError as error:
            if error.kind in _STOPPING:
                self._clean(group)
                raise
            results = self._failed(group, error)
        seconds = (time.monotonic() - started) / len(group)
        again = [number for number, result in enumerate(results) if result.status != "ok"] if len(group) > 1 else []
        through_now = [replace(r, seconds=seconds) for n, r in enumerate(results) if n not in again]
        if through_now:
            self.results += through_now
            self.context.on_objects(through_now)
        for number in again:
            self._next([group[number]], through + number, total)

    def _failed(self, group: list[Row], error: DatabaseError) -> list[ObjectResult]:
        status, reason = self._status(error), self._explained(error, group)
        if status == "failed" and (left := self._clean(group)):
            reason = f"{reason}; {left}"
        return [replace(one, denied=error.kind == "permission") for one in self._all(group, status, reason)]

    def _attempt(self, group: list[Row]) -> list[ObjectResult]:
        try:
            result: list[ObjectResult] = self.context.attempt(
                lambda: self._try(group), lambda: self._before_retry(group)
            )
        except DatabaseError as error:
            if self._lost is not None and not self.tool.idempotent:
                raise self._doubt(self._lost) from error
            raise
        return result

    def _try(self, group: list[Row]) -> list[ObjectResult]:
        """Run `_do`. A group with a locked object is not retried as a group: only each alone shows which one is locked."""
        try:
            return self._do(group)
        except ReplacedError as error:
            return self._all(group, "failed", error.message)
        except DatabaseError as error:
            if error.kind != "lock_timeout" or len(group) == 1:
                raise
            return self._all(group, "failed", error.message)

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        # The last try lost the server before it could look up the outcome of its statement: look first.
        if self._lost is not None and (results := self._settled(group, self._lost)) is not None:
            return results
        with self.context.writing() as session:
            if (held := self._held(session, group[0])) is not None:
                return self._all(group, "deferred", held)
            sent = self._sent(session, group)
        return self._judged(group, sent) if isinstance(sent, StatementResult) else sent

    def _sent(self, session: Session, group: list[Row]) -> StatementResult | list[ObjectResult]:
        """Return the server's answer to `do`; the results, where the effect was looked up instead."""
        try:
            return self._send(session, "do", group)
        except ReplacedError:
            if (results := self._outlived(group)) is None:
                raise
            return results
        except DatabaseError as error:
            if error.kind != "connection_lost":
                raise
            self._lost = error
            if (results := self._settled(group, error)) is not None:
                return results
            raise DatabaseError(error.message, kind="connect", code=error.code) from error

    def _judged(self, group: list[Row], outcome: StatementResult) -> list[ObjectResult]:
        """Return the results: by the server's answer, and by `verify` where the answer reports no problem."""
        if any(row.get("busy") for row in outcome.rows):
            raise DatabaseError("other sessions were in the way: only part of it was done", kind="busy")
        if reason := outcome.worst("unsupported"):
            return self._all(group, "skipped", reason)
        problems = [str(row["problem"]) for row in outcome.rows if row.get("problem") is not None]
        if problem := outcome.worst("corrupt") or "; ".join(problems):
            return self._all(group, "corrupted", problem)
        if failure := outcome.worst("error"):
            if len(group) > 1:  # trying each alone shows whose error it is
                return self._all(group, "failed", failure)
            kind = "lock_timeout" if "lock wait timeout" in failure.lower() else "other"
            raise DatabaseError(failure, kind=kind)
        return self._verify(group, outcome)

    def _held(self, session: Session, row: Row) -> str | None:
        """Return who blocks the lock, by `probe`; None when it is free."""
        if "probe" in self.tool.blocks:
            try:
                session.probe(self._render("probe", row))
            except DatabaseError as error:
                if error.kind != "lock_timeout":
                    raise
                return f"locked by another session: {self._explained(error, [row])}"
        return None

    def _send(self, session: Session, block: str, group: list[Row]) -> StatementResult:
        statement = self._render(block, group[0], group=group)
        self.context.on_session(session)
        try:
            with self._bound(session, block, group):
                self.context.on_sent(statement, session)
                return session.execute(statement)
        finally:
            self.context.on_session(None)

    @contextmanager
    def _bound(self, session: Session, block: str, group: list[Row]) -> Iterator[None]:
        """Ensure that the statement inside runs on the approved object. Raises ReplacedError for another one of its name.

        With `hold`, which locks the name, the object is checked under that lock before `do`. Otherwise it is checked before and
        after `do`, or only before it where `verify` binds the identity.
        """
        if block == "do" and "hold" in self.tool.blocks:
            if self._renewed:
                settled(lambda: [self._same(session, group)], self.context.rest)
            lock = self._render("hold", group[0], group=group)
            self.context.on_sent(lock, session)
            with session.holding(lock):
                self._same(session, group)
                yield
                self._renew(session, group)
            return
        self._same(session, group)
        yield
        if not self.tool.bound("verify"):
            self._same(session, group)

    def _same(self, session: Session, group: list[Row]) -> Row:
        return demand_same(self.tool, self._values(group[0], group), self.context, session)

    def _renew(self, session: Session, group: list[Row]) -> None:
        """Update the identity where our own statement has changed it: the next object has the new one."""
        rows = session.query(self._render("same", group[0], group=group))
        self._renewed |= {name: row[name] for row in rows for name in self.tool.identity & row.keys()}

    def _verify(self, group: list[Row], outcome: StatementResult) -> list[ObjectResult]:
        """Check that the effect is in the database. If not: deferred or skipped where the server said why, else failed."""
        if "verify" not in self.tool.blocks:
            return self._all(group, "ok")
        said = outcome.worst("warning", "locked")
        missing = "deferred" if outcome.worst("locked") else "skipped" if said else "failed"
        seen: list[Row] = []
        for pause in VERIFY_PATIENCE:
            time.sleep(pause)
            seen = self._by_object(group, self._ask("verify", group[0], group))
            if all(after.get("ok") for after in seen) or said:
                break
        return [
            self._result(row, "ok", after)
            if after.get("ok")
            else self._result(row, missing, after, self._said(said, missing, row))
            for row, after in zip(group, seen, strict=True)
        ]

    def _said(self, said: str | None, status: str, row: Row) -> str:
        """Return why the effect is not there: what the server said and, for a deferred object, who held the table."""
        if status != "deferred":
            return said or "the effect is not there"
        return self._explained(DatabaseError(said or "", kind="lock_timeout"), [row])

    def _by_object(self, group: list[Row], rows: list[Row]) -> list[Row]:
        """Return the row of `verify` for each object of the group; an empty row where there is none."""
        if not self.tool.grouped:
            return [rows[0] if rows else {}]
        key = self.tool.key
        found = {tuple(row[name] for name in key): row for row in rows}
        return [found.get(tuple(row[name] for name in key), {}) for row in group]

    def _settled(self, group: list[Row], error: DatabaseError) -> list[ObjectResult] | None:
        """After a lost connection, wait for the statement's end on the server, then look. None: it has to be sent again."""
        wait_for_end(self.context)
        if "verify" in self.tool.blocks:
            results = self._verify(group, StatementResult())
            if all(result.status == "ok" for result in results):
                self._lost = None
                return results
        if not self.tool.idempotent:
            raise self._doubt(error)
        self._before_retry(group)
        self._lost = None
        return None

    def _outlived(self, group: list[Row]) -> list[ObjectResult] | None:
        """Return the results of a statement that outlived its process: on MariaDB a rebuilt table has a new creation time.

        None where the object was replaced for another reason.
        """
        if not self.context.interrupted or self.tool.deletes or "verify" not in self.tool.blocks:
            return None
        results = self._verify(group, StatementResult())
        if any(result.status != "ok" for result in results):
            return None
        why = "its statement ran on after the interruption, or the object was recreated since"
        return [replace(result, reason=why) for result in results]

    def _doubt(self, error: DatabaseError) -> InDoubtError:
        return InDoubtError(f"the connection was lost while {self.tool.name} ran: {error.message}")

    def _clean(self, group: list[Row]) -> str | None:
        """Remove what our own interrupted statement left; return why that failed, None on success."""
        try:
            for row in group:
                clean(self.tool, {**self.values, **row}, self.context)
        except DatabaseError as error:
            return f"what it left could not be removed yet: {error.message}"
        return None

    def _before_retry(self, group: list[Row]) -> None:
        """Remove leftovers, since another try would add one more. Raises DatabaseError when they cannot be removed."""
        if left := self._clean(group):
            raise DatabaseError(f"not tried again, {left}", kind="other")

    def _render(self, block: str, row: Row, group: list[Row] | None = None) -> Statement:
        return render(self.tool, self.tool.blocks[block], self._values(row, group), self.context.database)

    def _ask(self, block: str, row: Row, group: list[Row] | None = None) -> list[Row]:
        return self.context.ask(self.tool, block, self._values(row, group))

    def _values(self, row: Row, group: list[Row] | None = None) -> dict[str, Any]:
        return {**self.values, **row, **self._renewed, "group": group or [row]}

    def _result(self, row: Row, status: str, after: Row | None = None, reason: str | None = None) -> ObjectResult:
        after = None if after is None else {**after, **self._renewed}
        return ObjectResult(label_of(self.tool, self.values, row), status, row, after, reason)

    def _all(self, group: list[Row], status: str, reason: str | None = None) -> list[ObjectResult]:
        return [self._result(row, status, reason=reason) for row in group]

    def _explained(self, error: DatabaseError, group: list[Row]) -> str:
        return self.context.explained(error, {**self.values, **group[0]})

    def _status(self, error: DatabaseError) -> str:
        if error.kind == "corruption":
            return "corrupted"
        if error.kind == "lock_timeout" and (self.tool.read_only or self.tool.grouped):
            return "deferred"  # one locked table of many can wait for another night without stopping the rest
        return "skipped" if error.kind in ("unsupported", "missing_object") else "failed"


class Stages(Objects):
    """Objects that take several statements, or whose rows are checked right before they are deleted (`check`).

    An object's state is always read from the database, never remembered: whenever an earlier attempt was interrupted, the
    next one continues from the state that it finds.
    """

    _block = ""  # the statement that was sent last

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        row = group[0]
        if self._lost is not None:
            wait_for_end(self.context)
            self._lost = None
        self._block = ""
        if self._look("verify", row).get("ok"):
            if self.context.interrupted and "hold" in self.tool.blocks:
                with self.context.reading() as session:
                    self._renew(session, group)  # this run dropped it, and was killed before recording that
            return self._verify(group, StatementResult())
        outcome, seen = StatementResult(), Row()
        with self.context.writing(1 + len(row.get("referenced") or ())) as session:
            while self._block != "do":
                seen = self._look("check", row)
                reason = seen.get("reason") or (None if self._block else self._held(session, row))
                if reason is not None:
                    return self._all(group, "deferred", str(reason))
                block = str(seen.get("next") or "do")
                if block == self._block:
                    break  # it had no effect, and `verify` will say so
                self._block = block
                outcome = self._send(session, block, group)
        checked = {name: value for name, value in seen.items() if name not in ("next", "reason")}
        return [replace(one, after={**checked, **(one.after or {})}) for one in self._verify(group, outcome)]

    def _look(self, block: str, row: Row) -> Row:
        return next(iter(self._ask(block, row)), {})

    def _send(self, session: Session, block: str, group: list[Row]) -> StatementResult:
        try:
            return super()._send(session, block, group)
        except DatabaseError as error:
            if error.kind != "connection_lost":
                raise
            self._lost = error
            raise DatabaseError(error.message, kind="connect", code=error.code) from error

    def _explained(self, error: DatabaseError, group: list[Row]) -> str:
        """Return what failed and why, and what is still to be done."""
        if not self._block:
            return error.message
        text = f"{self.tool.blocks[self._block].comment}: {error.message}"
        with suppress(DatabaseError):  # the check fails too, and the reason is already given
            left = self._look("check", group[0]).get("next")
            if left in self.tool.blocks and left != self._block:
                text += f"; left to do: {self.tool.blocks[str(left)].comment}"
        return text

    def _status(self, error: DatabaseError) -> str:
        """Return `deferred` for a lock timeout that leaves the object whole, or a pending detach, which the next run finishes.

        No later run finds a table that has been detached: that is a failure, and `runs resume` continues from it.
        """
        if error.kind == "lock_timeout" and not (self._block == "do" and "detach" in self.tool.blocks):
            return "deferred"
        return super()._status(error)


class Undoing(Objects):
    """`undo` for every object that is not as it was before. One that can no longer be undone fails, with the reason."""

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        seen = next(iter(self.context.ask(self.tool, "verify", {**self.values, **group[0]})), {})
        if seen.get("ok"):
            return [self._result(group[0], "ok", seen)]
        if seen.get("reason") is not None:
            return [self._result(group[0], "failed", seen, f"cannot be undone: {seen['reason']}")]
        return super()._do(group)


def to_undo(tool: Tool, values: Mapping[str, Any], found: Sequence[Row], context: Context) -> list[Row]:
    """Return those of `found`, in reverse order, that are not as they were. Raises StepError when none of them can be undone."""
    with context.reading() as session:
        left, lost = undoable(tool, values, list(reversed(found)), context.database, session)
    if lost and len(lost) == len(left):
        raise StepError(f"cannot be undone: {why_not_undone(lost, len(left))}")
    return left


def undoable(
    tool: Tool, values: Mapping[str, Any], found: Sequence[Row], database: Database, session: Session
) -> tuple[list[Row], dict[str, str]]:
    """Return those of `found` that are not as they were, and the reasons, by name, for those that cannot be undone."""
    statements = (render(tool, tool.blocks["verify"], {**values, **row}, database) for row in found)
    seen = [(row, next(iter(session.query(one)), {})) for row, one in zip(found, statements, strict=True)]
    left = [(row, now) for row, now in seen if not now.get("ok")]
    lost = {label_of(tool, values, row): str(now["reason"]) for row, now in left if now.get("reason") is not None}
    return [row for row, _ in left], lost


def why_not_undone(lost: Mapping[str, str], objects: int) -> str:
    """Return why some of `objects` objects cannot be undone: their names by reason, or the reason alone for a single object."""
    if objects == 1:
        return next(iter(lost.values()))
    names = {why: [name for name, reason in lost.items() if reason == why] for why in lost.values()}
    return "; ".join(f"{why}: {few(of)}" for why, of in names.items())


def clean(tool: Tool, values: Mapping[str, Any], context: Context) -> int:
    """Drop the leftovers of an interrupted run of `tool` for one object; return their number."""
    if "leftovers" not in tool.blocks or "cleanup" not in tool.blocks:
        return 0
    leftovers = context.ask(tool, "leftovers", values)
    # Queued behind another session's running build, a DROP removed the finished index in 11 of 12 tries: never wait long.
    limits = SessionOptions(False, 0.5, context.options.statement_timeout)
    for row in leftovers:
        with context.database.session(limits) as session:
            session.mark(context.marker)
            if "probe" in tool.blocks:
                session.probe(render(tool, tool.blocks["probe"], values, context.database))
            statement = render(tool, tool.blocks["cleanup"], {**values, **row}, context.database)
            context.on_sent(statement, session)
            session.execute(statement)
    return len(leftovers)


def wait_for_end(context: Context, poll: float = 0.5) -> None:
    """Wait until no statement with this step's marker runs on the server. Raises StepError at the time limit."""
    deadline = time.monotonic() + (context.options.statement_timeout or 3600) + 10
    while context.database.running(context.marker):
        if time.monotonic() > deadline:
            raise StepError(
                f"a statement of {context.marker} still runs on the server", hint="cancel it there, then resume"
            )
        time.sleep(poll)


def groups(tool: Tool, found: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield rows in groups of the tool's size; a group ends early at GROUP_BYTES: large objects get a statement each."""
    group: list[Row] = []
    size = 0
    for row in found:
        weight = int(row.get("bytes") or 0)
        if group and (len(group) == tool.group or size + weight > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(dict(row))
        size += weight
    if group:
        yield group

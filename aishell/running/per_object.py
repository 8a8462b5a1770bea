"""`statement` and `each`: object by object, probe, do, verify, and clean up what an interruption left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aishell.databases.base import Session, SessionOptions, Statement, StatementResult
from aishell.errors import DatabaseError, ReplacedError, StepError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.context import Context, InDoubtError, ObjectResult, ToolResult, label_of
from aishell.running.identity import demand_same, settled
from aishell.running.results import conclude

#: How long an effect may take to show in the catalog: before PostgreSQL 15 the statistics collector lags by up to 0.5 s.
VERIFY_PATIENCE = (0.0, 0.1, 0.3, 0.6, 1.0)
#: Objects of a grouped tool that share a statement have at most this together: progress and timeouts stay meaningful.
GROUP_BYTES = 64 << 20


class Objects:
    """`statement` and `each`: for every object probe, do, verify; what fails on one object does not stop the next."""

    def __init__(self, tool: Tool, values: Mapping[str, Any], context: Context) -> None:
        self.tool, self.values, self.context = tool, values, context
        self.results: list[ObjectResult] = []
        #: The identity as our own statements have left it, those of an earlier process among them.
        self._renewed: Row = {
            name: value for after in context.earlier for name, value in after.items() if name in tool.identity
        }
        self._lost: DatabaseError | None = (
            None  # what ended the connection under a statement nobody has looked after yet
        )

    def run(self, found: Sequence[Row]) -> ToolResult:
        through = 0
        for group in groups(self.tool, found):
            self._next(group, through, len(found))
            through += len(group)
        self.context.progress(len(found), len(found), "")
        return self._conclude()

    def _next(self, group: list[Row], through: int, total: int) -> None:
        """One group of objects, usually of one; what was not ok in a larger group is tried again alone."""
        if self.context.cancelled():
            raise DatabaseError("cancelled before the next object", kind="cancelled")
        self.context.progress(through, total, label_of(self.tool, self.values, group[0]))
        started = time.monotonic()
        try:
            results = self._attempt(group)
        except DatabaseError as error:
            if error.kind in ("cancelled", "connect", "disk_full", "read_only"):
                self._clean(group)
                raise  # the next object would fail for the same reason
            status, reason = self._status(error), self._told(error, group)
            if status == "failed" and (left := self._clean(group)):
                reason = f"{reason}; {left}"
            denied = error.kind == "permission"
            results = [replace(self._result(row, status, reason=reason), denied=denied) for row in group]
        seconds = (time.monotonic() - started) / len(group)
        again = [number for number, result in enumerate(results) if result.status != "ok"] if len(group) > 1 else []
        through_now = [replace(r, seconds=seconds) for n, r in enumerate(results) if n not in again]
        if through_now:
            self.results += through_now
            self.context.on_objects(through_now)
        for number in again:
            self._next([group[number]], through + number, total)

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
        """`_do`; a group that met a locked object is not tried again as one: whose lock it is shows when each is alone."""
        try:
            return self._do(group)
        except ReplacedError as error:
            return [self._result(row, "failed", reason=error.message) for row in group]
        except DatabaseError as error:
            if error.kind != "lock_timeout" or len(group) == 1:
                raise
            return [self._result(row, "failed", reason=error.message) for row in group]

    def _do(self, group: list[Row]) -> list[ObjectResult]:
        # The server was away when the last try wanted to look what had become of its statement: look first.
        if self._lost is not None and (results := self._settled(group, self._lost)) is not None:
            return results
        with self.context.writing() as session:
            if (held := self._held(session, group[0])) is not None:
                return [self._result(row, "deferred", reason=held) for row in group]
            try:
                outcome = self._send(session, "do", group)
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
        if any(row.get("busy") for row in outcome.rows):
            raise DatabaseError("other sessions were in the way, only a part was done", kind="busy")
        if outcome.worst("unsupported"):
            return [self._result(row, "skipped", reason=outcome.worst("unsupported")) for row in group]
        if problem := outcome.worst("corrupt") or _problems(outcome.rows):
            return [self._result(row, "corrupted", reason=problem) for row in group]
        if failure := outcome.worst("error"):
            if len(group) > 1:  # whose error it is shows when each is tried alone
                return [self._result(row, "failed", reason=failure) for row in group]
            kind = "lock_timeout" if "lock wait timeout" in failure.lower() else "other"
            raise DatabaseError(failure, kind=kind)
        return self._verify(group, outcome)

    def _held(self, session: Session, row: Row) -> str | None:
        """Who is in the way of the lock, by `probe`; None when it is free."""
        if "probe" in self.tool.blocks:
            try:
                session.probe(self._render("probe", row))
            except DatabaseError as error:
                if error.kind != "lock_timeout":
                    raise
                return f"locked by another session: {self._told(error, [row])}"
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
        """The statement inside is of the object that was approved. Raises ReplacedError where another one has its name.

        With `hold`, which keeps the name, it is looked at under that lock, before `do`. Else it is looked at before and after; a
        `verify` that binds the identity looks at the very object afterwards.
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
        """What our own statement has made of the identity, where it gives another one: the next object has that."""
        rows = session.query(self._render("same", group[0], group=group))
        self._renewed |= {name: row[name] for row in rows for name in self.tool.identity & row.keys()}

    def _verify(self, group: list[Row], outcome: StatementResult) -> list[ObjectResult]:
        """Look whether the effect stands in the database. Not there: deferred or skipped if the server said why, else failed."""
        if "verify" not in self.tool.blocks:
            return [self._result(row, "ok") for row in group]
        said = outcome.worst("warning", "locked")
        missing = "deferred" if outcome.worst("locked") else "skipped" if said else "failed"
        seen: list[Row] = []
        for pause in VERIFY_PATIENCE:
            time.sleep(pause)
            with self.context.reading() as session:
                rows = session.query(self._render("verify", group[0], group=group))
            seen = self._by_object(group, rows)
            if all(after.get("ok") for after in seen) or said:
                break
        return [
            self._result(row, "ok", after)
            if after.get("ok")
            else self._result(row, missing, after, self._said(said, missing, row))
            for row, after in zip(group, seen, strict=True)
        ]

    def _said(self, said: str | None, status: str, row: Row) -> str:
        """Why the effect is not there: what the server said, and who held the table where it was left for that."""
        if status != "deferred":
            return said or "the effect is not there"
        return self._told(DatabaseError(said or "", kind="lock_timeout"), [row])

    def _by_object(self, group: list[Row], rows: list[Row]) -> list[Row]:
        """What `verify` saw of each object of the group; an empty row where it saw nothing."""
        if not self.tool.grouped:
            return [rows[0] if rows else {}]
        key = self.tool.key
        found = {tuple(row[name] for name in key): row for row in rows}
        return [found.get(tuple(row[name] for name in key), {}) for row in group]

    def _settled(self, group: list[Row], error: DatabaseError) -> list[ObjectResult] | None:
        """The connection died under a statement: wait for its end on the server, then look. None: it is to be sent again."""
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
        """What a statement has done that outlived the process that sent it: on MariaDB a table that was rebuilt has another time.

        None where another object stands there for another reason.
        """
        if not self.context.interrupted or self.tool.deletes or "verify" not in self.tool.blocks:
            return None
        results = self._verify(group, StatementResult())
        if any(result.status != "ok" for result in results):
            return None
        why = "its statement had run on after the interruption, or the object was made anew since"
        return [replace(result, reason=why) for result in results]

    def _doubt(self, error: DatabaseError) -> InDoubtError:
        return InDoubtError(f"the connection was lost while {self.tool.name} ran: {error.message}")

    def _clean(self, group: list[Row]) -> str | None:
        """Remove what our own interrupted statement left; says so when the server does not let it go now."""
        try:
            for row in group:
                clean(self.tool, {**self.values, **row}, self.context)
        except DatabaseError as error:
            return f"what it left could not be removed yet: {error.message}"
        return None

    def _before_retry(self, group: list[Row]) -> None:
        """Another try on top of a leftover would leave one more."""
        if left := self._clean(group):
            raise DatabaseError(f"not tried again, {left}", kind="other")

    def _render(self, block: str, row: Row, group: list[Row] | None = None) -> Statement:
        return render(self.tool, self.tool.blocks[block], self._values(row, group), self.context.database)

    def _values(self, row: Row, group: list[Row] | None = None) -> dict[str, Any]:
        return {**self.values, **row, **self._renewed, "group": group or [row]}

    def _result(self, row: Row, status: str, after: Row | None = None, reason: str | None = None) -> ObjectResult:
        after = None if after is None else {**after, **self._renewed}
        return ObjectResult(label_of(self.tool, self.values, row), status, row, after, reason)

    def _told(self, error: DatabaseError, group: list[Row]) -> str:
        return self.context.told(error, {**self.values, **group[0]})

    def _status(self, error: DatabaseError) -> str:
        if error.kind == "corruption":
            return "corrupted"
        if error.kind == "lock_timeout" and (self.tool.read_only or self.tool.grouped):
            return "deferred"  # one locked table of many, done another night, stops nothing that does not need it
        return "skipped" if error.kind in ("unsupported", "missing_object") else "failed"

    def _conclude(self) -> ToolResult:
        return conclude(self.tool, self.values, self.results, self.context)


def clean(tool: Tool, values: Mapping[str, Any], context: Context) -> int:
    """Drop the leftovers of an interrupted run of `tool` for one object; how many there were."""
    if "leftovers" not in tool.blocks or "cleanup" not in tool.blocks:
        return 0
    with context.reading() as session:
        leftovers = session.query(render(tool, tool.blocks["leftovers"], values, context.database))
    # Queued behind somebody's running build, a DROP removed the finished index in 11 of 12 tries: never wait long.
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
    """Wait until no statement with this step's marker runs on the server any more."""
    deadline = time.monotonic() + (context.options.statement_timeout or 3600) + 10
    while context.database.running(context.marker):
        if time.monotonic() > deadline:
            raise StepError(
                f"a statement of {context.marker} still runs on the server", hint="cancel it there, then resume"
            )
        time.sleep(poll)


def groups(tool: Tool, found: Sequence[Row]) -> Iterator[list[Row]]:
    """Rows in groups of the tool's size; a group ends early at GROUP_BYTES, so that large objects have a statement each."""
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


def _problems(rows: Iterable[Row]) -> str | None:
    return "; ".join(str(row["problem"]) for row in rows if row.get("problem") is not None) or None

"""`batched`: run `do` repeatedly, each time in a short transaction of its own, until nothing is left to do."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from aishell.databases.base import Session, Statement, StatementResult
from aishell.engines import profile
from aishell.errors import DatabaseError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import Context, ObjectResult, ToolResult, demand_same, label_of
from aishell.running.pacing import Pace, Room, within
from aishell.running.per_object import wait_for_end
from aishell.running.results import conclude, so_far

#: Maximum sweeps over the whole extent when rows are inserted behind the position meanwhile.
SWEEPS = 3
#: Milliseconds that a batch may take by default (agents.md).
TARGET_MS = 50.0
ENOUGH = "max_rows is reached"
#: The rows of a query, and the seconds it took.
Answer = tuple[list[Row], float]


class Asking:
    """Queries that run in parallel with the batches, in up to `sessions` read-only sessions, each in a thread, opened on demand.

    A query whose session was lost is sent again.
    """

    def __init__(self, context: Context, sessions: int) -> None:
        self.context = context
        self._pool = ThreadPoolExecutor(sessions, thread_name_prefix="asking")
        self._own = threading.local()
        self._sessions: list[Session] = []

    def ask(self, statement: Statement) -> Future[Answer]:
        """Send one query; return its future answer."""
        return self.have(lambda session: session.query(statement))

    def have(self, look: Callable[[Session], list[Row]]) -> Future[Answer]:
        """Call `look`, which may send several queries, with a session; return its future answer."""
        return self._pool.submit(self._answer, look)

    def _answer(self, look: Callable[[Session], list[Row]]) -> Answer:
        def send() -> list[Row]:
            if getattr(self._own, "session", None) is None:
                self._own.session = self.context.reading()
                self._sessions.append(self._own.session)
            try:
                return look(self._own.session)
            except DatabaseError as error:
                if error.kind == "connection_lost":  # nothing was changed: a new session can send it again
                    self._own.session = None
                    raise DatabaseError(error.message, kind="connect", code=error.code) from error
                raise

        began = time.monotonic()
        rows: list[Row] = self.context.attempt(send, lambda: None)
        return rows, time.monotonic() - began

    def close(self, *, cancel: bool = False) -> None:
        """Close the sessions; `cancel` also cancels their running queries."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions if cancel else ():
            session.cancel()
        self._pool.shutdown(wait=True)
        for session in self._sessions:
            session.close()


@dataclass(frozen=True)
class Batch:
    """The outcome of one batch. `upto`: where it ended; `last`: nothing follows it; `over`: it took no rows, since not even the
    smallest batch fits the rest of the limit."""

    upto: Any
    outcome: StatementResult
    seconds: float
    last: bool = False
    size: int | None = None  # where it differs from the requested one
    over: bool = False


@dataclass(frozen=True)
class End:
    """The end of a batch of `size` that begins at `position`: the answer to `next`, which may be pending."""

    position: Any
    size: int
    answer: Future[Answer]


class Batches:
    """The batches of one table. The record of each batch is enough to resume after a kill at any moment.

    A batch is recorded while the next one runs (a durable commit takes 2-3 ms, a tenth of a batch): after a kill the last two may
    have taken effect without being counted. Sent again, they find nothing to do. With `max_rows`, the number of rows that a batch
    may take is recorded before it is sent: what may have run then counts as if it had.

    Where `do` binds `:most`, it takes at most that many rows, and a batch that took as many has not finished its extent: the
    next one begins at the same position. So the limit is used in full, and the extent may be large where few rows match.

    Each batch works on the table that was approved. Where `do` binds the table's identity, it affects no rows of another one;
    otherwise `same` is queried in the batch's own transaction, which by then holds the table's lock.
    """

    sweeps = SWEEPS
    ahead = True  # the end of the next batch is queried while one runs
    promises = True  # the rows that a batch may take count towards the limit before it is sent
    at_once = False  # all batches can be one transaction

    def __init__(self, tool: Tool, values: Mapping[str, Any], context: Context) -> None:
        self.tool, self.values, self.context = tool, values, context
        self.session: Session | None = None
        self.checkpoint = BatchCheckpoint(None)
        self.room = Room()
        self.newest: Any = None  # the position of the newest old row, by an index; none is expected beyond it
        self.capped = values.get("max_rows") is not None and "most" in tool.blocks["do"].names
        self._promised = self.promises and values.get("max_rows") is not None
        self._apart = "same" in tool.blocks and not tool.bound("do")
        #: The batch to be recorded with the next one's promise.
        self._unrecorded: Mapping[str, Any] | None = None
        self._recording: Future[str | None] | None = None
        self._coming: End | None = None

    @classmethod
    def cut_off(cls, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        """Return how far an interrupted step of unknown outcome had come; a new value where that has to be recorded."""
        return (reached or BatchCheckpoint(None)).interrupted()

    def run(self, found: Sequence[Row]) -> ToolResult:
        """Work through the extent that `find` returned; each of its rows is an object, usually the only one."""
        results = []
        with ThreadPoolExecutor(1, "batch") as self._recorder:
            for row in found:
                before = {**row, "rows_deleted": 0}
                self._asking = Asking(self.context, 1)
                try:
                    results.append(self._extent(before))
                finally:
                    if self._unrecorded is not None:
                        self._record()
                    self._asking.close(cancel=True)
                    self._close()
        result = conclude(self.tool, self.values, results, self.context)
        worked = result.status == "skipped" and self.checkpoint.rows > 0
        return replace(result, status="done") if worked else result

    def _extent(self, row: Row) -> ObjectResult:
        started = time.monotonic()
        self.checkpoint = self._begin(row)
        self._publish()
        self.pace = self._pace(row)
        self.newest = self._newest(row)
        while True:
            stopped = self._sweep(row)
            self._recorded()
            if stopped is None:
                self.checkpoint = replace(self.checkpoint, unseen=0)  # every chunk has been looked up
            after = self._finish(row, stopped)
            label = label_of(self.tool, self.values, row)
            seconds = time.monotonic() - started
            if stopped is not None or after.get("ok"):
                status = "deferred" if stopped is not None and stopped != ENOUGH else "ok"
                return ObjectResult(label, status, row, after, stopped, seconds)
            if self.newest is not None:
                self.newest = None  # the rows are not in date order: continue to the end
                continue
            if self.checkpoint.sweep == self.sweeps:
                return ObjectResult(label, "deferred", row, after, self._left(after), seconds)
            sweep = self.checkpoint.sweep + 1
            self.checkpoint = replace(self.checkpoint, position=row.get("position"), sweep=sweep)

    def _pace(self, row: Row) -> Pace:
        target = float(self.values.get("batch_target_ms") or TARGET_MS) / 1000
        size = self.checkpoint.size or self.tool.batch
        return Pace(target, size, float(row.get("rows_per_unit") or 1), capped=self.capped)

    def _begin(self, row: Row) -> BatchCheckpoint:
        return self._taken_up(row.get("position"))

    def _taken_up(self, start: Any) -> BatchCheckpoint:
        """Return the checkpoint of an earlier process. If it was killed before recording one, its first batches may have run.

        Chunks that have to be looked up count as an interruption here; the subclass that looks them up takes it back.
        """
        known = self.context.checkpoint or BatchCheckpoint(start, uncounted=int(self.context.interrupted))
        if known.position is None and not known.batches:
            known = replace(known, position=start)
        return replace(known, uncounted=known.uncounted + 1) if known.unseen else known

    def _finish(self, row: Row, stopped: str | None) -> Row:
        """Return the figures at the end of a sweep; `ok` when nothing is left."""
        return (self._verified(row) if stopped in (None, ENOUGH) else {}) | self.checkpoint.figures()

    def _left(self, after: Row) -> str:
        return f"{after.get('remaining')} more were inserted behind it, {self.sweeps} times: the next run takes them"

    def _sweep(self, row: Row) -> str | None:
        """Run batches from the position on; return why they stopped before the end, None at the end."""
        if (closed := self.context.closes(self.checkpoint.longest)) is not None:
            return closed
        self._since = time.monotonic()
        while isinstance(batch := self._take(row), Batch):
            stop = None if self._promised else self._note()
            self._report(row)
            if batch.last or self._passed(batch.upto):
                return None
            if stop is None:
                stop = self._make_way()
            if stop is not None:
                return stop
        return batch

    def _take(self, row: Row) -> Batch | str | None:
        """Send, count and return the next batch; else return why there is none, None at the end of the extent."""
        limit = self.values.get("max_rows")
        size, most = self._share(row, None if limit is None else max(0, int(limit) - self.checkpoint.spent))
        if size == 0:
            return ENOUGH
        if self._promised and (stop := self._promise(most or 0)) is not None:
            return stop
        where = {"position": self.checkpoint.position, "size": size, "skip": size - 1, "most": most}
        batch = self._batch({**self.values, **row, **where})
        if batch is not None and batch.over:
            return ENOUGH
        if batch is not None:
            self._count_batch(batch, batch.size or size)
        return batch

    def _count_batch(self, batch: Batch, size: int) -> None:
        rows, ended = batch.outcome.count, time.monotonic()
        self.pace.took(batch.seconds, rows, size)
        self.checkpoint = replace(
            self.checkpoint,
            position=batch.upto,
            rows=self.checkpoint.rows + rows,
            batches=self.checkpoint.batches + 1,
            seconds=self.checkpoint.seconds + ended - self._since,
            longest=max(self.checkpoint.longest, batch.seconds),
            size=self.pace.size,
            pending=0,
            unseen=max(0, self.checkpoint.unseen - 1),
        )
        self._since = ended
        self._publish()
        if self._unrecorded is not None:
            self._record()
        self._unrecorded = {"upto": batch.upto, "rows": rows}

    def _make_way(self) -> str | None:
        """Let others work between two batches, for `sleep` seconds; return why not to begin another batch."""
        if self.context.waiters_seen():
            self.pace.slower()
        pause = float(self.values.get("sleep") or 0)
        if (closed := self.context.closes(pause + self.checkpoint.longest)) is not None:
            return closed
        session = self._live()
        # Sessions that poll for the lock need a moment in which it is free.
        if session.polled and (seconds := self.room.after_batch(time.monotonic(), others_wrote=session.others_wrote())):
            self.context.rest(seconds)
        if pause:
            self.context.rest(pause)
            self._since = time.monotonic()
        return None

    def _share(self, row: Row, left: int | None) -> tuple[int, int | None]:
        """Return the next batch's size and the most rows it may take, where a limit has `left` rows left. Size 0: none fits."""
        if left is None:
            return self.pace.size, None
        if self.capped:
            return (self.pace.size, min(left, self.pace.rows)) if left else (0, 0)
        most = float(row.get("most_rows_per_unit") or row.get("rows_per_unit") or 1)
        size = within(self.pace.size, left, most)
        return size, math.ceil(size * most)

    def _promise(self, rows: int) -> str | None:
        """Record, before the next batch is sent, that it may take this many rows; return why to stop instead."""
        self.checkpoint = replace(self.checkpoint, pending=rows)
        self._unrecorded = {**(self._unrecorded or {"upto": self.checkpoint.position, "rows": 0}), "promised": rows}
        return self._recorded()

    def _record(self) -> str | None:
        """Record a batch while the next one runs; return the reason to stop that recording the batch before it returned.

        It is recorded even if that raised: a request to stop is raised there, and this batch has run by then.
        """
        batch, self._unrecorded = self._unrecorded, None
        before = self._recording
        self._recording = self._recorder.submit(self.context.on_batch, self.checkpoint, batch or {})
        return before.result() if before is not None else None

    def _note(self) -> str | None:
        """Record a finished batch; return why to stop."""
        return self._record()

    def _recorded(self) -> str | None:
        """Wait until all work is recorded. Raises what recording raised: a request to stop, or a full disk."""
        if self._unrecorded is not None:
            self._record()
        recording, self._recording = self._recording, None
        return recording.result() if recording is not None else None

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        """Run and return the batch that begins at `position`; None when there is none."""
        upto: Row = {"upto": values["position"]}
        size = None
        if "next" in self.tool.blocks:
            following = self._coming if self._fits(values) else None
            self._coming = None
            found = self._next(values) if following is None else self._end(following.answer.result()[0])
            if found is None:
                return None
            upto, size = found, following.size if following else None
            self._ask_ahead({**values, "position": found["upto"]})
        began = time.monotonic()
        outcome = self._do({**values, **upto})
        if self.capped and outcome.count >= values["most"]:
            return Batch(values["position"], outcome, time.monotonic() - began, size=size)
        last = upto["upto"] is None if "next" in self.tool.blocks else outcome.count < values["size"]
        return Batch(upto["upto"], outcome, time.monotonic() - began, last, size)

    def _fits(self, values: Mapping[str, Any]) -> bool:
        """Return whether the end queried ahead is that of a batch at this position and of about this size."""
        asked = self._coming
        return (
            asked is not None and asked.position == values["position"] and 2 / 3 < asked.size / values["size"] < 3 / 2
        )

    def _ask_ahead(self, values: Mapping[str, Any]) -> None:
        """Query the end of the batch after this one, unless the engine has one writer: a reader could block its commit there."""
        wanted = self.ahead and values["position"] is not None and values.get("max_rows") is None
        if wanted and not profile(self.context.database.engine).one_writer:
            answer = self._asking.ask(self._render("next", values))
            self._coming = End(values["position"], values["size"], answer)

    def _next(self, values: Mapping[str, Any]) -> Row | None:
        """Return a row with `upto`, where the batch ends; with a key, its values, or None for the end of the table."""
        return self._end(self._query("next", values))

    def _end(self, rows: Sequence[Row]) -> Row | None:
        if self.tool.keyed:
            return {"upto": list(rows[0].values()) if rows else None}
        return rows[0] if rows and rows[0].get("upto") is not None else None

    def _newest(self, row: Row) -> Any:
        """Return the position of the newest old row, None where no index leads to it."""
        if "newest" not in self.tool.blocks or not self.values.get("indexed"):
            return None
        rows = self._query("newest", {**self.values, **row})
        found = self._end(rows) if rows else None
        return found["upto"] if found else None

    def _passed(self, position: Any) -> bool:
        try:
            return bool(self.newest is not None and position >= self.newest)
        except TypeError:
            return False  # on SQLite a key can hold values of several types

    def _query(self, block: str, values: Mapping[str, Any]) -> list[Row]:
        rows: list[Row] = self.context.attempt(lambda: self._live().query(self._render(block, values)), _nothing)
        return rows

    def _do(self, values: Mapping[str, Any]) -> StatementResult:
        statement = self._render("do", values)
        first = self.checkpoint.batches == 0

        def send() -> StatementResult:
            if self._overspent():
                return StatementResult()
            session = self._live()
            if first:
                self.context.on_sent(statement, session)
            self.context.on_session(session)
            try:
                return self._sent(session, statement, values)
            except DatabaseError as error:
                if error.kind != "connection_lost":
                    if error.kind in ("cancelled", "statement_timeout") and self._keeps_half(values):
                        self._lose()
                    raise
                # Sent again, it deletes what is left: the same rows, or none if it took effect.
                self._close()
                self._lose()
                self._look_up()
                wait_for_end(self.context)
                raise DatabaseError(error.message, kind="connect", code=error.code) from error
            finally:
                self.context.on_session(None)

        outcome: StatementResult = self.context.attempt(send, _nothing)
        return outcome

    def _publish(self) -> None:
        """Publish the figures so far, in case the step does not finish."""
        self.context.so_far = so_far(self.tool, self.checkpoint.figures())

    def _lose(self) -> None:
        """Note a batch of unknown outcome: it may have taken effect, and is sent again unchanged."""
        self.checkpoint = replace(self.checkpoint.interrupted(), pending=self.checkpoint.pending)
        self._publish()
        self._unrecorded = {"upto": self.checkpoint.position, "rows": 0, "lost": True}

    def _look_up(self) -> None:
        """Note what has to be looked up about a batch whose connection was lost, besides counting it as uncounted."""

    def _keeps_half(self, values: Mapping[str, Any]) -> bool:
        """Return whether a cancelled statement leaves what it has done: on MariaDB only InnoDB rolls it back."""
        return str(values.get("storage") or "InnoDB").lower() != "innodb"

    def _overspent(self) -> bool:
        """Return whether the batch, which may have run before its connection was lost, could exceed the limit if sent again."""
        limit = self.values.get("max_rows")
        return limit is not None and self.checkpoint.spent + self.checkpoint.pending > int(limit)

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        most = self.checkpoint.pending
        if not (self._apart or most):
            outcome = session.execute(statement)
        else:
            with session.transaction():
                if self._apart:
                    self._same(values, session)
                outcome = session.execute(statement)
                if most and outcome.count > most:
                    raise DatabaseError("rows were inserted while a batch was deleted", kind="serialization")
        if not outcome.count and not self._apart:
            self._same(values, session)  # the reason may be that the table was replaced
        return outcome

    def _verified(self, row: Row) -> Row:
        return next(iter(self.context.ask(self.tool, "verify", {**self.values, **row})), {})

    def _same(self, values: Mapping[str, Any], session: Session) -> None:
        """Raise ReplacedError where the table is not the one that was approved."""
        demand_same(self.tool, values, self.context, session)

    def _report(self, row: Row) -> None:
        start, finish, here = row.get("position"), row.get("finish"), self.checkpoint.position
        rate = self.checkpoint.rows / max(self.checkpoint.seconds, 1e-6)
        label = f"{self.checkpoint.rows:,} rows, {rate:,.0f}/s"
        if isinstance(start, int) and isinstance(finish, int) and isinstance(here, int):
            self.context.progress(here - start, max(finish - start, 1), label)
        else:
            self.context.progress(self.checkpoint.rows, self.context.expected_rows or 0, label)

    def _live(self) -> Session:
        """Return the one session of all batches; a new one after it was lost."""
        if self.session is None:
            self.session = self._open()
        return self.session

    def _open(self) -> Session:
        return self.context.writing()

    def _close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None

    def _render(self, block: str, values: Mapping[str, Any]) -> Statement:
        return render(self.tool, self.tool.blocks[block], values, self.context.database)


def _nothing() -> None:
    """Do nothing: a failed batch leaves nothing to clean up before another try."""

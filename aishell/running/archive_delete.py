"""Batches that delete the rows an archive has, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.archives.fates import DOUBTFUL, GONE, STAYED, ChunkFate, Notes, left_of
from aishell.archives.manifest import Chunk, Manifest
from aishell.archives.reader import Reader
from aishell.databases.base import Session, Statement, StatementResult
from aishell.errors import ArchiveError, DatabaseError, StepError
from aishell.models import Row
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.batched import Batch, Batches
from aishell.running.context import ToolResult, label_of
from aishell.running.identity import demand_same
from aishell.running.results import so_far

#: Chunks that may have gone after the last one that was written down: one while that was done, and the next.
UNSEEN = 2


class _InPartError(Exception):
    """Some of the rows of a chunk would go, and others stay."""


class Deleting(Batches):
    """`archives: delete`. A chunk is read back, then its rows are deleted if they are what they were.

    What an interruption left uncounted the chunks tell: with a `guard` a chunk goes as a whole or not at all, so one that was
    under way and is gone counts with all of its rows. Without one, rows that were changed since it was archived have stayed: then
    its rows are the most that may be missing from the count.
    """

    sweeps = 1
    reader: Reader

    @classmethod
    def cut_off(cls, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        return (reached or BatchCheckpoint(None)).looked_up(UNSEEN)

    def run(self, found: Sequence[Row]) -> ToolResult:
        manifest = self._manifest()
        self.values = {**manifest.extent, "whole": manifest.whole, **self.values}
        folder = self._folder()
        with (
            Reader(folder, manifest) as self.reader,
            Notes(folder) as self.notes,
            ThreadPoolExecutor(1, "archive") as self._pool,
        ):
            if manifest.format != "jsonl":
                self.reader.verify()
            self._reading: dict[int, Future[Any]] = {}
            result = super().run(found)
            self.notes.end()
            return result

    def _folder(self) -> Path:
        return shelf.inside(self.context.archive_root, self.values["archive"])

    def _manifest(self) -> Manifest:
        """The archive's manifest. Raises ArchiveError when it is not of the rows that are to go."""
        manifest = shelf.read_manifest(self._folder())
        for name in ("schema", "table", "date_column", "cutoff", "filters"):
            ours, theirs = self.values[name], getattr(manifest, name)
            if (list(ours) if name == "filters" else ours) != (list(theirs) if name == "filters" else theirs):
                raise ArchiveError(
                    f"the archive {manifest.archive_id} is of {name} {theirs!r}, the rows to be deleted are of {ours!r}"
                )
        return manifest

    def _begin(self, row: Row) -> BatchCheckpoint:
        now = self._query("find", self.values)  # what was found when the step began may be of last night
        if now and now[0].get("obstacle"):
            raise StepError(
                f"{label_of(self.tool, self.values, row)} {now[0]['obstacle']}: a foreign key could take rows along that no "
                "archive has",
                hint="run the clean-up again: it is planned anew",
            )
        checkpoint = self._taken_up(0)
        self._doubtful = {checkpoint.position, checkpoint.position + 1} if self.context.interrupted else set[int]()
        interrupted = int(self.context.interrupted)
        self.notes.begin(checkpoint.position)
        return replace(checkpoint, uncounted=max(0, checkpoint.uncounted - interrupted))

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        number = values["position"]
        if number >= len(self.reader.manifest.chunks):
            return None
        chunk = self.reader.manifest.chunks[number]
        self._number = number
        known = {"chunk": chunk, "checked": self._checked(number)}
        began = time.monotonic()
        self.fate = DOUBTFUL
        outcome = self._do({**values, "position": chunk.position, "upto": chunk.upto, **known})
        self.notes.add(number, self.fate)
        return Batch(number + 1, outcome, time.monotonic() - began)

    def _checked(self, number: int) -> Any:
        """What was read of a chunk. Raises ArchiveError for a damaged one. The next is read while the database deletes this one's
        rows.
        """
        for ahead in (number, number + 1):
            if ahead < len(self.reader.manifest.chunks) and ahead not in self._reading:
                self._reading[ahead] = self._pool.submit(self._ready, ahead)
        return self._reading.pop(number).result()

    def _ready(self, number: int) -> object:
        """What was read of a chunk, once it stands in the notes that it may be deleted."""
        self.notes.reserve(number)
        return self._read(number)

    def _read(self, number: int) -> object:
        """Read a chunk back; what is not of lines was read as a whole."""
        lines = self.reader.manifest.format == "jsonl"
        return self.reader.lines(self.reader.manifest.chunks[number]) if lines else None

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        chunk: Chunk = values["chunk"]
        if "guard" not in self.tool.blocks:
            outcome = self._unguarded(session, statement, values)
            if not outcome.count and self._number in self._doubtful:
                self._miss(chunk.rows)
            return outcome
        with session.transaction():
            seen = session.query(self._render("guard", values))[0]
            demand_same(self.tool, values, self.context, session)
            if not seen["rows"]:  # killed after this chunk's commit and before it was written down, or gone otherwise
                self.fate = self._stayed(None)
                return self._in_doubt(chunk.rows) if self._number in self._doubtful else StatementResult()
            same = (int(seen["rows"]), str(seen["guard"])) == (chunk.rows, chunk.guard)
            outcome = session.execute(statement) if same else StatementResult()
            if same and outcome.count == chunk.rows:
                self.fate = GONE
                return outcome
            if outcome.count:
                # A row came in between the two statements: it is not in the archive, and nothing of this is kept.
                raise DatabaseError("a row came in while archived rows were deleted", kind="serialization")
        if self._number in self._doubtful and int(seen["rows"]) < chunk.rows:
            self._miss(chunk.rows)  # it may have gone, and what is there have come in since
        self._stays(int(seen["rows"]))
        self.fate = self._stayed(int(seen["rows"]) >= chunk.rows)
        return StatementResult()

    def _unguarded(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        """Rows that were changed since they were archived stay, and the others go. Which, is asked for where it was not all."""
        chunk: Chunk = values["chunk"]
        lines = self.reader.manifest.format == "jsonl"
        telling = lines and "stands" in self.tool.blocks and values.get("columns")
        with suppress(_InPartError), session.transaction() if telling else nullcontext():
            outcome = super()._sent(session, statement, values)
            if telling and outcome.count not in (0, chunk.rows):
                raise _InPartError
            self.fate = GONE if outcome.count == chunk.rows else DOUBTFUL if outcome.count else self._stayed(None)
            return outcome
        with session.transaction(steady=True):
            seen = session.query(self._render("stands", values))[0]
            outcome = session.execute(statement)
        self.fate = ChunkFate(True, {0: left_of(self.reader.in_order(self._number), str(seen["sums"]).split(","))})
        return outcome

    def _stayed(self, standing: bool | None) -> ChunkFate:
        """The fate of a chunk that was not deleted now. Of one that may have been before it is known only where its rows are
        `standing`.
        """
        return STAYED if standing or self._number not in self._doubtful else DOUBTFUL

    def _in_doubt(self, rows: int) -> StatementResult:
        """Of a chunk that was under way and of which no row is there: it was ours, unless another run may have taken it since."""
        if self.context.others_ran():
            self._miss(rows)
            return StatementResult()
        return StatementResult(count=rows)

    def _miss(self, rows: int) -> None:
        """So many rows may be missing from the count."""
        missing = self.checkpoint.assumed + rows
        self.checkpoint = replace(self.checkpoint, uncounted=self.checkpoint.uncounted + 1, assumed=missing)

    def _stays(self, rows: int) -> None:
        """A chunk that is not what was archived: so many rows of it are left for another night, and known to be after a kill."""
        stayed = (*self.checkpoint.stayed, self._number)
        self.checkpoint = replace(self.checkpoint, left=self.checkpoint.left + rows, stayed=stayed)

    def _lose(self) -> None:
        self._doubtful.add(self._number)

    def _look_up(self) -> None:
        """The chunk is looked at when it is sent again. Where it never is, it remains in doubt."""
        self.checkpoint = self.checkpoint.looked_up(1)
        self.context.so_far = so_far(self.tool, self._figures())
        self._unrecorded = self._unrecorded or {"upto": self.checkpoint.position, "rows": 0, "lost": True}

    def _finish(self, row: Row, stopped: str | None) -> Row:
        chunks = self.reader.manifest.chunks
        after = super()._finish({**row, "upto": chunks[-1].upto if chunks else 0}, stopped)
        left = self.checkpoint.left  # of which a later chunk may have taken some along
        if after.get("remaining") is not None:
            left = min(left, int(after["remaining"]))
        return {**after, "rows_left": left, "ok": not left and bool(after.get("ok", True))}

    def _left(self, after: Row) -> str:
        if after["rows_left"]:
            left = f"{after['rows_left']:,} row(s) stand where something changed since they were archived"
            others = (after.get("remaining") or 0) - after["rows_left"]
            return (
                f"{left}{f', and {others:,} more old row(s) are there' if others > 0 else ''}: the next run takes them"
            )
        left = f"{after.get('remaining'):,} old row(s) are there still, which came in or changed since the rest was archived"
        return f"{left}, or the table was rewritten: the next run takes them"

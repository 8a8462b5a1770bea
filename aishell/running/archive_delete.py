"""Batches that delete archived rows chunk by chunk, alone or with rows of other tables that are deleted or changed with them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.archives.fates import DOUBTFUL, GONE, STAYED, ChunkFate, Notes, left_of
from aishell.archives.manifest import Chunk, Manifest
from aishell.archives.reader import ArchivedRow, ChunkRows, Key, Reader
from aishell.databases.base import Session, Statement, StatementResult
from aishell.errors import ArchiveError, DatabaseError, StepError
from aishell.models import Row
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.batched import Batch, Batches
from aishell.running.context import ToolResult, label_of
from aishell.running.following import Following
from aishell.running.own_changes import Figures, Member, OwnChanges

#: Chunks that may have been deleted after the last one recorded: one while that was being recorded, and the next.
UNSEEN = 2


#: The archived rows of a part in a chunk: their sums; in a part whose rows have to be told apart, each row by its present sum.
Archived = Mapping[str, ArchivedRow] | frozenset[str]


class _InPartError(Exception):
    """Some of the rows of a chunk would be deleted, and others stay."""


class Deleting(Batches):
    """`archives: delete`. A chunk is read back, then its rows are deleted if they are unchanged.

    After an interruption, the chunks show what was left uncounted. With a `guard`, a chunk is deleted as a whole or not at all:
    one that was under way and is gone counts with all of its rows. Without one, rows that were changed since they were archived
    have stayed: the chunk's rows are then the most that may be missing from the count.
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
        """Return the archive's manifest. Raises ArchiveError when it describes other rows than those to be deleted."""
        manifest = shelf.read_manifest(self._folder())
        for name in ("schema", "table", "date_column", "cutoff", "filters"):
            ours, theirs = self.values[name], getattr(manifest, name)
            if (list(ours) if name == "filters" else ours) != (list(theirs) if name == "filters" else theirs):
                raise ArchiveError(
                    f"the archive {manifest.archive_id} is of {name} {theirs!r}, the rows to be deleted are of {ours!r}"
                )
        return manifest

    def _begin(self, row: Row) -> BatchCheckpoint:
        now = self._query("find", self.values)  # what `find` returned when the step began may date from last night
        if now and now[0].get("obstacle"):
            raise StepError(
                f"{label_of(self.tool, self.values, row)} {now[0]['obstacle']}: a foreign key could delete rows that "
                "no archive has",
                hint="run the clean-up again: it makes a new plan",
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
        """Return what was read of a chunk. Raises ArchiveError for a damaged one. The next chunk is read while the database
        deletes the rows of this one.
        """
        for ahead in (number, number + 1):
            if ahead < len(self.reader.manifest.chunks) and ahead not in self._reading:
                self._reading[ahead] = self._pool.submit(self._ready, ahead)
        return self._reading.pop(number).result()

    def _ready(self, number: int) -> object:
        """Return what was read of a chunk, once the notes say that it may be deleted."""
        self.notes.reserve(number)
        return self._read(number)

    def _read(self, number: int) -> object:
        """Read a chunk back; CSV and Parquet were read as a whole before."""
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
            self._same(values, session)
            if not seen["rows"]:  # committed before a kill that kept it from being recorded, or gone otherwise
                self.fate = self._stayed(None)
                return self._in_doubt(chunk.rows) if self._number in self._doubtful else StatementResult()
            same = (int(seen["rows"]), str(seen["guard"])) == (chunk.rows, chunk.guard)
            outcome = session.execute(statement) if same else StatementResult()
            if same and outcome.count == chunk.rows:
                self.fate = GONE
                return outcome
            if outcome.count:
                # A row was inserted between the two statements. It is not in the archive, so all of this is rolled back.
                raise DatabaseError("a row was inserted while archived rows were deleted", kind="serialization")
        if self._number in self._doubtful and int(seen["rows"]) < chunk.rows:
            self._miss(chunk.rows)  # it may have been deleted, and the present rows inserted since
        self._stays(int(seen["rows"]))
        self.fate = self._stayed(int(seen["rows"]) >= chunk.rows)
        return StatementResult()

    def _unguarded(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        """Delete the rows that are unchanged since they were archived. Where others stay, look up which ones."""
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
        """Return the fate of a chunk that was not deleted now. If it may have been deleted before, it is known to have stayed
        only where its rows are `standing`.
        """
        return STAYED if standing or self._number not in self._doubtful else DOUBTFUL

    def _in_doubt(self, rows: int) -> StatementResult:
        """Count a chunk that was under way and has no rows left: this run deleted it, unless another may have done so since."""
        if self.context.others_ran():
            self._miss(rows)
            return StatementResult()
        return StatementResult(count=rows)

    def _miss(self, rows: int) -> None:
        """Note that this many rows may be missing from the count."""
        missing = self.checkpoint.assumed + rows
        self.checkpoint = replace(self.checkpoint, uncounted=self.checkpoint.uncounted + 1, assumed=missing)

    def _stays(self, rows: int) -> None:
        """Note a chunk that differs from the archive, so that its rows are known after a kill to be left for another night."""
        stayed = (*self.checkpoint.stayed, self._number)
        self.checkpoint = replace(self.checkpoint, left=self.checkpoint.left + rows, stayed=stayed)

    def _lose(self) -> None:
        self._doubtful.add(self._number)

    def _look_up(self) -> None:
        """Note that the chunk is looked up when it is sent again. If it never is, it remains in doubt."""
        self.checkpoint = self.checkpoint.looked_up(1)
        self._publish()
        self._unrecorded = self._unrecorded or {"upto": self.checkpoint.position, "rows": 0, "lost": True}

    def _finish(self, row: Row, stopped: str | None) -> Row:
        chunks = self.reader.manifest.chunks
        after = super()._finish({**row, "upto": chunks[-1].upto if chunks else 0}, stopped)
        left = self.checkpoint.left  # a later chunk may have deleted some of them
        if after.get("remaining") is not None:
            left = min(left, int(after["remaining"]))
        return {**after, "rows_left": left, "ok": not left and bool(after.get("ok", True))}

    def _left(self, after: Row) -> str:
        if after["rows_left"]:
            left = f"{after['rows_left']:,} row(s) stay in chunks that changed since they were archived"
            others = (after.get("remaining") or 0) - after["rows_left"]
            return f"{left}{f', and {others:,} more old row(s) remain' if others > 0 else ''}: the next run takes them"
        left = f"{after.get('remaining'):,} old row(s) remain that were inserted or changed since the rest was archived"
        return f"{left}, or the table was rewritten: the next run takes them"


class DeletingRelated(Deleting):
    """`archives: delete` with `relatives`. `guard` returns every row that the deletion of a chunk would reach, by the MD5 of its
    line. The chunk is deleted if each of them is among the archive's lines of this chunk, else it stays as a whole. A row that
    this run has changed through the foreign keys of an earlier chunk must match the archive except for that change.

    Both run in one transaction that affects no row inserted since (`Session.transaction`): the foreign keys delete and change
    only rows that were archived. An archived row that no longer exists does no harm.

    A chunk's figures are counted in that transaction and recorded before the commit: after a kill they apply if its rows are
    gone, unless another run has worked on the target since and may have deleted them.
    """

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder = self._folder()
        manifest = shelf.read_manifest(folder)
        ours = [(one["schema"], one["table"]) for one in self.values["relatives"]["tables"]]
        if ours != [(one.schema, one.table) for one in manifest.relatives]:
            raise ArchiveError(f"the archive {manifest.archive_id} lacks the tables whose rows are deleted too")
        self.own = OwnChanges(self._members(manifest))
        self._heard: str | None = None
        with ExitStack() as opened:
            parts = range(len(manifest.parts))
            self._readers = [opened.enter_context(Reader(folder, manifest, part)) for part in parts]
            if manifest.format != "jsonl":
                for reader in self._readers:
                    reader.verify()
            keys = [manifest.key, *(one.key for one in manifest.relatives)]
            self._told_apart = {part: ChunkRows(self._readers[part], keys[part]) for part in self.own.parts}
            return super().run(found)

    def _members(self, manifest: Manifest) -> list[Member]:
        """Return the table of each part and what its rows get. A cleaned-up partition and its table count as one table."""
        tables = {(manifest.schema, manifest.table): 0}
        members = [Member(0)]
        given = self.values["relatives"]["tables"]
        for part, (one, told) in enumerate(zip(manifest.relatives, given, strict=True), 1):
            table = 0 if told.get("itself") else tables.setdefault((one.schema, one.table), part)
            sets = {column: one.left.get(column) for column in one.changed} if one.changed else None
            members.append(Member(table, sets))
        return members

    def _begin(self, row: Row) -> BatchCheckpoint:
        checkpoint = super()._begin(row)
        went = set(range(checkpoint.position)).difference(checkpoint.stayed) if self._told_apart else set[int]()
        for number in sorted(went):
            keys = {part: [one.key for one in rows.read(number)] for part, rows in self._told_apart.items()}
            self.own.took(self.own.going(keys) if number in checkpoint.partly else keys)
        doubtful = self.context.interrupted or (checkpoint.sent or {}).get("lost")
        return checkpoint if doubtful else replace(checkpoint, sent=None)

    def _read(self, number: int) -> list[Sequence[ArchivedRow] | frozenset[str]]:
        return [
            self._told_apart[part].read(number) if part in self._told_apart else reader.sums(number)
            for part, reader in enumerate(self._readers)
        ]

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        try:
            return self._chunk(session, statement, values)
        except DatabaseError as error:
            if error.kind != "connection_lost":  # rolled back: what was announced did not happen
                self.checkpoint = replace(self.checkpoint, sent=None)
            raise

    def _chunk(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        checked: list[Any] = values["checked"]
        archived: list[Archived] = [
            self.own.as_they_are(part, rows) if part in self._told_apart else rows for part, rows in enumerate(checked)
        ]
        if 0 in self._told_apart and (moved := self.own.moved(checked[0])):
            values = {**values, "moved": moved}
            statement = self._render("do", values)
        with session.transaction(steady=True):
            rows = self._looked(session, values)
            self._same(values, session)
            reached = {int(row["part"]): frozenset(str(row["sums"]).split(",")) for row in rows}
            if 0 not in reached or (self._was_sent and reached[0].isdisjoint(archived[0])):
                self.fate = self._stayed(None)
                return self._gone_before(archived)  # present rows were inserted since: `_finish` counts what is left
            if not all(sums <= set(archived[part]) for part, sums in reached.items()):
                self._stays(len(reached[0]))
                self.fate = self._stayed(not reached[0].isdisjoint(archived[0]))
                return StatementResult()
            keys = _keys_of(reached, archived)
            figures = self.own.figures(reached, keys)
            partly = not self.own.accounts_for(_keys_of(_all(archived), archived), keys)
            self._announce(figures, partly)
            session.execute(statement)
        self.fate = self._gone(reached, archived)
        return self._count(figures, partly, keys)

    def _gone_before(self, archived: Sequence[Archived]) -> StatementResult:
        """Count a chunk none of whose rows are there: an earlier one took them, they were deleted otherwise, or this run was
        killed after the commit; only then the figures recorded before it apply.
        """
        sent = self.checkpoint.sent
        if sent is None or not self._was_sent:
            return StatementResult()
        if not self._in_doubt(sent["rows"]).count:
            self.checkpoint = replace(self.checkpoint, sent=None)
            return StatementResult()
        keys = _keys_of(_all(archived), archived)
        figures = Figures(*(sent[name] for name in Figures.__dataclass_fields__))
        return self._count(figures, bool(sent["partly"]), self.own.going(keys) if sent["partly"] else keys)

    @property
    def _was_sent(self) -> bool:
        """Whether this chunk was announced before a kill or a lost connection, and may have been deleted."""
        return self.checkpoint.sent is not None and self.checkpoint.sent["number"] == self._number

    def _announce(self, figures: Figures, partly: bool) -> None:
        """Record the chunk's figures, along with the chunk before it. Raises DatabaseError on a request to stop."""
        sent = {"number": self._number, **asdict(figures), "partly": int(partly)}
        self.checkpoint = replace(self.checkpoint, sent=sent)
        self._unrecorded = {
            **(self._unrecorded or {"upto": self.checkpoint.position, "rows": 0}),
            "promised": figures.rows,
        }
        self._heard = self._recorded()

    def _count(self, figures: Figures, partly: bool, keys: Mapping[int, Collection[Key]]) -> StatementResult:
        """Count a deleted chunk, with which the rows of these keys were deleted or changed."""
        self.own.took(keys)
        self.checkpoint = replace(
            self.checkpoint,
            cascaded=self.checkpoint.cascaded + figures.cascaded,
            relatives=self.checkpoint.relatives + figures.relatives,
            changed=self.checkpoint.changed + figures.changed,
            partly=(*self.checkpoint.partly, self._number) if partly else self.checkpoint.partly,
            sent=None,
        )
        return StatementResult(count=figures.rows)

    def _note(self) -> str | None:
        """Return why to stop, as announcing this chunk returned it. Its outcome is recorded with the next one, or at the end."""
        heard, self._heard = self._heard, None
        return heard

    def _lose(self) -> None:
        """Note a connection lost perhaps after the commit: the chunk's figures are in doubt however this run ends."""
        super()._lose()
        if self.checkpoint.sent is not None:
            self.checkpoint = replace(self.checkpoint, sent={**self.checkpoint.sent, "lost": 1})
            self._unrecorded = self._unrecorded or {"upto": self.checkpoint.position, "rows": 0, "lost": True}

    def _gone(self, reached: Mapping[int, frozenset[str]], archived: Sequence[Archived]) -> ChunkFate:
        """Return the fate of a deleted chunk: its archived rows that were not reached have stayed, or went with another chunk.
        If a row is in it twice, as one of the table and as one deleted with another row, the first line counts.
        """
        went: dict[tuple[str, str, bool], frozenset[str]] = {}
        left = {}
        for part, reader in enumerate(self._readers):
            key = reader.part.schema, reader.part.table, self.own.members[part].sets is None
            before = went.get(key, frozenset())
            gone = _as_archived(reached.get(part, frozenset()), archived[part]) - before
            went[key] = before | gone
            if len(gone) < len(archived[part]):
                left[part] = left_of(reader.in_order(self._number), gone)
        return ChunkFate(True, left)

    def _looked(self, session: Session, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows that the deletion of a chunk would reach: for each part, the sums of their lines."""
        statement = self._render("guard", values)
        if "follow" not in self.tool.blocks:
            return session.query(statement)
        return Following(self.values["relatives"]["edges"], self._render).look(session, statement, values)


def _all(archived: Sequence[Archived]) -> dict[int, frozenset[str]]:
    return {part: frozenset(known) for part, known in enumerate(archived)}


def _as_archived(sums: frozenset[str], known: Archived) -> frozenset[str]:
    """Return the sums that the rows reached have in the archive."""
    return sums if isinstance(known, frozenset) else frozenset(known[one].sum for one in sums)


def _keys_of(reached: Mapping[int, frozenset[str]], archived: Sequence[Archived]) -> dict[int, list[Key]]:
    return {
        part: [known[one].key for one in sums]
        for part, sums in reached.items()
        if not isinstance(known := archived[part], frozenset)
    }

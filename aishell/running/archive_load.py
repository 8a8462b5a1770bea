"""Batches that load the rows of an archive into a table, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from aishell.archives import shelf
from aishell.archives.fates import fates, share, without
from aishell.archives.order import ParentsFirst
from aishell.archives.reader import Reader, verify
from aishell.archives.values import Values, bound
from aishell.databases.base import Session, Statement, StatementResult
from aishell.engines import profile
from aishell.errors import DatabaseError, StepError
from aishell.models import Row
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.batched import Batch, Batches
from aishell.running.context import ALL_OR_NONE, InDoubtError, ToolResult, label_of


class Loading(Batches):
    """`archives: load`. Load the rows of an archive into a table, one transaction per chunk. Existing rows stay, and rows that
    the archive's run did not delete are left out.

    Where no key would identify a row that is sent twice (`whole`), all rows are one transaction: if it ends early, none stay.
    Existing rows (columns with the role `changed`) get their old values back; those whose values are the same are not sent.
    """

    sweeps = 1
    at_once = True

    @classmethod
    def cut_off(cls, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        return reached and reached.interrupted()

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder, manifest = shelf.find(self.context.archive_root, self.values["archive"])
        numbers = [int(self.values.get("part") or 0), *map(int, self.values.get("more") or ())]
        with ExitStack() as opened:
            self._readers = [opened.enter_context(Reader(folder, manifest, number)) for number in numbers]
            # Before the first row: a damaged archive loads nothing. Steps of other parts verify only their own files.
            if numbers[0] == manifest.load_order[0]:
                verify(folder, manifest)
            else:
                for reader in self._readers:
                    reader.verify()
            known = fates(folder, manifest)
            self.shares = [share(manifest, number, known) for number in numbers]
            self.names = self._readers[0].part.names
            self._sent_rows = self._postponed = 0
            self.lots = self._in_order()
            self.values = {**self.values, "archived_rows": self._distinct(manifest.key_of(numbers[0]))}
            return super().run(found)

    def _rows(self) -> Iterator[list[Values]]:
        """Yield the rows to be sent, in lots, some of which may be empty."""
        restored = [
            (self.names.index(column["column"]), column.get("left"))
            for column in self.values["columns"]
            if column.get("role") == "changed"
        ]
        for reader, share_ in zip(self._readers, self.shares, strict=True):
            order = [reader.part.names.index(name) for name in self.names]
            for lot in without(reader.rows(), share_.skipped):
                yield _differing(_ordered(lot, order), restored)

    def _in_order(self) -> Iterator[tuple[list[Values], bool]]:
        """Return lots of rows, and whether they are inserted without their references within the table."""
        if within := self.values.get("within"):
            return iter(ParentsFirst(self._rows, self.names, within))
        return ((rows, False) for rows in self._rows())

    def _distinct(self, key: Sequence[str]) -> int:
        """Return how many distinct rows the archive's lines hold: where it is not known what its run deleted, a row
        that several deletions reached is in it several times.
        """
        if not key or not any(one.doubt for one in self.shares):
            return sum(one.loaded for one in self.shares)
        places = [self.names.index(name) for name in key]
        return len({hash(tuple(map(str, (row[place] for place in places)))) for lot in self._rows() for row in lot})

    def _begin(self, row: Row) -> BatchCheckpoint:
        if row.get("obstacle"):
            raise StepError(
                f"{label_of(self.tool, self.values, row)} {row['obstacle']}: an interrupted load could not be repaired",
                hint="give it a primary key of archived columns, or load into another table",
            )
        checkpoint = self._taken_up(0)
        if not checkpoint.batches:
            return BatchCheckpoint(0, uncounted=checkpoint.uncounted)  # what was not committed is loaded again
        for rows, postponed in islice(self.lots, checkpoint.position):  # skip what is loaded
            self._count(rows, postponed)
        return checkpoint

    def _count(self, rows: Sequence[Values], postponed: bool) -> None:
        self._sent_rows += len(rows)
        self._postponed += len(rows) if postponed else 0

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        if values.get("whole"):
            if self.checkpoint.batches:
                return None
            lot: Sequence[Values] = ()
            postponed = False
        else:
            found = next(self.lots, None)
            if found is None:
                return None
            lot, postponed = found
            self._count(lot, postponed)
        began = time.monotonic()
        outcome = self._do({**values, "rows": lot, "postponed": postponed})
        return Batch(values["position"] + 1, outcome, time.monotonic() - began)

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        self._singly = False
        try:
            return self._all(session, statement, values)
        except DatabaseError as error:
            if error.kind != "duplicate":
                raise
            self._singly = True  # all were rolled back; sent one at a time, existing rows can be skipped
            return self._all(session, statement, values)

    def _all(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        """Insert the rows of a chunk, or all rows, in one transaction."""
        if values.get("whole"):
            return self._at_once(session, statement, values)
        if not values["rows"]:
            return StatementResult()
        with session.transaction():
            self._same(values, session)
            return StatementResult(count=self._insert(session, statement, values["rows"], without=values["postponed"]))

    def _at_once(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        """Insert every row in one transaction. Right before the commit, a record says that it may happen: a run killed earlier
        begins again, one killed at that moment is in doubt, and rows are never loaded twice.
        """
        count, ending = 0, False
        try:
            with session.transaction():
                self._same(values, session)
                self._sent_rows = self._postponed = 0  # this may be a second try
                for rows, postponed in self._in_order():
                    if self.context.cancelled():
                        raise DatabaseError("stopped between two chunks", kind="cancelled")
                    self._count(rows, postponed)
                    count += self._insert(session, statement, rows, without=postponed) if rows else 0
                    self.context.progress(count, self.values["archived_rows"], f"{count:,} rows")
                self.context.on_batch(BatchCheckpoint(0, rows=count), {"upto": 0, "rows": 0, "committing": count})
                ending = True
        except DatabaseError as error:
            if ending and error.kind == "connection_lost":
                raise InDoubtError(f"{ALL_OR_NONE} ({error.message})") from error
            raise
        return StatementResult(count=count)

    def _insert(self, session: Session, statement: Statement, rows: Sequence[Values], *, without: bool) -> int:
        """Insert the rows; `without`: leave their references within the table NULL."""
        named = self._named(rows, without=without)
        if not self._singly:
            return session.execute_many(statement, named)
        return sum(self._insert_one(session, statement, row) for row in named)

    def _insert_one(self, session: Session, statement: Statement, row: Mapping[str, Any]) -> int:
        """Insert a row unless it already exists; return the number of rows inserted."""
        try:
            return session.execute_many(statement, [row])
        except DatabaseError as error:
            if error.kind == "duplicate":
                return 0
            raise

    def _named(self, rows: Sequence[Values], *, without: bool) -> list[dict[str, Any]]:
        """Return the values of rows by the names that the statement binds."""
        typed = not profile(self.context.database.engine).types_bind
        within = (self.values.get("within") or ()) if without else ()
        empty = {name for one in within for name in one["nullable"]}
        columns = [(f"value_{number}", column["column"]) for number, column in enumerate(self.values["columns"])]
        places = [(name, None if of in empty else self.names.index(of)) for name, of in columns if of in self.names]
        return [
            {name: None if place is None else bound(row[place], typed=typed) for name, place in places} for row in rows
        ]

    def _finish(self, row: Row, stopped: str | None) -> Row:
        after = super()._finish(row, stopped)
        doubt, left = (sum(getattr(one, name) for one in self.shares) for name in ("doubt", "left"))
        told = {"rows_left_out": left, "rows_in_doubt": doubt, "rows_postponed": self._postponed}
        sent = sum(one.loaded for one in self.shares) if row.get("whole") else self._sent_rows
        return {**after, "rows_left": sent - self.checkpoint.rows, **told}

    def _left(self, after: Row) -> str:
        there, archived = int(after["rows_now"]), int(self.values["archived_rows"])
        return f"the table has {there:,} row(s), the archive {archived:,}: some were deleted during the load; load it again"


def _ordered(rows: list[Values], order: Sequence[int]) -> list[Values]:
    return rows if list(order) == sorted(order) else [[row[place] for place in order] for row in rows]


def _differing(rows: list[Values], restored: Sequence[tuple[int, Any]]) -> list[Values]:
    """Return the rows whose values differ from those the change left; all rows where nothing was changed."""
    return [row for row in rows if any(row[place] != left for place, left in restored)] if restored else rows

"""Batches that put the rows of an archive into a table, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aishell.archives import shelf
from aishell.archives.reader import Reader, verify
from aishell.archives.values import Values, bound
from aishell.databases.base import Outcome, Session, Statement
from aishell.errors import DatabaseError, StepError
from aishell.models import Row
from aishell.registry.batches import Batch, Batches
from aishell.registry.context import ALL_OR_NONE, InDoubtError, ToolResult, label_of
from aishell.registry.reached import Reached
from aishell.registry.same import demand_same


class Loading(Batches):
    """`archives: load`. The rows of an archive into a table, a chunk a transaction; rows that are there already stay.

    Where no key would tell a row that is sent twice (`whole`), all rows are one transaction: whatever ends it early leaves none.
    """

    sweeps = 1

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder, manifest = shelf.find(self.context.archive_root, self.values["archive"])
        number = int(self.values.get("part") or 0)
        with Reader(folder, manifest, number) as reader:
            # Before the first row: a damaged archive loads nothing. The steps of its other parts look at their own.
            if number == manifest.load_order[0]:
                verify(folder, manifest)
            else:
                reader.verify()
            self.part, self.reader = reader.part, reader
            self.values = {**self.values, "archived_rows": self.part.rows}
            self.lots: Iterator[list[Values]] = reader.rows()
            return super().run(found)

    def _begin(self, row: Row) -> Reached:
        if row.get("obstacle"):
            raise StepError(
                f"{label_of(self.tool, self.values, row)} {row['obstacle']}: a load that is interrupted could not be made good",
                hint="give it a primary key of archived columns, or load into another table",
            )
        reached = self._taken_up(0)
        if not reached.batches:
            return Reached(0, uncounted=reached.uncounted)  # what was not committed is loaded anew
        next(islice(self.lots, reached.position, reached.position), None)  # go past what is loaded
        return reached

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        whole = values.get("whole")
        rows = () if whole else next(self.lots, None)
        if rows is None or (whole and self.reached.batches):
            return None
        began = time.monotonic()
        outcome = self._do({**values, "rows": rows})
        return Batch(values["position"] + 1, outcome, time.monotonic() - began)

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> Outcome:
        if values.get("whole"):
            return self._at_once(session, statement, values)
        with session.transaction():
            demand_same(self.tool, values, self.context, session)
            return Outcome(count=self._insert(session, statement, values["rows"]))

    def _at_once(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> Outcome:
        """Every row in one transaction. Right before its end it is written down that it may end: a run that is killed earlier
        begins anew, one that is killed at that moment is in doubt, and never are rows loaded twice.
        """
        count, ending = 0, False
        try:
            with session.transaction():
                demand_same(self.tool, values, self.context, session)
                for rows in self.reader.rows():
                    if self.context.cancelled():
                        raise DatabaseError("stopped between two chunks", kind="cancelled")
                    count += self._insert(session, statement, rows)
                    self.context.progress(count, self.part.rows, f"{count:,} rows")
                self.context.on_batch(Reached(0, rows=count), {"upto": 0, "rows": 0, "committing": count})
                ending = True
        except DatabaseError as error:
            if ending and error.kind == "connection_lost":
                raise InDoubtError(f"{ALL_OR_NONE} ({error.message})") from error
            raise
        return Outcome(count=count)

    def _insert(self, session: Session, statement: Statement, rows: Sequence[Values]) -> int:
        typed = self.context.database.engine == "sqlite"
        places = [
            (f"value_{number}", self.part.names.index(column["column"]))
            for number, column in enumerate(self.values["columns"])
            if column["column"] in self.part.names
        ]
        named = [{name: bound(row[place], typed=typed) for name, place in places} for row in rows]
        return session.execute_many(statement, named)

    def _finish(self, row: Row, stopped: str | None) -> Row:
        return {**super()._finish(row, stopped), "rows_left": self.part.rows - self.reached.rows}

    def _figures(self) -> Row:
        return {**super()._figures(), "rows_loaded": self.reached.rows}

"""Batches that put the rows of an archive into a table, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from aishell.archives import shelf
from aishell.archives.reader import Reader
from aishell.archives.values import Values, bound
from aishell.databases.base import Outcome, Session, Statement
from aishell.models import Row
from aishell.registry.batches import Batch, Batches
from aishell.registry.context import ToolResult
from aishell.registry.reached import Reached


class Loading(Batches):
    """`archives: load`. The rows of an archive into a table, a chunk a transaction; rows that are there already stay."""

    sweeps = 1

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder, manifest = shelf.find(self.context.archive_root, self.values["archive"])
        self.values = {**self.values, "archived_rows": manifest.rows}
        with Reader(folder, manifest) as reader:
            reader.verify()  # before the first row: a damaged archive loads nothing
            self.manifest = manifest
            self.lots: Iterator[list[Values]] = reader.rows()
            return super().run(found)

    def _begin(self, row: Row) -> Reached:
        reached = self.context.reached or Reached(0)
        next(islice(self.lots, reached.position, reached.position), None)  # go past what is loaded
        return reached

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        rows = next(self.lots, None)
        if rows is None:
            return None
        began = time.monotonic()
        outcome = self._do({**values, "rows": rows})
        return Batch(values["position"] + 1, outcome, time.monotonic() - began)

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> Outcome:
        typed = self.context.database.engine == "sqlite"
        named = [{f"value_{n}": bound(value, typed=typed) for n, value in enumerate(row)} for row in values["rows"]]
        with session.transaction():
            return Outcome(count=session.execute_many(statement, named))

    def _figures(self) -> Row:
        loaded = self.reached.rows
        return {**super()._figures(), "rows_loaded": loaded, "rows_left": self.manifest.rows - loaded}

"""Batches that delete archived rows with which rows of other tables go, or change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from aishell.archives import shelf
from aishell.archives.fates import DOUBTFUL, Fate, left_of
from aishell.archives.reader import Reader
from aishell.databases.base import Outcome, Session, Statement
from aishell.errors import ArchiveError
from aishell.models import Row
from aishell.registry.archive_deletes import Deleting
from aishell.registry.context import ToolResult
from aishell.registry.following import Following
from aishell.registry.same import demand_same


class DeletingRelated(Deleting):
    """`archives: delete` with `relatives`. `guard` tells every row that the deletion of a chunk would reach, by the MD5 of its
    line; the chunk goes if each of them stands in the archive's own lines of this chunk, else it stays as a whole.

    Both are one transaction in which nothing is touched that came in since (`Session.transaction`): so what the foreign keys
    take along is what was archived, and nothing else. A row that is there no more is none the worse for being archived.
    """

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder = self._folder()
        manifest = shelf.read_manifest(folder)
        ours = [(one["schema"], one["table"]) for one in self.values["relatives"]["tables"]]
        if ours != [(one.schema, one.table) for one in manifest.relatives]:
            raise ArchiveError(f"the archive {manifest.archive_id} has not the tables whose rows go along")
        self._rows_go = [part for part, one in enumerate(manifest.relatives, 1) if not one.changed]
        with ExitStack() as opened:
            parts = range(len(manifest.parts))
            self._readers = [opened.enter_context(Reader(folder, manifest, part)) for part in parts]
            if manifest.format != "jsonl":
                for reader in self._readers:
                    reader.verify()
            return super().run(found)

    def _read(self, number: int) -> list[frozenset[str]]:
        return [reader.sums(number) for reader in self._readers]

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> Outcome:
        archived: list[frozenset[str]] = values["checked"]
        with session.transaction(steady=True):
            rows = self._looked(session, values)
            demand_same(self.tool, values, self.context, session)
            reached = {int(row["part"]): frozenset(str(row["sums"]).split(",")) for row in rows}
            own = reached.get(0, frozenset())
            if not own:  # killed after this chunk's commit and before it was written down, or gone otherwise
                self.fate = self._stayed(None)
                return Outcome(count=values["chunk"].rows if self._number in self._doubtful else 0)
            all_there = all(sums <= archived[part] for part, sums in reached.items())
            if all_there:
                session.execute(statement)
        if not all_there:
            self.rows_left += len(own)
            self.fate = self._stayed(bool(own & archived[0]))
            return Outcome()
        self.fate = self._gone(reached, archived)
        gone = {part: len(sums) for part, sums in reached.items() if part}
        went = sum(count for part, count in gone.items() if part in self._rows_go)
        self.reached = replace(
            self.reached,
            relatives=self.reached.relatives + went,
            changed=self.reached.changed + sum(gone.values()) - went,
        )
        return Outcome(count=len(own))

    def _gone(self, reached: Mapping[int, frozenset[str]], archived: Sequence[frozenset[str]]) -> Fate:
        """The fate of a chunk that was deleted: what is archived in it and was not reached has stayed, or went with another. Of a
        row that is in it twice, as one of the table and as one that went with another, the first line counts.
        """
        if any(not sums <= archived[part] for part, sums in reached.items()):
            return DOUBTFUL  # which line a row that was reached is of is not known
        went: dict[tuple[str, str, bool], frozenset[str]] = {}
        left = {}
        for part, reader in enumerate(self._readers):
            key = reader.part.schema, reader.part.table, part == 0 or part in self._rows_go
            before = went.get(key, frozenset())
            gone = reached.get(part, frozenset()) - before
            went[key] = before | gone
            if len(gone) < len(archived[part]):
                left[part] = left_of(reader.in_order(self._number), gone)
        return Fate(True, left)

    def _looked(self, session: Session, values: Mapping[str, Any]) -> list[Row]:
        """Every row that the deletion of a chunk would reach: of each part the sums of its lines."""
        statement = self._render("guard", values)
        if "follow" not in self.tool.blocks:
            return session.query(statement)
        return Following(self.values["relatives"]["edges"], self._render).look(session, statement, values)

    def _figures(self) -> Row:
        told = {"relatives_deleted": self.reached.relatives, "relatives_changed": self.reached.changed}
        return {**super()._figures(), **told}

"""Batches that delete archived rows with which rows of other tables go, or change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from aishell.archives import shelf
from aishell.archives.fates import ChunkFate, left_of
from aishell.archives.manifest import Manifest
from aishell.archives.reader import ArchivedRow, ChunkRows, Key, Reader
from aishell.databases.base import Session, Statement, StatementResult
from aishell.errors import ArchiveError, DatabaseError
from aishell.models import Row
from aishell.running.archive_delete import Deleting
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.context import ToolResult
from aishell.running.following import Following
from aishell.running.identity import demand_same
from aishell.running.own_changes import Figures, Member, OwnChanges

#: What is archived of a part in a chunk: sums, and in a part whose rows have to be told apart the row that has each of them now.
Archived = Mapping[str, ArchivedRow] | frozenset[str]


class DeletingRelated(Deleting):
    """`archives: delete` with `relatives`. `guard` tells every row that the deletion of a chunk would reach, by the MD5 of its
    line; the chunk goes if each of them stands in the archive's own lines of this chunk, else it stays as a whole. A row that
    this run itself has changed, by the foreign keys of an earlier chunk, must be what the archive has but for that change.

    Both are one transaction in which nothing is touched that came in since (`Session.transaction`): so what the foreign keys
    take along is what was archived, and nothing else. A row that is there no more is none the worse for being archived.

    What a chunk comes to is counted in that transaction and written down before it is committed: after a kill its figures are
    those if its rows are gone. Only where another run has worked on the target since they may have gone by that one.
    """

    def run(self, found: Sequence[Row]) -> ToolResult:
        folder = self._folder()
        manifest = shelf.read_manifest(folder)
        ours = [(one["schema"], one["table"]) for one in self.values["relatives"]["tables"]]
        if ours != [(one.schema, one.table) for one in manifest.relatives]:
            raise ArchiveError(f"the archive {manifest.archive_id} has not the tables whose rows go along")
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
        """What the parts are to each other. The rows of a partition that is cleaned up are those of its table."""
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
        sent = checkpoint.sent if self.context.interrupted or (checkpoint.sent or {}).get("lost") else None
        for number in range(checkpoint.position) if self._told_apart else ():
            if number not in checkpoint.stayed:
                keys = {part: [one.key for one in rows.read(number)] for part, rows in self._told_apart.items()}
                self.own.took(self.own.going(keys) if number in checkpoint.partly else keys)
        return replace(checkpoint, sent=sent)

    def _read(self, number: int) -> list[Sequence[ArchivedRow] | frozenset[str]]:
        return [
            self._told_apart[part].read(number) if part in self._told_apart else reader.sums(number)
            for part, reader in enumerate(self._readers)
        ]

    def _sent(self, session: Session, statement: Statement, values: Mapping[str, Any]) -> StatementResult:
        try:
            return self._chunk(session, statement, values)
        except DatabaseError as error:
            if error.kind != "connection_lost":  # it was rolled back: what was announced did not happen
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
            demand_same(self.tool, values, self.context, session)
            reached = {int(row["part"]): frozenset(str(row["sums"]).split(",")) for row in rows}
            if 0 not in reached or (self._was_sent and reached[0].isdisjoint(archived[0])):
                self.fate = self._stayed(None)
                return self._gone_before(archived)  # what is there came in since: the end looks for what is left
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
        """A chunk none of whose rows is there: an earlier one took them, they went otherwise, or this run was killed behind its
        commit; then it comes to what was written down of it before.
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
        """Whether this chunk was announced before the process was killed, or lost its server, and may have gone."""
        return self.checkpoint.sent is not None and self.checkpoint.sent["number"] == self._number

    def _announce(self, figures: Figures, partly: bool) -> None:
        """Have written down what the chunk comes to, with what the one before did. Raises DatabaseError when asked to stop."""
        sent = {"number": self._number, **asdict(figures), "partly": int(partly)}
        self.checkpoint = replace(self.checkpoint, sent=sent)
        self._unrecorded = {
            **(self._unrecorded or {"upto": self.checkpoint.position, "rows": 0}),
            "promised": figures.rows,
        }
        self._heard = self._recorded()

    def _count(self, figures: Figures, partly: bool, keys: Mapping[int, Collection[Key]]) -> StatementResult:
        """A chunk is gone, and so are, or changed, the rows of these keys."""
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
        """Written down with the next chunk's figures, or at the end; why to stop was heard with this one's."""
        heard, self._heard = self._heard, None
        return heard

    def _lose(self) -> None:
        """The connection was lost, perhaps behind the commit: the chunk's figures stand in doubt however this run ends."""
        super()._lose()
        if self.checkpoint.sent is not None:
            self.checkpoint = replace(self.checkpoint, sent={**self.checkpoint.sent, "lost": 1})
            self._unrecorded = self._unrecorded or {"upto": self.checkpoint.position, "rows": 0, "lost": True}

    def _gone(self, reached: Mapping[int, frozenset[str]], archived: Sequence[Archived]) -> ChunkFate:
        """The fate of a chunk that was deleted: what is archived in it and was not reached has stayed, or went with another. Of a
        row that is in it twice, as one of the table and as one that went with another, the first line counts.
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
        """Every row that the deletion of a chunk would reach: of each part the sums of its lines."""
        statement = self._render("guard", values)
        if "follow" not in self.tool.blocks:
            return session.query(statement)
        return Following(self.values["relatives"]["edges"], self._render).look(session, statement, values)


def _all(archived: Sequence[Archived]) -> dict[int, frozenset[str]]:
    return {part: frozenset(known) for part, known in enumerate(archived)}


def _as_archived(sums: frozenset[str], known: Archived) -> frozenset[str]:
    """The sums that rows which were reached have in the archive."""
    return sums if isinstance(known, frozenset) else frozenset(known[one].sum for one in sums)


def _keys_of(reached: Mapping[int, frozenset[str]], archived: Sequence[Archived]) -> dict[int, list[Key]]:
    """The keys of the rows of these sums, in the parts whose rows have to be told apart."""
    return {
        part: [known[one].key for one in sums]
        for part, sums in reached.items()
        if not isinstance(known := archived[part], frozenset)
    }

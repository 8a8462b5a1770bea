"""Batches that copy the rows of a table into an archive, a chunk each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.archives.converting import converted
from aishell.archives.manifest import Chunk, Manifest
from aishell.archives.writer import MANIFEST, Writer
from aishell.databases.base import Outcome, Session
from aishell.errors import ArchiveError, DatabaseError
from aishell.folders import folder_name
from aishell.models import Row, now
from aishell.registry.asking import Answer, Asking
from aishell.registry.batches import Batch, Batches
from aishell.registry.context import ToolResult, label_of
from aishell.registry.reached import Reached
from aishell.registry.same import demand_same

#: The lines of a chunk are one value in memory, there and here; servers refuse more than 16 MB to a client as they come.
CHUNK_BYTES = 8 << 20
#: Sessions that make chunks: while one is on its way and its rows are written down, the other one's are made.
SESSIONS = 2


@dataclass(frozen=True)
class Asked:
    """A chunk that a session is making: its range and size, and its one row."""

    position: Any
    upto: Any
    size: int
    answer: Future[Answer]


class Writing(Batches):
    """`archives: write`. `do` returns one row a batch: rows, checksum, lines and, where the deletion needs it, a guard."""

    sweeps = 1
    ahead = False  # chunks are made ahead, which takes their ends
    promises = False  # the files tell how many rows there are, and none is deleted
    writer: Writer
    _made: Manifest | None = None  # by an earlier process
    _through = False  # an earlier process came to the end of the table

    def run(self, found: Sequence[Row]) -> ToolResult:
        self.makers = Asking(self.context, SESSIONS)
        self._following: Asked | None = None
        keep = finished = False
        try:
            result = super().run(found)
            finished = True
            return result
        except DatabaseError as error:
            keep = error.kind == "cancelled"
            raise
        finally:
            self.makers.close(cancel=not finished)
            if not finished and (writer := self.__dict__.get("writer")):
                # A run that was interrupted goes on with what is there; of one that failed nothing stays.
                writer.close() if keep else writer.discard()

    def _open(self) -> Session:
        return self.context.reading()

    def _begin(self, row: Row) -> Reached:
        folder = self._folder(row)
        ending = f"{self.context.run_id[:8]}-{self.context.step_id}"
        taken_up = shelf.taken_up(folder, ending)
        if taken_up is not None and (taken_up / MANIFEST).is_file():
            # Killed after the archive got its name and before the step's end was written down.
            self._made = shelf.read_manifest(taken_up)
            return Reached(None, self._made.rows)
        made = taken_up or folder / f"{now()[:19].replace('-', '').replace(':', '')}Z-{ending}"
        self.writer = Writer(made, self._manifest(row, made.name))
        chunks = self.writer.chunks
        earlier = self.context.reached or Reached(row.get("position"))
        position = chunks[-1].upto if chunks else row.get("position")
        self._through = bool(chunks) and position is None
        return replace(earlier, position=position, rows=self.writer.rows, batches=len(chunks), uncounted=0)

    def _folder(self, row: Row) -> Path:
        parts = (self.context.target, label_of(self.tool, self.values, row))
        return shelf.inside(self.context.archive_root, self.values["path"]).joinpath(*map(folder_name, parts))

    def _manifest(self, row: Row, archive_id: str) -> Manifest:
        database = self.context.database
        return Manifest(
            archive_id=archive_id,
            created_at=now(),
            run_id=self.context.run_id,
            target=self.context.target,
            product=database.product,
            server_version=".".join(map(str, database.version)),
            schema=self.values["schema"],
            table=self.values["table"],
            columns=tuple(self.values["columns"]),
            date_column=self.values["date_column"],
            cutoff=self.values["cutoff"],
            filters=tuple(self.values["filters"]),
            extent={name: value for name, value in row.items() if value is not None},
        )

    def _sweep(self, row: Row) -> str | None:
        return None if self._made is not None or self._through else super()._sweep(row)

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        """A chunk. While its rows are written down, another session makes the next one."""
        asked = self._asked(values)
        if asked is None:
            return None
        if asked.upto is not None and values.get("max_rows") is None:
            self._following = self._asked({**values, "position": asked.upto})
        (row, *_), seconds = asked.answer.result()
        if row["lines"] is None and row["rows"]:
            if asked.size == 1:
                raise ArchiveError(
                    f"a row of {self.values['table']} at {values['position']!r} is too large to be archived"
                )
            self._following = None
            return self._batch({**values, "size": max(1, asked.size // 2)})
        lines = _bytes(row["lines"])
        guard = None if row.get("guard") is None else str(row["guard"])
        chunk = Chunk(values["position"], asked.upto, int(row["rows"]), str(row["checksum"]), guard, 0, 0)
        self.writer.add(chunk, lines)
        if len(lines) * 2 > CHUNK_BYTES:
            self.pace.largest = max(1, asked.size * CHUNK_BYTES // len(lines))
        return Batch(asked.upto, Outcome(count=chunk.rows), seconds, asked.upto is None, asked.size)

    def _asked(self, values: Mapping[str, Any]) -> Asked | None:
        """The chunk that begins at `position`, on its way; None behind the last one."""
        following, self._following = self._following, None
        if following is not None and following.position == values["position"]:
            return following
        upto = self._next({**values, "skip": values["size"] - 1})
        if upto is None:
            return None
        answer = self.makers.ask(self._render("do", {**values, **upto}))
        return Asked(values["position"], upto["upto"], values["size"], answer)

    def _finish(self, row: Row, stopped: str | None) -> Row:
        """The archive under its name, if the table still has no more rows of its kind than went into it."""
        if self._made is not None:
            return self._archived(self._made)
        self.writer.settle()
        demand_same(self.tool, {**self.values, **row}, self.context, self._live())
        # Where the walk came to its end, all of the table counts: rows behind its newest old one, too.
        check = self._verified({**row, "upto": row.get("finish") if stopped is None else self.reached.position})
        if check.get("ok") and check["rows_now"] > self.writer.rows and self.newest is not None:
            return {"ok": False}  # the rows do not lie in the order of their dates
        if not check.get("ok") or check["rows_now"] > self.writer.rows:
            raise ArchiveError(
                f"{label_of(self.tool, self.values, row)} was rewritten while it was archived: the archive is not complete",
                hint="run it again; nothing was deleted",
            )
        if not self.writer.rows:
            self.writer.discard()
            return self._archived(self.writer.manifest)
        convert = partial(converted, wanted=self.values["format"])
        return self._archived(self.writer.finish(whole=stopped is None, convert=convert))

    def _figures(self) -> Row:
        return {**super()._figures(), "rows_deleted": 0, "rows_archived": self.reached.rows}

    def _archived(self, made: Manifest) -> Row:
        place = self._folder({"schema": made.schema, "table": made.table}) / made.archive_id
        return {
            **self._figures(),
            "ok": True,
            "archive_id": made.archive_id if made.rows else None,
            "archive_path": str(place) if made.rows else None,
            "rows_archived": made.rows,
            "archive_bytes": made.bytes,
        }


def _bytes(lines: str | bytes | None) -> bytes:
    return lines.encode() if isinstance(lines, str) else bytes(lines or b"")

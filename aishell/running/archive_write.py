"""Batches that copy the rows of a table into an archive, one chunk each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aishell.archives import shelf
from aishell.archives.manifest import VERSION, Chunk, Manifest, Piece, Relative
from aishell.archives.reader import converted
from aishell.archives.writer import MANIFEST, Writer
from aishell.databases.base import Session, StatementResult
from aishell.errors import ArchiveError, DatabaseError
from aishell.files import folder_name
from aishell.models import Row, now
from aishell.running.batch_checkpoint import BatchCheckpoint
from aishell.running.batched import Answer, Asking, Batch, Batches
from aishell.running.context import ToolResult, label_of
from aishell.running.following import Following

#: The lines of a chunk are one value in memory, on both sides; by default servers send a client no more than 16 MB.
CHUNK_BYTES = 8 << 20
#: Sessions that make chunks: while the rows of one are sent and written down, the other makes the next chunk.
SESSIONS = 2


@dataclass(frozen=True)
class Asked:
    """A chunk that a session is making: its range, its size and its pending answer."""

    position: Any
    upto: Any
    size: int
    answer: Future[Answer]


class Writing(Batches):
    """`archives: write`. `do` returns one row per batch: rows, checksum, lines and, where the deletion needs it, a guard. Where
    rows of other tables are deleted too, it returns a row for each part.
    """

    sweeps = 1
    ahead = False  # chunks are made ahead, with their ends
    promises = False  # the files tell how many rows there are, and none is deleted
    writer: Writer
    _made: Manifest | None = None  # by an earlier process
    _through = False  # an earlier process reached the end of the table

    @classmethod
    def cut_off(cls, reached: BatchCheckpoint | None) -> BatchCheckpoint | None:
        return reached  # the files say which chunks are written

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
                # An interrupted run continues with these files; a failed one leaves nothing.
                writer.close() if keep else writer.discard()

    def _open(self) -> Session:
        return self.context.reading()

    def _begin(self, row: Row) -> BatchCheckpoint:
        folder = self._folder(row)
        ending = self.context.claim.ending
        taken_up = shelf.taken_up(folder, ending)
        if taken_up is not None and (taken_up / MANIFEST).is_file():
            # Killed after the archive got its name and before the step's end was recorded.
            self._made = shelf.read_manifest(taken_up)
            return BatchCheckpoint(None, self._made.rows)
        made = taken_up or folder / f"{now()[:19].replace('-', '').replace(':', '')}Z-{ending}"
        self.writer = Writer(made, self._manifest(row, made.name))
        chunks = self.writer.chunks
        earlier = self.context.checkpoint or BatchCheckpoint(row.get("position"))
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
            **self._relatives(),
        )

    def _relatives(self) -> dict[str, Any]:
        """Return the manifest's fields for relatives: their tables, and how all tables are to be loaded."""
        given = self.values.get("relatives")
        if given is None:
            return {}
        loading = {name: tuple(given["own"].get(name, ())) for name in ("key", "later", "same")}
        found = tuple(Relative.of({**one, "key": one["load_key"]}) for one in given["tables"])
        return {"version": VERSION, "relatives": found, "load_order": tuple(given["load_order"]), **loading}

    def _share(self, row: Row, left: int | None) -> tuple[int, int | None]:
        """Return the next chunk's size and limit. Its rows are counted first: above the limit, a smaller one is made instead."""
        return (self.pace.size, None) if left is None else (self.pace.size if left else 0, left)

    def _sweep(self, row: Row) -> str | None:
        return None if self._made is not None or self._through else super()._sweep(row)

    def _batch(self, values: Mapping[str, Any]) -> Batch | None:
        """Write a chunk, while another session makes the next one."""
        asked = self._asked(values)
        if asked is None:
            return None
        if asked.upto is not None and values.get("max_rows") is None:
            self._following = self._asked({**values, "position": asked.upto})
        rows, seconds = asked.answer.result()
        if values.get("most") is not None and sum(row["rows"] for row in rows if not row.get("part")) > values["most"]:
            if asked.size == 1:
                return Batch(values["position"], StatementResult(), seconds, over=True)
            return self._batch({**values, "size": max(1, asked.size // 2)})
        if any(row["lines"] is None and row["rows"] for row in rows):
            if asked.size == 1:
                raise self._too_large(values, rows)
            self._following = None
            return self._batch({**values, "size": max(1, asked.size // 2)})
        chunk, lines = self._chunk(values["position"], asked.upto, rows)
        self.writer.add(chunk, *lines)
        size = sum(map(len, lines))
        if size * 2 > CHUNK_BYTES:
            self.pace.largest = max(1, asked.size * CHUNK_BYTES // size)
        return Batch(asked.upto, StatementResult(count=chunk.rows), seconds, asked.upto is None, asked.size)

    def _chunk(self, position: Any, upto: Any, rows: Sequence[Row]) -> tuple[Chunk, list[bytes]]:
        """Return a chunk and its lines: those of the table first, then those of each relative."""
        by_part = {int(row.get("part", 0)): row for row in rows}
        own, *others = (by_part.get(n, _NOTHING) for n in range(1 + len(self.writer.manifest.relatives)))
        guard = None if own.get("guard") is None else str(own["guard"])
        pieces = tuple(Piece(int(row["rows"]), str(row["checksum"])) for row in others)
        chunk = Chunk(position, upto, int(own["rows"]), str(own["checksum"]), guard, 0, 0, pieces)
        return chunk, [_bytes(row["lines"]) for row in (own, *others)]

    def _too_large(self, values: Mapping[str, Any], rows: Sequence[Row]) -> ArchiveError:
        """Return the error for one row, with the rows that depend on it, that is too large to archive."""
        where = f"{self.values['table']} at {values['position']!r}"
        part = max(int(row.get("part", 0)) for row in rows if row["lines"] is None)
        if not part:
            return ArchiveError(f"a row of {where} is too large to archive")
        name = self.writer.manifest.relatives[part - 1].name
        return ArchiveError(
            f"too many rows of {name} depend on one row of {where} to archive them together",
            hint=f"clean up {name} first, with --table of its own; nothing was deleted",
        )

    def _asked(self, values: Mapping[str, Any]) -> Asked | None:
        """Return the pending chunk that begins at `position`; None after the last one."""
        following, self._following = self._following, None
        if following is not None and following.position == values["position"]:
            return following
        upto = self._next({**values, "skip": values["size"] - 1})
        if upto is None:
            return None
        within = {**values, **upto}
        statement = self._render("do", within)
        if "follow" in self.tool.blocks:
            family = Following(self.values["relatives"]["edges"], self._render)
            answer = self.makers.have(lambda session: family.look(session, statement, within))
        else:
            answer = self.makers.ask(statement)
        return Asked(values["position"], upto["upto"], values["size"], answer)

    def _finish(self, row: Row, stopped: str | None) -> Row:
        """Finish the archive. Raises ArchiveError if the table now has more matching rows than were archived."""
        if self._made is not None:
            return self._archived(self._made)
        self.writer.settle()
        self._same({**self.values, **row}, self._live())
        # After a complete sweep the whole table counts, including rows beyond the newest old one.
        check = self._verified({**row, "upto": row.get("finish") if stopped is None else self.checkpoint.position})
        if check.get("ok") and check["rows_now"] > self.writer.rows and self.newest is not None:
            return {"ok": False}  # the rows are not in date order
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

    def _archived(self, made: Manifest) -> Row:
        place = self._folder({"schema": made.schema, "table": made.table}) / made.archive_id
        return {
            **self.checkpoint.figures(),
            "ok": True,
            "archive_id": made.archive_id if made.rows else None,
            "archive_path": str(place) if made.rows else None,
            "rows_archived": made.rows,
            "relatives_archived": sum(part.rows for part in made.parts[1:]),
            "archive_bytes": sum(part.bytes for part in made.parts),
        }


#: The row of a relative none of whose rows are in the chunk.
_NOTHING: Row = {"rows": 0, "checksum": "", "lines": None}


def _bytes(lines: str | bytes | None) -> bytes:
    return lines.encode() if isinstance(lines, str) else bytes(lines or b"")

"""The manifest of an archive: where its rows came from, and for each chunk what the database counted. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aishell.codec import pack, unpack
from aishell.errors import ArchiveError

#: Versions written: 1 for the rows of one table, which older aishells read too; 2 with rows of other tables.
PLAIN, VERSION = 1, 2
FORMATS = ("jsonl", "csv", "parquet")
_LISTS = ("columns", "filters")
_OF_RELATIVES = ("relatives", "load_order", "key", "later", "same")
_FILE = ("file", "rows", "bytes", "sha256")
_SHOWN = ("archive_id", "created_at", "target", "schema", "table", "cutoff", "rows", "bytes", "format", "whole")


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines in a file: `offset` and `length` in bytes, `checksum` the MD5 of the uncompressed lines, computed by the database."""

    rows: int
    checksum: str
    offset: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one range of the table. `position` and `upto` are in the tool's terms; `offset` and `length` in bytes.

    `checksum`: MD5 of the uncompressed lines, computed by the database. `guard`: a value that the database computes again before
    it deletes the rows, None where none is needed. `pieces`: for each relative of the archive, the rows that go with these.
    """

    position: Any
    upto: Any
    rows: int
    checksum: str
    guard: str | None
    offset: int
    length: int
    pieces: tuple[Piece, ...] = ()

    def data(self) -> dict[str, Any]:
        data = asdict(self)
        return data if self.pieces else {name: value for name, value in data.items() if name != "pieces"}

    def text(self) -> str:
        return json.dumps(pack(self.data()), ensure_ascii=False)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Chunk:
        return cls(**{**data, "pieces": tuple(Piece(**piece) for piece in data.get("pieces", ()))})

    @classmethod
    def read(cls, text: str) -> Chunk:
        return cls.of(unpack(json.loads(text)))


@dataclass(frozen=True)
class Relative:
    """A table whose rows were deleted with those of the archive's own table, or changed because those were deleted.

    `key`: its primary key. `changed`: the columns that were set to NULL or to their default; `columns` are then the key and
    these. Empty where the rows were deleted: `columns` are then all columns. `later`: columns loaded once all rows are there,
    because tables reference each other in a circle. `left`: the values of changed columns since, NULL where not named.
    """

    schema: str
    table: str
    columns: tuple[Mapping[str, Any], ...]
    key: tuple[str, ...]
    changed: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    left: Mapping[str, Any] = field(default_factory=dict)
    same: tuple[str, ...] = ()
    file: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Relative:
        known = {name: value for name, value in data.items() if name in cls.__dataclass_fields__}
        lists = ("columns", "key", "changed", "later", "same")
        return cls(**{**known, **{name: tuple(known.get(name) or ()) for name in lists}})

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class ArchivePart:
    """One file of an archive: the table's own, or a relative's."""

    schema: str
    table: str
    columns: tuple[Mapping[str, Any], ...]
    file: str
    rows: int
    bytes: int
    sha256: str
    pieces: Sequence[Piece | Chunk]

    @property
    def names(self) -> Sequence[str]:
        return [str(column["column"]) for column in self.columns]


@dataclass(frozen=True)
class Manifest:
    """`columns`: {column, type, form} of each, in the table's order. `extent`: what `find` returned on the table at the start.

    `relatives`: the tables whose rows were deleted or changed with these; `load_order`: the parts whose rows are to be loaded,
    referenced ones first. Part 0 is the table itself, part n the n-th relative. `later`: as in Relative.
    """

    archive_id: str
    created_at: str
    run_id: str
    target: str
    product: str
    server_version: str
    schema: str
    table: str
    columns: tuple[Mapping[str, Any], ...]
    date_column: str
    cutoff: Any
    filters: tuple[Mapping[str, Any], ...]
    extent: Mapping[str, Any]
    format: str = "jsonl"
    file: str = ""
    rows: int = 0
    bytes: int = 0
    whole: bool = True  # False: it stopped before the end of the table, at max_rows or at the end of the window
    sha256: str = ""  # of a file that is not made of chunks
    chunks: tuple[Chunk, ...] = ()
    version: int = PLAIN
    relatives: tuple[Relative, ...] = ()
    load_order: tuple[int, ...] = (0,)
    key: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    def text(self) -> str:
        data = {**asdict(replace(self, chunks=())), "chunks": [chunk.data() for chunk in self.chunks]}
        if not self.relatives:
            data = {name: value for name, value in data.items() if name not in _OF_RELATIVES}
        return json.dumps(pack(data), ensure_ascii=False, indent=1)

    @classmethod
    def of(cls, text: str, where: str) -> Manifest:
        """Return the manifest in `text`. Raises ArchiveError, naming the file, if it is not one of a known version."""
        try:
            data: dict[str, Any] = unpack(json.loads(text))
            if data["version"] > VERSION:
                raise ArchiveError(f"{where} is of version {data['version']}", hint="read it with a newer aishell")
            chunks = tuple(Chunk.of(chunk) for chunk in data.pop("chunks"))
            relatives = tuple(Relative.of(relative) for relative in data.pop("relatives", ()))
            data |= {name: tuple(data[name]) for name in (*_LISTS, *_OF_RELATIVES) if name in data}
            return cls(**data, chunks=chunks, relatives=relatives)
        except (ValueError, TypeError, KeyError) as error:
            raise ArchiveError(f"{where} is not an archive manifest: {error!r}") from error

    @property
    def names(self) -> Sequence[str]:
        return [str(column["column"]) for column in self.columns]

    @property
    def parts(self) -> tuple[ArchivePart, ...]:
        """The files: the table's own, then those of its relatives."""
        pieces = ([chunk.pieces[number] for chunk in self.chunks] for number in range(len(self.relatives)))
        return _part(self, self.chunks), *(_part(*one) for one in zip(self.relatives, pieces, strict=True))

    def key_of(self, number: int) -> tuple[str, ...]:
        """Return the primary key of a part's table; empty for an archive without relatives."""
        return self.relatives[number - 1].key if number else self.key

    def loading(self, counts: Sequence[int]) -> list[dict[str, Any]]:
        """Return the steps that load everything, in order: the rows of each table, then columns left out or changed. `counts`:
        how many rows of each part are to be loaded.

        Each has `part`, and `more` parts with rows of the same table, `schema`, `table`, `rows`, `columns`, those of them that
        come `later`, and whether it `restores` existing rows: its columns then have the `role` key, changed or same, and
        changed ones have as `left` the value that they hold since.
        """
        own = Relative(self.schema, self.table, self.columns, self.key, later=self.later, same=self.same)
        parts = [replace(one, rows=count) for one, count in zip((own, *self.relatives), counts, strict=True)]
        numbers: dict[tuple[str, str], list[int]] = {}
        for number in self.load_order:
            numbers.setdefault((parts[number].schema, parts[number].table), []).append(number)
        rows = [
            _step(first, parts[first], parts[first].columns, restores=False)
            | {"rows": sum(parts[number].rows for number in (first, *more)), "more": more}
            for first, *more in numbers.values()
        ]
        put_back = [
            _step(number, one, _roles(one), restores=True)
            # Columns left out come first: their rows have no value in any of these columns yet.
            for number, one in sorted(enumerate(parts), key=lambda part: bool(part[1].changed))
            if one.later or one.changed
        ]
        return rows + put_back

    def with_parts(self, parts: Sequence[ArchivePart], **more: Any) -> Manifest:
        """Return the manifest with the files as they are now."""
        own, *others = ({name: getattr(part, name) for name in _FILE} for part in parts)
        made = tuple(replace(one, **told) for one, told in zip(self.relatives, others, strict=True))
        return replace(self, **own, relatives=made, **more)

    def summary(self) -> dict[str, Any]:
        """Return what a list of archives shows."""
        relatives = [
            {
                "schema": one.schema,
                "table": one.table,
                "rows": one.rows,
                "bytes": one.bytes,
                "changed": list(one.changed),
            }
            for one in self.relatives
        ]
        return {**{name: getattr(self, name) for name in _SHOWN}, "relatives": relatives, "run_id": self.run_id}


def _part(one: Manifest | Relative, pieces: Sequence[Piece | Chunk]) -> ArchivePart:
    return ArchivePart(one.schema, one.table, one.columns, one.file, one.rows, one.bytes, one.sha256, pieces)


def _step(number: int, one: Relative, columns: Sequence[Mapping[str, Any]], *, restores: bool) -> dict[str, Any]:
    named = {"part": number, "schema": one.schema, "table": one.table, "rows": one.rows, "later": list(one.later)}
    return {**named, "columns": [dict(column) for column in columns], "restores": restores}


def _roles(one: Relative) -> list[dict[str, Any]]:
    """Return the columns that identify a row, and those that it gets back."""
    changed = one.changed or one.later
    named = {str(column["column"]): column for column in one.columns}
    return [
        *({**named[name], "role": "key"} for name in one.key),
        *({**named[name], "role": "changed", "left": one.left.get(name)} for name in changed),
        *({"column": name, "form": "plain", "role": "same"} for name in one.same),
    ]

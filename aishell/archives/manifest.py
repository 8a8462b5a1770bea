"""What an archive says of itself: where its rows came from, and of each chunk of them what the database counted. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aishell.errors import ArchiveError
from aishell.packing import pack, unpack

#: Raised when an older aishell could not read what this one writes.
VERSION = 1
FORMATS = ("jsonl", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one range of the table. `position` and `upto` are in the tool's terms; `offset` and `length` in bytes.

    `checksum`: MD5 of the uncompressed lines, by the database. `guard`: what the database makes of the rows again before it
    deletes them, None where it needs none.
    """

    position: Any
    upto: Any
    rows: int
    checksum: str
    guard: str | None
    offset: int
    length: int

    def text(self) -> str:
        return json.dumps(pack(asdict(self)), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> Chunk:
        return cls(**unpack(json.loads(text)))


@dataclass(frozen=True)
class Manifest:
    """`columns`: {column, type, form} of each, in the table's order. `extent`: what `find` told of the table at the start."""

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
    whole: bool = True  # False: it stopped before the end of the table, by max_rows or by the window
    sha256: str = ""  # of a file that is not made of chunks
    chunks: tuple[Chunk, ...] = ()
    version: int = VERSION

    def text(self) -> str:
        data = {**asdict(replace(self, chunks=())), "chunks": [asdict(chunk) for chunk in self.chunks]}
        return json.dumps(pack(data), ensure_ascii=False, indent=1)

    @classmethod
    def of(cls, text: str, where: str) -> Manifest:
        """Raises ArchiveError, naming the file, for a text that is no manifest of a version this aishell knows."""
        try:
            data: dict[str, Any] = unpack(json.loads(text))
            if data["version"] > VERSION:
                raise ArchiveError(f"{where} is of version {data['version']}", hint="read it with a newer aishell")
            chunks = tuple(Chunk(**chunk) for chunk in data.pop("chunks"))
            data |= {name: tuple(data[name]) for name in ("columns", "filters")}
            return cls(**data, chunks=chunks)
        except (ValueError, TypeError, KeyError) as error:
            raise ArchiveError(f"{where} is no manifest of an archive: {error!r}") from error

    @property
    def names(self) -> Sequence[str]:
        return [str(column["column"]) for column in self.columns]

    def summary(self) -> dict[str, Any]:
        """What a list of archives shows."""
        return {
            "archive_id": self.archive_id,
            "created_at": self.created_at,
            "target": self.target,
            "schema": self.schema,
            "table": self.table,
            "cutoff": self.cutoff,
            "rows": self.rows,
            "bytes": self.bytes,
            "format": self.format,
            "whole": self.whole,
            "run_id": self.run_id,
        }

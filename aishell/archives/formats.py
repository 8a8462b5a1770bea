"""CSV and Parquet: rows into a file of one of these formats, and out of it again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aishell.archives import parquet
from aishell.archives.values import Lots, Number, Values
from aishell.archives.writer import LEVEL
from aishell.errors import ArchiveError

#: Format -> what stands behind the name in place of that of lines.
ENDINGS = {"csv": ".csv.zst", "parquet": ".parquet"}
#: A cell: "text", with quotes doubled; a number, X'…' or a word as it is; nothing for NULL.
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n)')
_LOT = 20_000


def rows(path: Path, kind: str) -> Iterator[list[Values]]:
    """The rows of a file of one of these formats, a lot at a time."""
    return _csv_rows(path) if kind == "csv" else parquet.rows(path)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_csv(path: Path, columns: Sequence[Mapping[str, Any]], lots: Lots) -> None:
    import zstandard

    with path.open("wb") as file, zstandard.ZstdCompressor(level=LEVEL).stream_writer(file, closefd=False) as packed:
        packed.write((",".join((_cell(str(column["column"])) for column in columns)) + "\r\n").encode())
        for lot in lots():
            packed.write("".join(",".join(map(_cell, row)) + "\r\n" for row in lot).encode())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        (kind, text), *_ = value.items()
        return f"X'{text}'" if kind == "hex" else str(text)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, Number) else '"' + value.replace('"', '""') + '"'


def _csv_rows(path: Path) -> Iterator[list[Values]]:
    import io

    import zstandard

    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        rest, row, lot, header = "", list[Any](), list[Values](), True
        while piece := text.read(1 << 20):
            rest += piece
            position = 0
            while match := _CELL.match(rest, position):  # None: a quoted text goes on in the next piece
                position = match.end()
                row.append(_value(match[1], match[2]))
                if match[3] != ",":
                    if not header:
                        lot.append(row)
                    row, header = [], False
            rest = rest[position:]
            if len(lot) >= _LOT:
                yield lot
                lot = []
        if rest or row:
            raise ArchiveError(f"{path} ends within a row")
        if lot:
            yield lot


def _value(quoted: str | None, bare: str | None) -> Any:
    if quoted is not None:
        return quoted.replace('""', '"')
    if not bare:
        return None
    if bare in ("true", "false"):
        return bare == "true"
    if bare.startswith("X'"):
        return {"hex": bare[2:-1]}
    return {"real": bare} if bare.lstrip("-")[0].isalpha() else Number(bare)


WRITERS: Mapping[str, Callable[[Path, Sequence[Mapping[str, Any]], Lots], None]] = {
    "csv": _write_csv,
    "parquet": parquet.write,
}

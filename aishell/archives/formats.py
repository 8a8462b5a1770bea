"""CSV and Parquet: write rows to a file of one of these formats, and read them back.

Parquet uses pyarrow (the extra `parquet`), with typed columns, so that other programs read numbers and times as such.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from aishell.archives.values import Lots, Number, Values
from aishell.archives.writer import LEVEL
from aishell.errors import ArchiveError

#: Format -> the suffix that replaces that of a file of lines.
ENDINGS = {"csv": ".csv.zst", "parquet": ".parquet"}
#: A cell: "text", with quotes doubled; a number, X'…' or a word as it is; nothing for NULL.
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n)')
_LOT = 20_000
#: Beginning of a declared type -> how its column is stored; any other type is text as the database writes it.
_KINDS = (
    (r"(big|small|medium|tiny)?int(eger)?\b.*unsigned", "uint64"),
    (r"(big|small|medium|tiny)?int(eger|\d)?\b", "int64"),
    (r"(double|float|real)", "float64"),
    (r"bool", "bool"),
    (r"timestamp.* with time zone", "instant"),
    (r"(timestamp|datetime)", "local"),
    (r"date$", "date"),
)
#: Numbers that JSON lacks: PostgreSQL writes Infinity, SQLite Inf.
_SPECIAL = {"nan": "NaN", "infinity": "Inf", "inf": "Inf", "-infinity": "-Inf", "-inf": "-Inf"}
_BY_VALUES = {frozenset({"int64", "float64"}): "float64"}


def rows(path: Path, kind: str) -> Iterator[list[Values]]:
    """Return the rows of a file of one of these formats, a lot at a time."""
    return _csv_rows(path) if kind == "csv" else _parquet_rows(path)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
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
            while match := _CELL.match(rest, position):  # None: a quoted text continues in the next piece
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


def method_class(column: Mapping[str, Any], seen: set[str]) -> str:
    """Return how a column is stored: by its declared type; on SQLite, which does not enforce it, by its values (`seen`)."""
    if column["form"] == "any":
        return _BY_VALUES.get(frozenset(seen), "mixed") if len(seen) > 1 else next(iter(seen), "text")
    if column["form"] != "plain":
        return "text"
    declared = str(column.get("type") or "").lower()
    return next((kind for pattern, kind in _KINDS if re.match(pattern, declared)), "text")


def _pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module. Raises ArchiveError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        how = "pip install 'aishell[parquet]', or use --archive-format jsonl"
        raise ArchiveError("Parquet needs pyarrow", hint=how) from error
    return pyarrow, pyarrow.parquet


def _write_parquet(path: Path, columns: Sequence[Mapping[str, Any]], lots: Lots) -> None:
    """Write Parquet. Raises ArchiveError, which names the column and never the value, where a type cannot hold a value."""
    pa, pq = _pyarrow()
    names, kinds = [str(column["column"]) for column in columns], _kinds(columns, lots)
    types = {
        "int64": pa.int64(), "uint64": pa.uint64(), "float64": pa.float64(), "bool": pa.bool_(), "text": pa.string(),
        "date": pa.date32(), "local": pa.timestamp("us"), "instant": pa.timestamp("us", tz="UTC"), "binary": pa.binary(),
    }  # fmt: skip
    schema = pa.schema([pa.field(name, types[kind]) for name, kind in zip(names, kinds, strict=True)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for lot in lots():
            arrays = [
                pa.array([_typed(row[n], kinds[n], names[n]) for row in lot], type=schema.field(n).type)
                for n in range(len(kinds))
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _kinds(columns: Sequence[Mapping[str, Any]], lots: Lots) -> list[str]:
    """Return how each column is stored. Raises ArchiveError for one that holds values of several types."""
    seen: list[set[str]] = [set() for _ in columns]
    untyped = [number for number, column in enumerate(columns) if column["form"] == "any"]
    for lot in lots() if untyped else ():
        for number in untyped:
            seen[number] |= {_dynamic(row[number]) for row in lot if row[number] is not None}
    kinds = [method_class(column, types) for column, types in zip(columns, seen, strict=True)]
    if "mixed" in kinds:
        name = columns[kinds.index("mixed")]["column"]
        why = f"the column {name!r} holds values of several types, and a Parquet column holds one"
        raise ArchiveError(why, hint="use --archive-format jsonl or csv, which keep them apart")
    return kinds


def _parquet_rows(path: Path) -> Iterator[list[Values]]:
    """Yield rows with their values as in a line; times as ISO 8601."""
    _, pq = _pyarrow()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            columns = (column.to_pylist() for column in batch.columns)
            yield [[_plain(value) for value in row] for row in zip(*columns, strict=True)]


def different(ours: Values, theirs: Values, *, exactly: bool) -> list[int]:
    """Return which columns differ between the line and the file; unless `exactly`, numbers and times are compared by value."""
    pairs = enumerate(zip(ours, theirs, strict=True))
    return [place for place, (a, b) in pairs if a != b and (exactly or not _equal(a, b))]


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, Number):
        return isinstance(ours, Number) and ours.value == theirs.value  # Python compares an int with a float exactly
    if isinstance(theirs, dict) and "real" in theirs:
        text = ours.get("real") if isinstance(ours, dict) else ours
        return bool(_SPECIAL.get(str(text).lower()) == theirs["real"])
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and ours["hex"].lower() == theirs["hex"].lower() if "hex" in ours else False
    if isinstance(ours, str) and isinstance(theirs, str):
        try:
            first, second = datetime.fromisoformat(ours), datetime.fromisoformat(theirs)
        except ValueError:
            return False
        return (first.tzinfo is None) == (second.tzinfo is None) and first == second
    return False


def _dynamic(value: Any) -> str:
    if isinstance(value, dict):
        return "binary" if "hex" in value else "float64"
    if isinstance(value, Number):
        return "float64" if isinstance(value.value, float) else "int64"
    return "text"


def _typed(value: Any, kind: str, column: str) -> Any:
    if value is None:
        return None
    try:
        if isinstance(value, dict):
            return bytes.fromhex(value["hex"]) if "hex" in value else float(value["real"])
        if kind in ("int64", "uint64"):
            return int(value)
        if kind == "float64":
            return float(value)
        if kind == "date":
            return date.fromisoformat(value)
        if kind in ("local", "instant"):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if kind == "instant" else moment
    except ValueError:
        why = f"the column {column!r} holds a value that Parquet's type for it cannot hold ({kind})"
        how = "use --archive-format jsonl or csv"
        raise ArchiveError(why, hint=how) from None  # the message of the cause has the value
    return value if kind == "bool" else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return {"real": _SPECIAL[repr(value)]}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(repr(value))
    return value


WRITERS: Mapping[str, Callable[[Path, Sequence[Mapping[str, Any]], Lots], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
}

"""Read an archive: check its chunks, return its rows as lines or as values, and convert it to another format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from aishell.archives.formats import ENDINGS, WRITERS, different, digest, rows
from aishell.archives.manifest import ArchivePart, Chunk, Manifest, Piece
from aishell.archives.values import Values, bound, values
from aishell.archives.writer import LINES, MANIFEST, checksum, durable, unpacked, writing
from aishell.errors import ArchiveError

#: Suffix of the file with the MD5 of each row's line as the database wrote it, beside CSV or Parquet; bytes per MD5.
SUMS, SUM = ".sums", 16
#: The values of a row's primary key, as the archive has them.
Key = tuple[Any, ...]
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def verify(folder: Path, manifest: Manifest) -> int:
    """Read every file of an archive; return the number of the table's own rows. Raises ArchiveError at the first damage."""
    counts = []
    for number in range(len(manifest.parts)):
        with Reader(folder, manifest, number) as reader:
            counts.append(reader.verify())
    return counts[0]


class Reader:
    """The rows of one part of an archive. Use as a context manager."""

    def __init__(self, folder: Path, manifest: Manifest, number: int = 0) -> None:
        self.manifest, self.part = manifest, manifest.parts[number]
        self.path = folder / self.part.file
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise ArchiveError(f"the archive {self.path} cannot be read: {error.strerror}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def lines(self, chunk: Piece | Chunk) -> bytes:
        """Return the lines of a chunk. Raises ArchiveError unless they are what the database had."""
        if not chunk.rows:
            return b""
        self._file.seek(chunk.offset)
        return unpacked(self._file.read(chunk.length), chunk, str(self.path))

    def rows(self) -> Iterator[list[Values]]:
        """Yield all rows, some thousand at a time, each lot after it was checked."""
        if self.manifest.format != "jsonl":
            yield from self._converted()
            return
        names = self.part.names
        for chunk in self.part.pieces:
            if chunk.rows:
                yield [values(line, names) for line in self.lines(chunk).split(b"\n")]

    def sums(self, number: int) -> frozenset[str]:
        """Return the MD5 of every line of this chunk as the database writes it: equal ones mean identical rows."""
        return frozenset(self.in_order(number))

    def in_order(self, number: int) -> list[str]:
        """Return `sums` line by line. CSV and Parquet archives of a single table do not keep them."""
        if self.manifest.format == "jsonl":
            lines = self.lines(self.part.pieces[number])
            return [checksum(line) for line in lines.split(b"\n")] if lines else []
        before = sum(piece.rows for piece in self.part.pieces[:number])
        with self.path.with_name(self.path.name + SUMS).open("rb") as file:
            file.seek(before * SUM)
            text = file.read(self.part.pieces[number].rows * SUM)
        return [text[place : place + SUM].hex() for place in range(0, len(text), SUM)]

    def verify(self) -> int:
        """Read everything; return the number of rows. Raises ArchiveError at the first damage."""
        if self.manifest.format != "jsonl":
            found = sum(len(rows) for rows in self._converted())
        else:
            for chunk in self.part.pieces:
                self.lines(chunk)
            found = sum(chunk.rows for chunk in self.part.pieces)
            size = self.path.stat().st_size
            if size != self.part.bytes:
                raise ArchiveError(f"{self.path} has {size:,} bytes, its manifest says {self.part.bytes:,}")
        if found != self.part.rows:
            raise ArchiveError(f"{self.path} has {found:,} rows, its manifest says {self.part.rows:,}")
        return found

    def _converted(self) -> Iterator[list[Values]]:
        """Return the rows of CSV or Parquet. Raises ArchiveError unless the file is the one that was checked."""
        if digest(self.path) != self.part.sha256:
            raise ArchiveError(f"{self.path} is damaged: it is not the file that was checked")
        return rows(self.path, self.manifest.format)


class ArchivedRow(NamedTuple):
    """`sum`: the MD5 of the row's line; `line`: the line itself in an archive of lines, else None."""

    key: Key
    sum: str
    line: bytes | None


class ChunkRows:
    """The rows of one part of an archive, one chunk after another. `key`: the columns that identify them."""

    def __init__(self, reader: Reader, key: Sequence[str]) -> None:
        self.reader, self.key = reader, tuple(key)
        self._rows: Iterator[Values] = iter(())
        self._passed: int | None = None  # rows already read of a CSV or Parquet file

    def read(self, number: int) -> list[ArchivedRow]:
        """Return the rows of this chunk. Raises ArchiveError unless they are what the database had."""
        if self.reader.manifest.format != "jsonl":
            return self._converted(number)
        text = self.reader.lines(self.reader.part.pieces[number])
        lines = text.split(b"\n") if text else []
        return [ArchivedRow(_bound(values(line, self.key)), checksum(line), line) for line in lines]

    def _converted(self, number: int) -> list[ArchivedRow]:
        """Return a chunk of a CSV or Parquet file, reading on from the last one."""
        pieces = self.reader.part.pieces
        first = sum(piece.rows for piece in pieces[:number])
        if self._passed is None or first < self._passed:
            self._rows, self._passed = chain.from_iterable(self.reader.rows()), 0
        for _ in range(first - self._passed):
            next(self._rows)
        places = [list(self.reader.part.names).index(name) for name in self.key]
        self._passed = first + pieces[number].rows
        return [
            ArchivedRow(_bound([row[place] for place in places]), one, None)
            for one, row in zip(self.reader.in_order(number), self._rows, strict=False)
        ]


def _bound(key: Values) -> Key:
    return tuple(bound(value, typed=False) for value in key)


def changed_line(line: bytes, columns: Mapping[str, Any]) -> bytes:
    """Return an archived line with other values in some columns, all else as the database wrote it. None is NULL."""
    text = line.decode()
    pieces, done = [], 0
    for name, begin, end in _members(text):
        if name in columns:
            pieces += [text[done:begin], _written(columns[name], text[begin])]
            done = end
    return "".join([*pieces, text[done:]]).encode()


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the columns of a line, with the start and end of each value."""
    place = text.index('"')
    while True:
        name, place = _DECODER.raw_decode(text, place)
        begin = _not_blank(text, text.index(":", place) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        yield name, begin, end
        place = _not_blank(text, end)
        if text[place] != ",":
            return
        place = _not_blank(text, place + 1)


def _not_blank(text: str, place: int) -> int:
    while text[place] in " \t\n\r":
        place += 1
    return place


def _written(value: Any, like: str) -> str:
    """Return a value as written in a line where another value of its column begins with `like`."""
    if value is None:
        return "null"
    return json.dumps(str(value), ensure_ascii=False) if like == '"' else str(value)


def converted(folder: Path, manifest: Manifest, wanted: str) -> Manifest:
    """Convert the archive to another format. The lines are kept until every row of the new files was read back and matches."""
    if wanted == manifest.format:
        return manifest
    parts = [_converted(folder, manifest, number, wanted) for number in range(len(manifest.parts))]
    made = manifest.with_parts(parts, format=wanted)
    with writing(folder):
        durable(folder / MANIFEST, made.text())
        for part in manifest.parts:
            (folder / part.file).unlink()
    return made


def _converted(folder: Path, manifest: Manifest, number: int, wanted: str) -> ArchivePart:
    """Convert one file. Where rows of several tables have to be found again, a file beside it has the sums of their lines."""
    part = manifest.parts[number]
    path = folder / (part.file.removesuffix(LINES) + ENDINGS[wanted])
    with Reader(folder, manifest, number) as lines, writing(path):
        WRITERS[wanted](path, part.columns, lines.rows)
        read = rows(path, wanted)
        pairs = zip_longest(chain.from_iterable(lines.rows()), chain.from_iterable(read))
        for row, (ours, theirs) in enumerate(pairs, 1):
            if (why := _difference(wanted, part.names, ours, theirs)) is not None:
                path.unlink()
                raise ArchiveError(
                    f"{path} differs from the archived rows: row {row:,} {why}",
                    hint="use --archive-format jsonl, in which every value stands as the database wrote it",
                )
        if manifest.relatives:
            with path.with_name(path.name + SUMS).open("wb") as sums:
                for piece in part.pieces:
                    if piece.rows:
                        sums.writelines(bytes.fromhex(checksum(line)) for line in lines.lines(piece).split(b"\n"))
    return replace(part, file=path.name, bytes=path.stat().st_size, sha256=digest(path))


def _difference(kind: str, names: Sequence[str], ours: Values | None, theirs: Values | None) -> str | None:
    """Return how a row that was read back is wrong, None if it is not. Names columns only: values are the application's."""
    if ours is None or theirs is None:
        return "is missing" if theirs is None else "is one too many"
    if len(ours) != len(theirs):
        return f"has {len(theirs)} columns instead of {len(ours)}"
    differ = different(ours, theirs, exactly=kind == "csv")
    return f"differs in {', '.join(repr(names[place]) for place in differ)}" if differ else None

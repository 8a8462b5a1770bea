"""Reads an archive: its chunks checked, its rows as texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aishell.archives.manifest import Chunk, Manifest, Piece
from aishell.archives.values import Values, values
from aishell.archives.writer import checksum, unpacked
from aishell.errors import ArchiveError

#: Behind the name of a file that is not of lines: the MD5 of each row's line, as the database wrote it.
SUMS, SUM = ".sums", 16


def verify(folder: Path, manifest: Manifest) -> int:
    """Read every file of an archive; the number of the table's own rows. Raises ArchiveError at the first damage."""
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
        """The lines of a chunk. Raises ArchiveError unless they are what the database had."""
        if not chunk.rows:
            return b""
        self._file.seek(chunk.offset)
        return unpacked(self._file.read(chunk.length), chunk, str(self.path))

    def rows(self) -> Iterator[list[Values]]:
        """All rows, some thousand at a time, each lot checked before it is returned."""
        if self.manifest.format != "jsonl":
            yield from self._converted()
            return
        names = self.part.names
        for chunk in self.part.pieces:
            if chunk.rows:
                yield [values(line, names) for line in self.lines(chunk).split(b"\n")]

    def sums(self, number: int) -> frozenset[str]:
        """The MD5 of every line of the chunk of this number, as the database writes them: of rows that are the very same."""
        return frozenset(self.in_order(number))

    def in_order(self, number: int) -> list[str]:
        """`sums`, line by line. CSV and Parquet of one table alone do not keep them."""
        if self.manifest.format == "jsonl":
            lines = self.lines(self.part.pieces[number])
            return [checksum(line) for line in lines.split(b"\n")] if lines else []
        before = sum(piece.rows for piece in self.part.pieces[:number])
        with self.path.with_name(self.path.name + SUMS).open("rb") as file:
            file.seek(before * SUM)
            text = file.read(self.part.pieces[number].rows * SUM)
        return [text[place : place + SUM].hex() for place in range(0, len(text), SUM)]

    def verify(self) -> int:
        """Read everything; the number of rows. Raises ArchiveError at the first damage."""
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
        """The rows of CSV or Parquet, when the whole file is what was checked."""
        from aishell.archives import formats

        if formats.digest(self.path) != self.part.sha256:
            raise ArchiveError(f"{self.path} is damaged: it is not the file that was checked")
        return formats.rows(self.path, self.manifest.format)

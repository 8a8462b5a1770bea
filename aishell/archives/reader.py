"""Reads an archive: its chunks checked, its rows as texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aishell.archives.manifest import Chunk, Manifest
from aishell.archives.values import Values, values
from aishell.archives.writer import unpacked
from aishell.errors import ArchiveError


class Reader:
    """An archive's rows. Use as a context manager."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.path, self.manifest = folder / manifest.file, manifest
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise ArchiveError(f"the archive {self.path} cannot be read: {error.strerror}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def lines(self, chunk: Chunk) -> bytes:
        """The lines of a chunk. Raises ArchiveError unless they are what the database had."""
        self._file.seek(chunk.offset)
        return unpacked(self._file.read(chunk.length), chunk, str(self.path))

    def rows(self) -> Iterator[list[Values]]:
        """All rows, some thousand at a time, each lot checked before it is returned."""
        if self.manifest.format != "jsonl":
            yield from self._converted()
            return
        names = self.manifest.names
        for chunk in self.manifest.chunks:
            yield [values(line, names) for line in self.lines(chunk).split(b"\n")]

    def verify(self) -> int:
        """Read everything; the number of rows. Raises ArchiveError at the first damage."""
        if self.manifest.format != "jsonl":
            found = sum(len(rows) for rows in self._converted())
        else:
            for chunk in self.manifest.chunks:
                self.lines(chunk)
            found = sum(chunk.rows for chunk in self.manifest.chunks)
            size = self.path.stat().st_size
            if size != self.manifest.bytes:
                raise ArchiveError(f"{self.path} has {size:,} bytes, its manifest says {self.manifest.bytes:,}")
        if found != self.manifest.rows:
            raise ArchiveError(f"{self.path} has {found:,} rows, its manifest says {self.manifest.rows:,}")
        return found

    def _converted(self) -> Iterator[list[Values]]:
        """The rows of CSV or Parquet, when the whole file is what was checked."""
        from aishell.archives import formats

        if formats.digest(self.path) != self.manifest.sha256:
            raise ArchiveError(f"{self.path} is damaged: it is not the file that was checked")
        return formats.rows(self.path, self.manifest.format)

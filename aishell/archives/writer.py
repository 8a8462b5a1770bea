"""Write an archive chunk by chunk; each is read back from the file before it counts."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from aishell.archives.manifest import Chunk, Manifest, Piece
from aishell.errors import ArchiveError
from aishell.files import folder_name, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: zstd's level. 316 MB of log rows in chunks of 1.5 MB: level 1 1,050 MB/s to 8.8 %, 3 750 MB/s to 9.3 %, 5 240 MB/s to 9.2 %.
LEVEL = 1
LINES = ".jsonl.zst"
DATA, MANIFEST, INDEX = f"rows{LINES}", "manifest.json", "chunks.jsonl"
PARTIAL = ".partial"


class Writer:
    """An unfinished archive: the folder `<id>.partial`, which is renamed when everything in it has been checked.

    A thread writes one chunk while the database makes the next: `add` returns before its chunk is on the disk, and raises the
    error of the chunk before. A chunk in the index file is on the disk and was read back: its line there covers its lines in
    every file.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.partial = folder.with_name(folder.name + PARTIAL)
        self.chunks: list[Chunk] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._pending: Future[None] | None = None
        with writing(self.partial):
            self.partial.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Unbuffered: data that a full disk did not take would be written again when the file is closed, and fail there.
            self._files: list[FileIO] = []
            try:
                for name in (*self.names, INDEX):
                    self._files.append(FileIO(self.partial / name, "a+"))
                self._index = self._files.pop()
                self._take_up()
            except BaseException:
                self.close()
                raise

    @property
    def names(self) -> list[str]:
        """The files of lines: the table's own, then one for each relative, named after its content."""
        relatives = (
            (n, folder_name(one.name), ".changed" if one.changed else "")
            for n, one in enumerate(self.manifest.relatives, 1)
        )
        return [DATA, *(f"{number}-{table}{changed}{LINES}" for number, table, changed in relatives)]

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    def add(self, chunk: Chunk, *lines: bytes) -> None:
        """Write the lines of a chunk and those of its pieces, and fill in their offsets and lengths."""
        self.settle()
        if chunk.rows:
            self._pending = self._pool.submit(self._write, chunk, lines)

    def settle(self) -> None:
        """Wait until every chunk is on the disk."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def finish(
        self, *, whole: bool, convert: Callable[[Path, Manifest], Manifest] = lambda folder, manifest: manifest
    ) -> Manifest:
        """Give the checked archive its final name; return its manifest. `convert` may replace the files of lines by others."""
        self.settle()
        self._end_empty()
        manifest = replace(self.manifest, chunks=tuple(self.chunks))
        parts = [
            replace(part, file=name, rows=sum(piece.rows for piece in part.pieces), bytes=length)
            for part, name, length in zip(manifest.parts, self.names, self._lengths, strict=True)
        ]
        manifest = manifest.with_parts(parts, whole=whole)
        with writing(self.partial):
            self.close()
            durable(self.partial / MANIFEST, manifest.text())
            manifest = convert(self.partial, manifest)
            (self.partial / INDEX).unlink()
            for path in self.partial.iterdir():
                path.chmod(0o600)  # rows of the application, which may be copied out of this private folder
            self.partial.rename(self.folder)
            sync(self.folder.parent)
        return manifest

    def discard(self) -> None:
        """Remove everything that was written."""
        with suppress(OSError):  # a disk may fail even then; the contents no longer matter
            self.close()
        shutil.rmtree(self.partial, ignore_errors=True)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for file in (*self._files, *((self._index,) if "_index" in self.__dict__ else ())):
            file.close()

    def _take_up(self) -> None:
        """Continue where a killed process stopped: whatever its index does not name was not finished, and is truncated."""
        self._index.seek(0)
        text = self._index.readall()
        whole = text[: text.rfind(b"\n") + 1]
        self.chunks = [Chunk.read(line.decode()) for line in whole.split(b"\n")[:-1]]
        last: Sequence[Piece | Chunk] = (self.chunks[-1], *self.chunks[-1].pieces) if self.chunks else ()
        self._lengths = [piece.offset + piece.length for piece in last] or [0] * len(self._files)
        for name, file, length in zip(self.names, self._files, self._lengths, strict=True):
            if file.seek(0, os.SEEK_END) < length:
                raise ArchiveError(f"{self.partial / name} is shorter than its index says", hint="remove the folder")
            file.truncate(length)
        self._index.truncate(len(whole))

    def _end_empty(self) -> None:
        """Write an empty frame to each file without rows: `zstd -d` reports that an empty file ended too early."""
        import zstandard

        frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(b"")
        with writing(self.partial):
            for number, file in enumerate(self._files):
                if not self._lengths[number]:
                    _write_all(file, frame)
                    self._lengths[number] = len(frame)

    def _write(self, chunk: Chunk, lines: Sequence[bytes]) -> None:
        pieces: list[Piece | Chunk] = [chunk, *chunk.pieces]
        with writing(self.partial):
            own, *others = (
                self._framed(number, piece, text)
                for number, (piece, text) in enumerate(zip(pieces, lines, strict=True))
            )
            written = replace(chunk, offset=own.offset, length=own.length, pieces=tuple(others))
            _write_all(self._index, written.text().encode() + b"\n")
        self.chunks.append(written)

    def _framed(self, number: int, piece: Piece | Chunk, lines: bytes) -> Piece:
        """Write the lines of a chunk to their file, sync them, and read them back."""
        import zstandard

        made = Piece(piece.rows, piece.checksum, self._lengths[number])
        if not piece.rows:
            return made
        frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(lines + b"\n")
        file = self._files[number]
        _write_all(file, frame)
        made = replace(made, length=len(frame))
        unpacked(os.pread(file.fileno(), len(frame), made.offset), made, str(self.partial / self.names[number]))
        self._lengths[number] += len(frame)
        return made


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all of the data, then sync."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def unpacked(frame: bytes, chunk: Piece | Chunk, where: str) -> bytes:
    """Return the lines of a chunk, counted and checked. Raises ArchiveError when they are not what the database had."""
    import zstandard

    try:
        lines = zstandard.ZstdDecompressor().decompress(frame)[:-1]
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{where} is damaged at byte {chunk.offset:,}: {error}") from error
    if lines.count(b"\n") + 1 != chunk.rows or checksum(lines) != chunk.checksum:
        raise ArchiveError(f"{where} does not have at byte {chunk.offset:,} the rows that the database had")
    return lines


def checksum(lines: bytes) -> str:
    """Return the checksum that every engine can compute. It detects damage, not forgery."""
    return hashlib.md5(lines, usedforsecurity=False).hexdigest()


def durable(path: Path, text: str) -> None:
    """Write a file so that it survives a power cut."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raise ArchiveError for an error that the operating system reports."""
    try:
        yield
    except OSError as error:
        why = f"the archive {place} cannot be written: {error.strerror or error}"
        raise ArchiveError(why, hint="make room, or name another folder with --archive-to") from error

"""Writes an archive: chunk after chunk, each read back from the file before it counts."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aishell.archives.manifest import Chunk, Manifest
from aishell.errors import ArchiveError
from aishell.folders import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: zstd's level. 316 MB of log rows in chunks of 1.5 MB: level 1 1,050 MB/s to 8.8 %, 3 750 MB/s to 9.3 %, 5 240 MB/s to 9.2 %.
LEVEL = 1
DATA, MANIFEST, INDEX = "rows.jsonl.zst", "manifest.json", "chunks.jsonl"
PARTIAL = ".partial"


class Writer:
    """An archive in the making: the folder `<id>.partial`, which gets its name when everything in it has been checked.

    One chunk is written by a thread while the database makes the next one: `add` returns before its chunk is on the disk and
    raises what went wrong with the one before. What is in the index file is on the disk and was read back.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.partial = folder.with_name(folder.name + PARTIAL)
        self.chunks: list[Chunk] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._pending: Future[None] | None = None
        with writing(self.partial):
            self.partial.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._data = (self.partial / DATA).open("ab+")
            self._index = (self.partial / INDEX).open("a+", encoding="utf-8")
            try:
                self._take_up()
            except BaseException:
                self.close()
                raise

    @property
    def rows(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)

    def add(self, chunk: Chunk, lines: bytes) -> None:
        """Write the lines of a chunk; its offset and length are filled in."""
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
        """The archive under its own name, every chunk of it checked; `convert` may put another file in place of the lines."""
        self.settle()
        manifest = replace(
            self.manifest, file=DATA, rows=self.rows, bytes=self._length, whole=whole, chunks=tuple(self.chunks)
        )
        with writing(self.partial):
            self.close()
            durable(self.partial / MANIFEST, manifest.text())
            manifest = convert(self.partial, manifest)
            (self.partial / INDEX).unlink()
            for path in self.partial.iterdir():
                path.chmod(0o600)  # rows of the application, which may be copied out of a folder that is ours alone
            self.partial.rename(self.folder)
            sync(self.folder.parent)
        return manifest

    def discard(self) -> None:
        """Nothing of it stays."""
        self.close()
        shutil.rmtree(self.partial, ignore_errors=True)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        self._data.close()
        self._index.close()

    def _take_up(self) -> None:
        """Go on where a killed process stopped: what its index does not name was not finished and goes."""
        self._index.seek(0)
        text = self._index.read()
        whole = text[: text.rfind("\n") + 1]
        self.chunks = [Chunk.of(line) for line in whole.splitlines()]
        self._length = self.chunks[-1].offset + self.chunks[-1].length if self.chunks else 0
        if self._data.seek(0, os.SEEK_END) < self._length:
            raise ArchiveError(f"{self.partial / DATA} is shorter than its index says", hint="remove the folder")
        self._index.truncate(len(whole.encode()))
        self._data.truncate(self._length)

    def _write(self, chunk: Chunk, lines: bytes) -> None:
        import zstandard

        with writing(self.partial):
            frame = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(lines + b"\n")
            self._data.write(frame)
            self._data.flush()
            os.fsync(self._data.fileno())
            written = replace(chunk, offset=self._length, length=len(frame))
            unpacked(os.pread(self._data.fileno(), len(frame), written.offset), written, str(self.partial / DATA))
            self._index.write(written.text() + "\n")
            self._index.flush()
            os.fsync(self._index.fileno())
        self._length += len(frame)
        self.chunks.append(written)


def unpacked(frame: bytes, chunk: Chunk, where: str) -> bytes:
    """The lines of a chunk, counted and checked. Raises ArchiveError when they are not what the database had."""
    import zstandard

    try:
        lines = zstandard.ZstdDecompressor().decompress(frame)[:-1]
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{where} is damaged at byte {chunk.offset:,}: {error}") from error
    if lines.count(b"\n") + 1 != chunk.rows or checksum(lines) != chunk.checksum:
        raise ArchiveError(f"{where} does not have at byte {chunk.offset:,} the rows that the database had")
    return lines


def checksum(lines: bytes) -> str:
    """The checksum that every engine can make. It is to find damage, not to stand up to a forger."""
    return hashlib.md5(lines, usedforsecurity=False).hexdigest()


def durable(path: Path, text: str) -> None:
    """Write a file so that it is there after a power cut."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync(path.parent)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """The errors of a disk as ours."""
    try:
        yield
    except OSError as error:
        raise ArchiveError(
            f"the archive {place} cannot be written: {error.strerror or error}",
            hint="make room or name another folder with --archive-to",
        ) from error

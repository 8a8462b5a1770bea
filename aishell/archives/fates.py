"""What became of the rows of an archive: which of them its run deleted. A file beside the manifest, written as the run goes.

An archive has rows that its run did not delete: a chunk that changed in between stays. Loaded, they would be older versions of
rows that are there, or come back after somebody else deleted them. What is not written down counts as deleted, and as doubtful:
a row too many can be seen, one too few is lost. So a line that is lost with a power cut does no harm, and is not synced.

The first line says how far the run may have come, and is on the disk before a chunk is deleted: chunks beyond it were never
begun, whatever became of the run.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from aishell.archives.manifest import Manifest
from aishell.archives.writer import writing
from aishell.errors import ArchiveError

T = TypeVar("T")
NOTES = "deleted.jsonl"
#: The first line, of the same length whatever it says: it is written again in its place.
_REACH = '{{"upto": {:>12}}}\n'
_WIDTH = len(_REACH.format(0))

#: First and last of a number of rows that follow each other, counted from 0.
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChunkFate:
    """What became of a chunk. `gone`: its rows were deleted, but for `left`, of each part the lines that stayed; False: nothing
    of it was deleted; None: nobody knows.
    """

    gone: bool | None
    left: Mapping[int, Ranges] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return {"gone": self.gone, **({"left": self.left} if self.left else {})}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ChunkFate:
        left = data.get("left", {})
        return cls(data["gone"], {int(part): tuple((a, b) for a, b in left[part]) for part in left})


STAYED, DOUBTFUL, GONE = ChunkFate(False), ChunkFate(None), ChunkFate(True)


@dataclass(frozen=True)
class Share:
    """Of the rows of a part: how many are to be `loaded`, how many of those are in `doubt`, and how many its run `left`."""

    loaded: int
    doubt: int
    left: int
    skipped: Ranges  # which rows of the file those are that were left


class Notes:
    """Writes down what becomes of each chunk. A process says with which chunk it begins, and that it came to its end in order:
    what has no line by then was not deleted. Use as a context manager.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NOTES
        with writing(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            text = os.pread(self._file, os.fstat(self._file).st_size, 0)
            whole = text.rfind(b"\n") + 1  # behind it lies what a killed process did not finish
            self._upto = _reach(self._path, text[:whole])
            if not whole:
                os.pwrite(self._file, _REACH.format(self._upto).encode(), 0)
            os.ftruncate(self._file, whole or _WIDTH)
            os.lseek(self._file, 0, os.SEEK_END)
        self._lines = text[:whole].count(b"\n") - bool(whole)

    def __enter__(self) -> Notes:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def reserve(self, chunk: int) -> None:
        """Chunks up to this one may be deleted from now on. On the disk when this returns; called from any one thread."""
        if chunk > self._upto:
            with writing(self._path):
                os.pwrite(self._file, _REACH.format(chunk).encode(), 0)
                os.fdatasync(self._file)
            self._upto = chunk

    def begin(self, chunk: int) -> None:
        """From here on chunks may be deleted, this one first. On the disk before the first is."""
        self._write({"begun": chunk}, durable=True)

    def add(self, chunk: int, fate: ChunkFate) -> None:
        self._write({"chunk": chunk, **fate.data()})

    def end(self) -> None:
        """No chunk is under way. What was written before is on the disk first: a line that is lost must not count as none."""
        with writing(self._path):
            os.fsync(self._file)
        self._write({"ended": True, "lines": self._lines}, durable=True)

    def _write(self, line: Mapping[str, Any], *, durable: bool = False) -> None:
        with writing(self._path):
            rest = memoryview(json.dumps(line).encode() + b"\n")
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._lines += 1
            if durable:
                os.fsync(self._file)


def fates(folder: Path, manifest: Manifest) -> list[ChunkFate] | None:
    """What became of each chunk; None where nothing is written down: nothing was deleted yet, or by an older aishell.

    Raises ArchiveError for notes that cannot be read.
    """
    path = folder / NOTES
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
    upto = _reach(path, text)
    try:
        lines = [json.loads(line) for line in text[_WIDTH : text.rfind(b"\n") + 1].splitlines()]
        return told(lines, len(manifest.chunks), upto)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise _damaged(path, repr(error)) from error


def _reach(path: Path, text: bytes) -> int:
    """The last chunk that may have been begun, by the first line; -1 of an empty file. Raises ArchiveError."""
    if not text:
        return -1
    try:
        upto = json.loads(text[:_WIDTH])["upto"]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, "its first line does not say how far the run came") from error
    if not isinstance(upto, int):
        raise _damaged(path, f"its first line says {upto!r}")
    return upto


def _damaged(path: Path, why: str) -> ArchiveError:
    how = f"remove it: what its run deleted is then unknown, and the load takes every row; keep a copy of {NOTES}"
    return ArchiveError(f"{path} is damaged: {why}", hint=how)


def told(lines: Iterable[Mapping[str, Any]], chunks: int, upto: int) -> list[ChunkFate]:
    """What the lines say of so many chunks, of which those behind `upto` were never begun. Pure.

    Raises ValueError, TypeError, KeyError or IndexError for what no run has written.
    """
    found: list[ChunkFate | None] = [None] * chunks
    for place, line in enumerate(lines):
        if "begun" in line:
            found = _begun_again(found, line["begun"])
        elif "ended" not in line:
            number, fate = line["chunk"], ChunkFate.of(line)
            if number not in range(upto + 1):
                raise ValueError(f"the chunk {number!r} was never begun")
            # What was seen to be deleted was; what may have been is not said to have stayed by a later look.
            found[number] = max(found[number] or STAYED, fate, key=lambda one: (False, None, True).index(one.gone))
        elif line["lines"] == place:  # else a line is missing that may have recorded a deletion
            found = [fate or STAYED for fate in found]
    return [fate or (DOUBTFUL if number <= upto else STAYED) for number, fate in enumerate(found)]


def _begun_again(found: Sequence[ChunkFate | None], first: int) -> list[ChunkFate | None]:
    """The chunks when a process begins with the `first`: lines of those before it were lost; what stayed of the others may go."""
    before, after = found[:first], found[first:]
    return [fate or DOUBTFUL for fate in before] + [None if fate and fate.gone is False else fate for fate in after]


def share(manifest: Manifest, number: int, known: Sequence[ChunkFate] | None) -> Share:
    """How many rows of a part are loaded, and how many are not. Pure."""
    pieces = manifest.parts[number].pieces
    first = doubt = 0
    skipped: list[tuple[int, int]] = []
    for piece, fate in zip(pieces, known if known is not None else [DOUBTFUL] * len(pieces), strict=True):
        if fate.gone is None:
            doubt += piece.rows
        left = fate.left.get(number, ()) if fate.gone is not False else ((0, piece.rows - 1),) if piece.rows else ()
        skipped += ((first + a, first + b) for a, b in left)
        first += piece.rows
    left_out = sum(b - a + 1 for a, b in skipped)
    return Share(first - left_out, doubt, left_out, tuple(skipped))


def shares(folder: Path, manifest: Manifest) -> tuple[list[Share], bool]:
    """What is to be loaded of each part, and whether anything is written down about it. Raises ArchiveError."""
    known = fates(folder, manifest)
    return [share(manifest, number, known) for number in range(len(manifest.parts))], known is not None


def summed(found: Sequence[Share]) -> dict[str, int]:
    """Of all parts: the rows that the run left, and those of which nobody knows whether it did."""
    return {"rows_left_out": sum(one.left for one in found), "rows_in_doubt": sum(one.doubt for one in found)}


def left_of(archived: Sequence[str], gone: Collection[str]) -> Ranges:
    """Which of a chunk's lines, by their sums, are not among those that went. Pure."""
    went = frozenset(gone)
    return ranges([place for place, line in enumerate(archived) if line not in went])


def ranges(places: Sequence[int]) -> Ranges:
    """Ascending numbers as ranges."""
    if not places:
        return ()
    breaks = [n for n, (a, b) in enumerate(pairwise(places), 1) if b != a + 1]
    return tuple((places[a], places[b - 1]) for a, b in pairwise([0, *breaks, len(places)]))


def without(lots: Iterable[list[T]], skipped: Ranges) -> Iterator[list[T]]:
    """The lots, in the same number, less the rows at these places of all of them."""
    ends = [b for _, b in skipped]
    first = 0
    for lot in lots:
        kept, place = list[T](), first
        for number in range(bisect_left(ends, first), len(ends)):
            a, b = skipped[number]
            if a >= first + len(lot):
                break
            kept += lot[place - first : max(a - first, 0)]
            place = b + 1
        yield kept + lot[place - first :]
        first += len(lot)

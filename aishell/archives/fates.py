"""Which rows of an archive its run deleted, recorded in a file beside the manifest during the run.

An archive can have rows that its run did not delete: a chunk that changed meanwhile stays. Loading them would insert older
versions of existing rows, or rows that another session has deleted since. Chunks without a line count as deleted, and as in
doubt: a row too many can be seen, one too few is lost. So a line lost in a power cut does no harm, and lines are not synced.

The first line says how far the run may have come, and is synced before a chunk is deleted: chunks beyond it were never begun,
whatever became of the run.
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
#: The first line. Its length is constant, so that it can be overwritten in place.
_REACH = '{{"upto": {:>12}}}\n'
_WIDTH = len(_REACH.format(0))

#: The first and last of consecutive rows, counted from 0, for each range.
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ChunkFate:
    """What became of a chunk. `gone`: True where its rows were deleted except `left`, the lines of each part that stayed; False
    where nothing was deleted; None where that is unknown.
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
    """The number of rows of a part to be `loaded`, the number of those in `doubt`, and the number that its run `left`."""

    loaded: int
    doubt: int
    left: int
    skipped: Ranges  # the rows of the file that were left


class Notes:
    """Record what becomes of each chunk. A process records the chunk that it begins with, and that it ended in order: a chunk
    without a line by then was not deleted. Use as a context manager.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NOTES
        with writing(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            text = os.pread(self._file, os.fstat(self._file).st_size, 0)
            whole = text.rfind(b"\n") + 1  # a killed process did not finish what follows
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
        """Record that chunks up to this one may be deleted. Synced when this returns; always called from the same thread."""
        if chunk > self._upto:
            with writing(self._path):
                os.pwrite(self._file, _REACH.format(chunk).encode(), 0)
                os.fdatasync(self._file)
            self._upto = chunk

    def begin(self, chunk: int) -> None:
        """Record that chunks from this one on may be deleted. Synced when this returns."""
        self._write({"begun": chunk}, durable=True)

    def add(self, chunk: int, fate: ChunkFate) -> None:
        self._write({"chunk": chunk, **fate.data()})

    def end(self) -> None:
        """Record that no chunk is under way. Earlier lines are synced first: a lost line must not count as none."""
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
    """Return what became of each chunk; None without notes: nothing was deleted yet, or an older aishell deleted it.

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
    """Return the last chunk that may have been begun, by the first line; -1 for an empty file. Raises ArchiveError."""
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
    """Return what the lines say about each of `chunks` chunks, of which those beyond `upto` were never begun. Pure.

    Raises ValueError, TypeError, KeyError or IndexError for lines that no run has written.
    """
    found: list[ChunkFate | None] = [None] * chunks
    for place, line in enumerate(lines):
        if "begun" in line:
            found = _begun_again(found, line["begun"])
        elif "ended" not in line:
            number, fate = line["chunk"], ChunkFate.of(line)
            if number not in range(upto + 1):
                raise ValueError(f"the chunk {number!r} was never begun")
            # A chunk seen to be deleted remains so; one in doubt is not said to have stayed by a later line.
            found[number] = max(found[number] or STAYED, fate, key=lambda one: (False, None, True).index(one.gone))
        elif line["lines"] == place:  # else a line is missing that may have recorded a deletion
            found = [fate or STAYED for fate in found]
    return [fate or (DOUBTFUL if number <= upto else STAYED) for number, fate in enumerate(found)]


def _begun_again(found: Sequence[ChunkFate | None], first: int) -> list[ChunkFate | None]:
    """Return the fates as a process begins at `first`: earlier chunks without a line are doubtful, later ones may be deleted."""
    before, after = found[:first], found[first:]
    return [fate or DOUBTFUL for fate in before] + [None if fate and fate.gone is False else fate for fate in after]


def share(manifest: Manifest, number: int, known: Sequence[ChunkFate] | None) -> Share:
    """Return how many rows of a part are to be loaded, and how many are not. Pure."""
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
    """Return what is to be loaded of each part, and whether there are notes on it. Raises ArchiveError."""
    known = fates(folder, manifest)
    return [share(manifest, number, known) for number in range(len(manifest.parts))], known is not None


def summed(found: Sequence[Share]) -> dict[str, int]:
    """Return totals over all parts: the rows that the run left, and the rows in doubt."""
    return {"rows_left_out": sum(one.left for one in found), "rows_in_doubt": sum(one.doubt for one in found)}


def left_of(archived: Sequence[str], gone: Collection[str]) -> Ranges:
    """Return which of a chunk's lines, given by their sums, are not among those deleted. Pure."""
    went = frozenset(gone)
    return ranges([place for place, line in enumerate(archived) if line not in went])


def ranges(places: Sequence[int]) -> Ranges:
    """Return ascending numbers as ranges."""
    if not places:
        return ()
    breaks = [n for n, (a, b) in enumerate(pairwise(places), 1) if b != a + 1]
    return tuple((places[a], places[b - 1]) for a, b in pairwise([0, *breaks, len(places)]))


def without(lots: Iterable[list[T]], skipped: Ranges) -> Iterator[list[T]]:
    """Yield the same number of lots without the skipped rows, whose numbers count through all lots."""
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

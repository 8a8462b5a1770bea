"""An archive's lines as CSV or Parquet, compared with them before they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from aishell.archives import parquet
from aishell.archives.formats import ENDINGS, WRITERS, digest, rows
from aishell.archives.manifest import Manifest, Part
from aishell.archives.reader import SUMS, Reader
from aishell.archives.values import Values
from aishell.archives.writer import LINES, MANIFEST, checksum, durable, writing
from aishell.errors import ArchiveError


def converted(folder: Path, manifest: Manifest, wanted: str) -> Manifest:
    """The archive in another format. The lines stay until every row of the new files was read back and is the same."""
    if wanted == manifest.format:
        return manifest
    parts = [_converted(folder, manifest, number, wanted) for number in range(len(manifest.parts))]
    made = manifest.with_parts(parts, format=wanted)
    with writing(folder):
        durable(folder / MANIFEST, made.text())
        for part in manifest.parts:
            (folder / part.file).unlink()
    return made


def _converted(folder: Path, manifest: Manifest, number: int, wanted: str) -> Part:
    """One file in another format. Where rows of several tables have to be found again, their lines' sums lie beside it."""
    part = manifest.parts[number]
    path = folder / (part.file.removesuffix(LINES) + ENDINGS[wanted])
    with Reader(folder, manifest, number) as lines, writing(path):
        WRITERS[wanted](path, part.columns, lines.rows)
        read = rows(path, wanted)
        for row, (ours, theirs) in enumerate(zip_longest(_single(lines.rows()), _single(read)), 1):
            if (what := _difference(wanted, part.names, ours, theirs)) is not None:
                path.unlink()
                raise ArchiveError(
                    f"{path} is not what it was made of: row {row:,} of it {what}",
                    hint="use --archive-format jsonl, in which every value stands as the database wrote it",
                )
        if manifest.relatives:
            with path.with_name(path.name + SUMS).open("wb") as sums:
                for piece in part.pieces:
                    if piece.rows:
                        sums.writelines(bytes.fromhex(checksum(line)) for line in lines.lines(piece).split(b"\n"))
    return replace(part, file=path.name, bytes=path.stat().st_size, sha256=digest(path))


def _single(lots: Iterable[list[Values]]) -> Iterator[Values]:
    return (row for lot in lots for row in lot)


def _difference(kind: str, names: Sequence[str], ours: Values | None, theirs: Values | None) -> str | None:
    """What is wrong with a row that was read back; None if nothing is. It names columns: values are the application's."""
    if ours is None or theirs is None:
        return "is missing" if theirs is None else "is one too many"
    if len(ours) != len(theirs):
        return f"has {len(theirs)} columns instead of {len(ours)}"
    if kind == "csv":
        differ = [place for place, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    else:
        differ = parquet.different(ours, theirs)
    return f"differs in {', '.join(repr(names[place]) for place in differ)}" if differ else None

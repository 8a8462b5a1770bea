"""An archive's lines as CSV or Parquet, compared with them before they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from aishell.archives import parquet
from aishell.archives.formats import FILES, WRITERS, digest, rows
from aishell.archives.manifest import Manifest
from aishell.archives.reader import Reader
from aishell.archives.values import Values
from aishell.archives.writer import MANIFEST, durable, writing
from aishell.errors import ArchiveError


def converted(folder: Path, manifest: Manifest, wanted: str) -> Manifest:
    """The archive in another format. The lines stay until every row of the new file was read back and is the same."""
    if wanted == manifest.format:
        return manifest
    path = folder / FILES[wanted]
    with Reader(folder, manifest) as lines, writing(path):
        WRITERS[wanted](path, manifest.columns, lines.rows)
        read = rows(path, wanted)
        for ours, theirs in zip_longest(_single(lines.rows()), _single(read)):
            if ours is None or theirs is None or not _same(wanted, ours, theirs):
                path.unlink()
                raise ArchiveError(f"{path} is not what it was made of: {theirs!r} instead of {ours!r}")
        made = replace(manifest, format=wanted, file=path.name, bytes=path.stat().st_size, sha256=digest(path))
        durable(folder / MANIFEST, made.text())
        lines.path.unlink()
    return made


def _single(lots: Iterable[list[Values]]) -> Iterator[Values]:
    return (row for lot in lots for row in lot)


def _same(kind: str, ours: Values, theirs: Values) -> bool:
    return ours == theirs if kind == "csv" else parquet.same(ours, theirs)

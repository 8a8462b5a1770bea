"""The rows of an archive chunk by chunk, each with what it is known by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aishell.archives.reader import Reader
from aishell.archives.values import Values, bound, values
from aishell.archives.writer import checksum

#: The values of a row's primary key, as the archive has them.
Key = tuple[Any, ...]
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class ArchivedRow(NamedTuple):
    """`sum`: the MD5 of the row's line; `line` itself where the archive is of lines, else None."""

    key: Key
    sum: str
    line: bytes | None


class ChunkRows:
    """The rows of one part of an archive, of one chunk after the other. `key`: the columns by which they are told apart."""

    def __init__(self, reader: Reader, key: Sequence[str]) -> None:
        self.reader, self.key = reader, tuple(key)
        self._rows: Iterator[Values] = iter(())
        self._passed: int | None = None  # rows of a file that is not of lines which lie behind

    def read(self, number: int) -> list[ArchivedRow]:
        """The rows of the chunk of this number. Raises ArchiveError unless they are what the database had."""
        if self.reader.manifest.format != "jsonl":
            return self._converted(number)
        text = self.reader.lines(self.reader.part.pieces[number])
        lines = text.split(b"\n") if text else []
        return [ArchivedRow(_bound(values(line, self.key)), checksum(line), line) for line in lines]

    def _converted(self, number: int) -> list[ArchivedRow]:
        """From a file that is not of lines, which is read on from where it was."""
        pieces = self.reader.part.pieces
        first = sum(piece.rows for piece in pieces[:number])
        if self._passed is None or first < self._passed:
            self._rows, self._passed = (row for lot in self.reader.rows() for row in lot), 0
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
    """An archived line with other values of some columns, all else as the database wrote it. None stands for NULL."""
    text = line.decode()
    pieces, done = [], 0
    for name, begin, end in _members(text):
        if name in columns:
            pieces += [text[done:begin], _written(columns[name], text[begin])]
            done = end
    return "".join([*pieces, text[done:]]).encode()


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """The columns of a line, and from where to where the value of each stands."""
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
    """A value as it stands in a line where another of its column begins with `like`."""
    if value is None:
        return "null"
    return json.dumps(str(value), ensure_ascii=False) if like == '"' else str(value)

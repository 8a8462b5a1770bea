"""Order the rows of a table that references itself, so that each is inserted after the row that it references. Pure."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from aishell.archives.values import Lots, Number, Values


class ParentsFirst:
    """The rows of all lots, a lot at a time. A row is deferred while one that it references is still to come, and the lots are
    read again; rows that reference each other in a circle come last, as `postponed`.

    `within`: the foreign keys of the table to itself, {columns, refers_to}. A hash of each row's keys is held in memory.
    """

    def __init__(self, lots: Lots, names: Sequence[str], within: Sequence[Mapping[str, Sequence[str]]]) -> None:
        self.lots = lots
        self._pairs = [
            (number, [names.index(c) for c in one["columns"]], [names.index(c) for c in one["refers_to"]])
            for number, one in enumerate(within)
        ]
        self._coming = Counter[int]()  # keys of rows that are still to come

    def __iter__(self) -> Iterator[tuple[list[Values], bool]]:
        """Yield lots of rows, and whether to insert them without references, since the rows referenced come later."""
        self._coming = Counter(key for lot in self.lots() for row in lot for key in self._own(row))
        waiting: set[int] | None = None  # numbers of deferred rows; None: nothing was sent yet
        while waiting is None or waiting:
            before = len(waiting) if waiting is not None else None
            left = set[int]()
            for lot in self._those(waiting):
                ready = list(self._ready(lot))
                left |= {number for number, _ in lot} - {number for number, _ in ready}
                yield [row for _, row in ready], False
            waiting = left
            if len(waiting) == before:
                break
        for lot in self._those(waiting) if waiting else ():
            yield [row for _, row in lot], True

    def _those(self, numbers: set[int] | None) -> Iterator[list[tuple[int, Values]]]:
        """Yield the rows with these numbers, each after its number; all rows for None."""
        count = itertools.count()
        for lot in self.lots():
            numbered = [(next(count), row) for row in lot]
            yield [one for one in numbered if numbers is None or one[0] in numbers]

    def _ready(self, rows: list[tuple[int, Values]]) -> Iterator[tuple[int, Values]]:
        """Yield the rows that can be inserted now, in that order. They are searched from the front and from the back in turn: a
        chain may run either way.
        """
        idle = 0
        while rows and idle < 2:
            left = list[tuple[int, Values]]()
            for number, row in rows:
                if self._is_ready(row):
                    yield number, row
                else:
                    left.append((number, row))
            idle = idle + 1 if len(left) == len(rows) else 0
            rows = left[::-1]

    def _is_ready(self, row: Values) -> bool:
        """Return whether all rows that the row references are inserted; if so, count it as inserted."""
        own = self._own(row)
        ready = all(key in own or not self._coming.get(key) for key in self._referred(row))
        if ready:
            self._coming.subtract(own)
        return ready

    def _own(self, row: Values) -> list[int]:
        """Return hashes of the keys by which other rows reference this one."""
        return [hash((number, *map(alike, (row[p] for p in places)))) for number, _, places in self._pairs]

    def _referred(self, row: Values) -> Iterator[int]:
        """Yield hashes of the keys that the row references; a foreign key with a NULL references nothing."""
        for number, places, _ in self._pairs:
            if all(row[place] is not None for place in places):
                yield hash((number, *map(alike, (row[p] for p in places))))


def alike(value: Any) -> Any:
    """Return the same for all values that a server may treat as equal: 1.0 and 1, and texts that differ in case, accents or
    trailing blanks. Different values may be the same here: a row then waits for one that it does not reference.
    """
    if isinstance(value, Number):
        return Decimal(value)
    if isinstance(value, str):
        parts = unicodedata.normalize("NFKD", value).casefold().rstrip()
        return "".join(c for c in parts if not unicodedata.combining(c))
    return next(iter(value.values())) if isinstance(value, dict) else value

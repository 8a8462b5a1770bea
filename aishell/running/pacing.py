"""Choose the size of the next batch from how long the last ones took. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Assumed cost of deleting one row before it is measured, in seconds: ten times what PostgreSQL and SQLite took (1-2 µs).
FIRST_GUESS = 20e-6
#: A batch is at most this many times the size of the last one: the next range may be denser.
GROWTH = 2.0
#: Share of a batch's rows that must be deleted for its time to count as the cost of deleting.
DENSE = 0.25
#: Weight of the newest measurement in the average.
FADING = 0.3
LARGEST = 1_000_000
#: Rows of the smallest batch. The fixed cost of a statement and its commit (1-2 ms) can exceed the target: smaller batches
#: would then only add to it.
SMALLEST = 100


@dataclass
class Pace:
    """The size of the next batch, aimed at `target` seconds. `per_unit`: rows per unit of size."""

    target: float
    size: int
    per_unit: float = 1.0
    per_row: float = FIRST_GUESS
    largest: int = LARGEST
    smallest: int = 0  # in units, from SMALLEST; halved when another session waited
    capped: bool = False  # a batch deletes at most `rows` rows, so its size follows its time alone

    def __post_init__(self) -> None:
        self.smallest = self.smallest or max(1, int(SMALLEST / self.per_unit))

    def took(self, seconds: float, rows: int, size: int) -> None:
        """Adjust the size after a batch of `size` units that deleted `rows` rows in `seconds`."""
        if rows >= size * self.per_unit * DENSE:
            cost = seconds / rows
            self.per_row = cost if self.per_row == FIRST_GUESS else FADING * cost + (1 - FADING) * self.per_row
        elif rows:
            self.per_row = min(self.per_row, seconds / rows)  # part of the time went into rows that stayed
        fitting = size * self.target / max(seconds, 1e-6)
        # A range with nothing to delete is fast, and the next one may be full.
        full = math.inf if self.capped else self.target / (self.per_row * self.per_unit)
        wanted = max(self.smallest, int(min(fitting, size * GROWTH, full)))
        self.size = max(1, min(wanted, self.largest))

    @property
    def rows(self) -> int:
        """The number of rows that can be deleted within the target."""
        return max(SMALLEST, int(self.target / self.per_row))

    def slower(self) -> None:
        """Halve the target and the size because another session waited."""
        self.target /= 2
        self.smallest = max(1, self.smallest // 2)
        self.size = max(1, self.size // 2)


#: SQLite has no queue for its write lock: a blocked writer retries after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 and then every
#: 100 ms (main.c, sqliteDefaultBusyCallback). Batches without a pause leave 1 ms between two, and a writer waited for 1.4 s.
#: A pause of this many seconds is enough for a writer that has not waited long to retry.
ROOM = 0.025
#: Others are assumed to keep writing for LASTING seconds after a write; otherwise they are looked for every LOOKING seconds.
LASTING, LOOKING = 5.0, 2.0
#: After each of this many batches at the start, others are looked for whatever the time.
FIRST_LOOKS = 1


@dataclass
class Room:
    """The pause in seconds between two batches where other sessions cannot queue for the lock, for as long as others write."""

    looks: int = 0
    looked: float = 0.0
    wrote: float | None = None  # when others were last seen to have written

    def after_batch(self, now: float, *, others_wrote: bool) -> float:
        """Return the seconds to pause. `others_wrote`: since the batch before. `now`: seconds of any monotonic clock."""
        if others_wrote:
            self.wrote = now
        if self.wrote is not None and now - self.wrote < LASTING:
            return ROOM
        if self.looks >= FIRST_LOOKS and now - self.looked < LOOKING:
            return 0.0
        self.looks, self.looked = self.looks + 1, now
        return ROOM


def within(size: int, left: int | None, most_per_unit: float) -> int:
    """Return `size`, reduced so that at most `left` rows can be hit; 0 when not even one unit is sure to fit."""
    return size if left is None else min(size, int(left / most_per_unit))

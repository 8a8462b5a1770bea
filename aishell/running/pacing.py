"""How much to do in the next batch, from how long the last ones took. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: What deleting one row may cost before it was measured, in seconds: ten times what PostgreSQL and SQLite took (1-2 µs).
FIRST_GUESS = 20e-6
#: A batch grows at most so much from one to the next: what comes may be denser than what was.
GROWTH = 2.0
#: The share of a batch's rows that has to go for its time to be that of deleting.
DENSE = 0.25
#: How fast older measurements fade.
FADING = 0.3
LARGEST = 1_000_000
#: Rows of the smallest batch. What a statement and its commit cost whatever their size (1-2 ms) can be more than the target:
#: then smaller batches would only be more of them.
SMALLEST = 100


@dataclass
class Pace:
    """The size of the next batch, aimed at `target` seconds. `per_unit` is how many rows a unit of size holds."""

    target: float
    size: int
    per_unit: float = 1.0
    per_row: float = FIRST_GUESS
    largest: int = LARGEST
    smallest: int = 0  # in units, from SMALLEST; halved when somebody waited
    capped: bool = False  # a batch takes no more than `rows`, however many there are: its size grows by its time alone

    def __post_init__(self) -> None:
        self.smallest = self.smallest or max(1, int(SMALLEST / self.per_unit))

    def took(self, seconds: float, rows: int, size: int) -> None:
        """A batch of `size` units deleted `rows` rows in `seconds`."""
        if rows >= size * self.per_unit * DENSE:
            cost = seconds / rows
            self.per_row = cost if self.per_row == FIRST_GUESS else FADING * cost + (1 - FADING) * self.per_row
        elif rows:
            self.per_row = min(self.per_row, seconds / rows)  # the rows that stayed took their share of the time
        fitting = size * self.target / max(seconds, 1e-6)
        # A stretch with nothing to delete goes by fast, and what comes after it may be full.
        full = math.inf if self.capped else self.target / (self.per_row * self.per_unit)
        wanted = max(self.smallest, int(min(fitting, size * GROWTH, full)))
        self.size = max(1, min(wanted, self.largest))

    @property
    def rows(self) -> int:
        """So many rows go within the target."""
        return max(SMALLEST, int(self.target / self.per_row))

    def slower(self) -> None:
        """Somebody waited for us: half as much from now on."""
        self.target /= 2
        self.smallest = max(1, self.smallest // 2)
        self.size = max(1, self.size // 2)


#: SQLite has no queue for its write lock: who finds it taken asks again after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 and then
#: each 100 ms (main.c, sqliteDefaultBusyCallback). Batch upon batch leaves 1 ms between two, and a writer waited for 1.4 s.
#: Within so many seconds between two batches somebody who has not waited for long asks again.
ROOM = 0.025
#: Others are taken to write on for so many seconds after they did; else they are looked for once in so many.
LASTING, LOOKING = 5.0, 2.0
#: After so many batches at the start others are looked for whatever the time.
FIRST_LOOKS = 1


@dataclass
class Room:
    """Seconds to leave between two batches where others cannot queue for the lock, as long as there are others who write."""

    looks: int = 0
    looked: float = 0.0
    wrote: float | None = None  # when others were seen to have written last

    def after_batch(self, now: float, *, others_wrote: bool) -> float:
        """`others_wrote`: since the batch before. `now` in seconds of any clock that only goes forward."""
        if others_wrote:
            self.wrote = now
        if self.wrote is not None and now - self.wrote < LASTING:
            return ROOM
        if self.looks >= FIRST_LOOKS and now - self.looked < LOOKING:
            return 0.0
        self.looks, self.looked = self.looks + 1, now
        return ROOM


def within(size: int, left: int | None, most_per_unit: float) -> int:
    """`size`, or less of it so that no more than `left` rows can be hit; 0 when not even one unit is sure to fit."""
    return size if left is None else min(size, int(left / most_per_unit))

"""The distribution of values, from a sample: the share below a value, and the value at a share. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Shares of rows, at most 1 in total; the remaining rows have no value.

    `points`: common values, each with its share. `bounds`: ascending; the share of `rest` between two neighbours is always the
    same, however far apart they are. So one outlier, right or wrong, affects no more than its own share.
    """

    points: tuple[tuple[float, float], ...] = ()
    bounds: tuple[float, ...] = ()
    rest: float = 0.0

    def below(self, value: float) -> float:
        """Return the share of rows with a lower value: 0 to 1, monotonic in the value."""
        exact = sum(share for point, share in self.points if point < value)
        return min(1.0, exact + self.rest * self._part(value))

    def quantile(self, part: float) -> float | None:
        """Return the least known value with at least `part` of all rows at or below it; None if no row has a value."""
        known = sorted([*(p for p, _ in self.points), *self.bounds])
        return next((value for value in known if self._up_to(value) >= part), known[-1] if known else None)

    def _up_to(self, value: float) -> float:
        return sum(s for point, s in self.points if point <= value) + self.rest * self._part(value, at=True)

    def _part(self, value: float, *, at: bool = False) -> float:
        """Return the part of `rest` that is less (`at`: or equal), interpolated between two bounds."""
        behind = (bisect_right if at else bisect_left)(self.bounds, value)
        if behind in (0, len(self.bounds)):
            return float(behind > 0)
        before, after = self.bounds[behind - 1], self.bounds[behind]
        return (behind - 1 + (value - before) / (after - before)) / (len(self.bounds) - 1)


def sampled(values: Iterable[float | None]) -> Spread:
    """Return the spread from a random sample of rows; None is a row without a value."""
    every = list(values)
    found = sorted(value for value in every if value is not None)
    if len(found) < 2:
        return Spread(points=tuple((value, 1 / len(every)) for value in found))
    return Spread(bounds=tuple(found), rest=len(found) / len(every))


def histogram(points: Sequence[tuple[float, float]], bounds: Sequence[float], nulls: float) -> Spread:
    """Return the spread from a database's statistics: most common values, histogram bounds of the rest, share of NULLs."""
    rest = max(0.0, 1 - nulls - sum(share for _, share in points))
    return Spread(tuple(points), tuple(sorted(bounds)), rest if bounds else 0.0)

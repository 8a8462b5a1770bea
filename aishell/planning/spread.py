"""The distribution of values, from a sample: the share below a value, and the value at a share. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Shares of rows, all together at most 1; what is missing has no value.

    `points`: values that many rows have, each with its share. `bounds`: ascending; between two neighbours lies the same share
    of `rest`, however far apart they are. So one value far away, right or wrong, moves no more than its own share.
    """

    points: tuple[tuple[float, float], ...] = ()
    bounds: tuple[float, ...] = ()
    rest: float = 0.0

    def below(self, value: float) -> float:
        """The share of rows with a lower value: 0 to 1, monotonic in the value."""
        exact = sum(share for point, share in self.points if point < value)
        return min(1.0, exact + self.rest * self._part(value))

    def quantile(self, part: float) -> float | None:
        """The least value that is known to have at least `part` of all rows at or below it; None where no row has a value."""
        known = sorted([*(p for p, _ in self.points), *self.bounds])
        return next((value for value in known if self._up_to(value) >= part), known[-1] if known else None)

    def _up_to(self, value: float) -> float:
        return sum(s for point, s in self.points if point <= value) + self.rest * self._part(value, at=True)

    def _part(self, value: float, *, at: bool = False) -> float:
        """The part of `rest` that is less (`at`: or equal), even between two bounds."""
        behind = (bisect_right if at else bisect_left)(self.bounds, value)
        if behind in (0, len(self.bounds)):
            return float(behind > 0)
        before, after = self.bounds[behind - 1], self.bounds[behind]
        return (behind - 1 + (value - before) / (after - before)) / (len(self.bounds) - 1)


def sampled(values: Iterable[float | None]) -> Spread:
    """The spread of which these are a fair sample; None stands for a row without a value."""
    every = list(values)
    found = sorted(value for value in every if value is not None)
    if len(found) < 2:
        return Spread(points=tuple((value, 1 / len(every)) for value in found))
    return Spread(bounds=tuple(found), rest=len(found) / len(every))


def histogram(points: Sequence[tuple[float, float]], bounds: Sequence[float], nulls: float) -> Spread:
    """The spread as a database's statistics have it: the commonest values, bounds between equal shares of the rest, NULLs."""
    rest = max(0.0, 1 - nulls - sum(share for _, share in points))
    return Spread(tuple(points), tuple(sorted(bounds)), rest if bounds else 0.0)

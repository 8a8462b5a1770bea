"""In which order the rows of several tables can be put back, so that what a row refers to is there before it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from aishell.errors import ParameterError

Key = tuple[str, str]


@dataclass(frozen=True)
class ForeignKey:
    """`child` refers to `parent`. `free`: those of its columns that may be NULL for a while, so that it does not hold yet."""

    parent: Key
    child: Key
    free: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """`tables` in the order of loading; `later`: columns that are loaded when all rows of all tables are there."""

    tables: tuple[Key, ...]
    later: Mapping[Key, tuple[str, ...]]


def order_of(tables: Sequence[Key], keys: Sequence[ForeignKey]) -> Order:
    """The tables, those that others refer to first. A circle is broken where a foreign key may be NULL; a table that refers to
    itself is one. Raises ParameterError for a circle of columns that all must have a value.
    """
    later: dict[Key, dict[str, None]] = {}
    _postpone([key for key in keys if key.parent == key.child], later)
    holding = [key for key in keys if key.parent != key.child]
    while True:
        needs = {table: {key.parent for key in holding if key.child == table} for table in tables}
        try:
            found = tuple(TopologicalSorter(needs).static_order())
        except CycleError as error:
            broken = _weakest(error.args[1], holding)
            _postpone(broken, later)
            holding = [key for key in holding if key not in broken]
        else:
            return Order(found, {table: tuple(columns) for table, columns in later.items()})


def _weakest(circle: Sequence[Key], holding: Sequence[ForeignKey]) -> list[ForeignKey]:
    """The foreign keys between two neighbours of a circle that may all be NULL for a while; else those of the first two."""
    between = [[key for key in holding if (key.parent, key.child) == ends] for ends in pairwise(circle)]
    return next((found for found in between if all(key.free for key in found)), between[0])


def _postpone(keys: Sequence[ForeignKey], later: dict[Key, dict[str, None]]) -> None:
    for key in keys:
        if not key.free:
            raise ParameterError(
                f"rows of {'.'.join(key.child)} must refer to rows of {'.'.join(key.parent)}, and in a circle these to those: "
                "what is archived of them could not be put back",
                hint="let a column of the foreign key be NULL, or clean up without --archive",
            )
        later.setdefault(key.child, {}).update(dict.fromkeys(key.free))

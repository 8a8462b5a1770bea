"""What `make test` leaves to `make test-all`: it marks tests `thorough`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest

from tests.fix_tools import label
from tests.seed import SEED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    older = set(_on_the_older_server(items))
    for item in (*older, *_not_drawn([item for item in items if item not in older])):
        item.add_marker(pytest.mark.thorough)


def _on_the_older_server(items: Sequence[pytest.Item]) -> Iterable[pytest.Item]:
    """What runs on the newer PostgreSQL too."""
    older, newer = label("pg_distribution"), label("pg_current")
    known = {item.nodeid for item in items}
    twins = (item for item in items if older in item.nodeid and item.nodeid.replace(older, newer) in known)
    return twins if older != newer else ()


def _not_drawn(items: Sequence[pytest.Item]) -> Iterable[pytest.Item]:
    """What a test that is `sampled` has beyond a few cases with each value of each parameter, or beyond `sampled(so_many)`."""
    products: dict[str, list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("sampled"):
            products.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for name, product in products.items():
        values = [{(name, repr(value)) for name, value in item.callspec.params.items()} for item in product]
        dice, so_many = random.Random(f"{SEED} {name}"), next(product[0].iter_markers("sampled")).args
        drawn = set(dice.sample(range(len(product)), *so_many)) if so_many else covering(values, dice)
        yield from (item for number, item in enumerate(product) if number not in drawn)


def covering(sets: Sequence[set[tuple[str, str]]], dice: random.Random) -> set[int]:
    """The numbers of a few of `sets` that together hold all that they hold, found greedily: always one that adds the most."""
    missing, drawn = set().union(*sets), set()
    order = dice.sample(range(len(sets)), len(sets))
    while missing:
        best = max(order, key=lambda number: len(sets[number] & missing))
        drawn.add(best)
        missing -= sets[best]
    return drawn

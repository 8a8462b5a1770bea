"""Estimates: by this object's history, else by the tool's, else by the engine's default, else none."""

from __future__ import annotations

import pytest

from aishell.models import Estimate, History
from aishell.planning.estimates import DEFAULTS, estimate
from tests.unit.making import make_inventory, make_server

TABLE = History(1e6, 3, 0, "this table's history")
TOOL = History(2e6, 1, 0, "this tool's history on this target")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (
            {("optimize_table", "public.orders"): TABLE, ("optimize_table", ""): TOOL},
            Estimate(10.0, 7, "this table's history, 3 runs"),
        ),
        ({("optimize_table", ""): TOOL}, Estimate(5.0, 7, "this tool's history on this target, 1 run")),
        ({("optimize_table", "public.other"): TABLE}, Estimate(0.027, 7, "engine default")),
        ({}, Estimate(0.027, 7, "engine default")),
    ],
)
def test_the_nearest_experience_counts(history, expected):
    inventory = make_inventory(history=history)
    assert estimate(inventory, "optimize_table", "public.orders", 10_000_000, 7) == expected


@pytest.mark.parametrize(("engine", "tool"), [("postgresql", "unheard_of"), ("nobodys", "optimize_table")])
def test_without_experience_there_is_no_basis(engine, tool):
    inventory = make_inventory(server=make_server(engine))
    assert estimate(inventory, tool, "public.orders", 10_000_000, 7) == Estimate(None, 7, "no basis")


def test_every_default_is_a_plausible_speed():
    assert all(1e6 <= speed <= 1e10 for speed in DEFAULTS.values())


def test_more_bytes_take_longer():
    inventory = make_inventory()
    times = [estimate(inventory, "rebuild_table", "", size).seconds for size in (0, 10**6, 10**9)]
    assert times == sorted(set(times), key=lambda seconds: seconds or 0)

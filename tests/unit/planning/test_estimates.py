"""Estimates: by this object's history, else by the tool's, else by the engine's measured rate, else none. Never nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.engines import PROFILES
from aishell.models import Estimate, History, Step, Took
from aishell.planning.estimates import (
    REACH,
    TELLING,
    TotalTime,
    estimate,
    label_of,
    predicted,
    remembered,
    total,
)
from tests.unit.making import make_inventory, make_server

MB = 1 << 20
TABLE = History((Took(1.0, MB, "bytes"),) * 3, 0, "this table's history")
TOOL = History((Took(1.0, 2 * MB, "bytes"),), 0, "this tool's history on this target")
DEFAULT = "engine default, 357.6 MB a second"


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (
            {("optimize_table", "public.orders"): TABLE, ("optimize_table", ""): TOOL},
            Estimate(10.0, 7, "this table's history, 3 runs", 10 * MB, "bytes"),
        ),
        (
            {("optimize_table", ""): TOOL},
            Estimate(5.0, 7, "this tool's history on this target, 1 run", 10 * MB, "bytes"),
        ),
        ({("optimize_table", "public.other"): TABLE}, Estimate(0.028, 7, DEFAULT, 10 * MB, "bytes")),
        ({}, Estimate(0.028, 7, DEFAULT, 10 * MB, "bytes")),
    ],
)
def test_the_nearest_experience_counts(history, expected):
    inventory = make_inventory(history=history)
    assert estimate(inventory, "optimize_table", "public.orders", 10 * MB, 7) == expected


@pytest.mark.parametrize(
    ("engine", "tool", "work"),
    [("postgresql", "unheard_of", 5), ("sqlite", "drop_invalid_indexes", 5), ("postgresql", "optimize_table", None)],
)
def test_without_a_basis_there_is_no_figure(engine, tool, work):
    """A size that nobody knows is not one of 0 bytes."""
    inventory = make_inventory(server=make_server(engine))
    found = estimate(inventory, tool, "public.orders", work, 7)
    assert (found.seconds, found.bytes, found.based_on, found.work) == (None, 7, "no basis", work)


def test_every_default_is_a_plausible_speed():
    assert all(1e6 <= speed <= 1e10 for engine in PROFILES.values() for speed in engine.bytes_per_second.values())


def test_a_check_of_a_second_that_took_twenty_takes_twenty_the_next_time():
    """amcheck was predicted at 0.4 s, took 20, and was predicted at 0.4 s again."""
    first = estimate(make_inventory(), "check_table_corruption", "", 320 * MB)
    assert first.seconds == pytest.approx(0.42, abs=0.01)
    took = History((Took(20.0, first.work, first.unit),), 0, "this tool's history on this target")
    again = estimate(
        make_inventory(history={("check_table_corruption", ""): took}), "check_table_corruption", "", 330 * MB
    )
    assert again.seconds == pytest.approx(20.6, abs=0.1)
    small = History((Took(20.0, 9000, "bytes"),), 0, "this tool's history on this target")
    again = estimate(
        make_inventory(history={("check_table_corruption", ""): small}), "check_table_corruption", "", 9000
    )
    assert again.seconds == 20.0


UNITS = st.sampled_from(sorted(TELLING))
PAST = st.lists(
    st.builds(Took, st.floats(0.0005, 1e4), st.none() | st.integers(0, 10**10), st.just("rows")), max_size=12
)


@given(PAST, st.integers(0, 10**11), st.integers(0, 10**11))
def test_more_work_never_takes_less(past, one, other):
    less, more = sorted((one, other))
    first, second = predicted(past, less, "rows"), predicted(past, more, "rows")
    assert first is None or second is None or first <= second


@given(st.integers(1, 10**10), st.floats(0.01, 1e4), UNITS)
def test_what_was_done_once_takes_as_long_again(work, seconds, unit):
    assert predicted([Took(seconds, work, unit)], work, unit) == pytest.approx(seconds, rel=0.01)


@given(PAST, st.none() | st.integers(0, 10**11))
def test_a_prediction_is_never_nothing(past, work):
    found = predicted(past, work, "rows")
    assert found is None or found > 0


def test_little_work_tells_nothing_of_much():
    past = [Took(0.05, 10, "rows")]
    assert predicted(past, 10 * REACH, "rows") == 0.05
    assert predicted(past, 10 * REACH + 1, "rows") is None
    inventory = make_inventory(history={("t", "a.b"): History(tuple(past), 0, "this table's history")})
    found = estimate(inventory, "t", "a.b", 1_000_000, unit="rows", rate=100_000)
    assert (found.seconds, found.based_on) == (10.0, "engine default, 100,000 rows a second")


def test_rows_and_bytes_are_not_mixed_up_and_the_newest_runs_count():
    assert predicted([Took(1.0, MB, "bytes")], MB, "rows") is None
    past = [Took(2.0, MB, "bytes")] * 5 + [Took(9.0, MB, "bytes")] * 50
    assert predicted(past, MB, "bytes") == 2.0


def test_a_step_without_a_measure_of_its_work_takes_what_it_took_on_the_same_object():
    step = Step("a", "measure", {"schema": "public", "table": "orders"})
    known = History((Took(3.0), Took(1.0), Took(5.0)), 0, "this table's history")
    inventory = make_inventory(history={("measure", "public.orders"): known, ("measure", ""): known})
    assert remembered(step, inventory).estimate == Estimate(3.0, None, "this table's history, 3 runs")
    other = replace(step, params={"schema": "public", "table": "other"})
    assert remembered(other, inventory).estimate == Estimate()
    told = replace(step, estimate=Estimate(1.0, 5, "x"))
    assert remembered(told, inventory) is told


@pytest.mark.parametrize(
    ("params", "label"),
    [
        ({"schema": "a", "table": "b"}, "a.b"),
        ({"schema": "main"}, ""),
        ({"tables": [{"schema": "a", "table": "b"}]}, ""),
        ({}, ""),
    ],
)
def test_a_step_is_remembered_by_its_table(params, label):
    assert label_of(params) == label


def test_a_total_says_of_how_many_steps_it_is_not():
    steps = [Step("a", "t", estimate=Estimate(1.5)), Step("b", "t"), Step("c", "t", estimate=Estimate(0.25))]
    assert total(steps) == TotalTime(1.75, 1)
    assert total([*steps, Step("u", "t", undoes="a")]) == TotalTime(1.75, 1)
    assert total(steps[1:2]) == TotalTime(None, 1)
    assert total([]) == TotalTime(0, 0)

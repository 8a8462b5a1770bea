"""How values are spread: shares that grow with the value, and that no single value far away can move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.planning.spread import Spread, histogram, sampled

DAY = 86_400.0
NUMBERS = st.integers(-(10**10), 10**10).map(float)
MANY = st.lists(NUMBERS, min_size=2, max_size=60)
SHARES = st.lists(st.tuples(NUMBERS, st.floats(0.001, 0.02)), max_size=10)


@st.composite
def spreads(draw: st.DrawFn) -> Spread:
    if draw(st.booleans()):
        return sampled(draw(st.lists(st.none() | NUMBERS, min_size=1, max_size=60)))
    return histogram(draw(SHARES), draw(MANY | st.just([])), draw(st.floats(0, 0.5)))


@given(spreads(), NUMBERS, NUMBERS)
def test_a_share_lies_between_none_and_all_and_grows_with_the_value(spread, one, other):
    less, more = sorted((one, other))
    assert 0 <= spread.below(less) <= spread.below(more) <= 1 + 1e-9


@given(MANY, st.sampled_from([-62_135_596_800.0, 0.0, 253_402_214_400.0]), NUMBERS)
def test_one_value_far_away_moves_no_more_than_its_own_share(values, stray, value):
    """A date of 9999 or of 1970 in place of a sampled one, or beside them."""
    one = 1 / (len(values) - 1)
    before = sampled(values).below(value)
    assert abs(sampled([*values[1:], stray]).below(value) - before) <= 2 * one + 1e-9
    assert abs(sampled([*values, stray]).below(value) - before) <= 2 * one + 1e-9


def test_the_seen_failure():
    """177,072 rows were told where 1,420 were old, of 200,000 over two years: one date of 9999."""
    year, two = 31_536_000.0, 2 * 31_536_000.0
    dates = [two * n / 500 for n in range(500)]
    assert sampled(dates).below(year) == pytest.approx(0.5, abs=0.01)
    assert sampled([*dates, 253_402_214_400.0]).below(year) == pytest.approx(0.5, abs=0.01)
    assert histogram([], [*dates[::5], 253_402_214_400.0], 0).below(dates[3]) < 0.011


@given(st.lists(NUMBERS, min_size=20, max_size=200), NUMBERS)
def test_a_sample_tells_the_share_of_itself(values, value):
    exact = sum(1 for one in values if one < value) / len(values)
    equal = sum(1 for one in values if one == value) / len(values)
    assert abs(sampled(values).below(value) - exact) <= 2 / len(values) + equal


@given(spreads(), st.floats(0, 1))
def test_a_quantile_has_its_share_below_it(spread, part):
    value = spread.quantile(part)
    if value is None:
        assert spread == Spread()
    else:
        assert spread.below(value + 1) >= min(part, spread.below(1e12)) - 1e-9


def test_common_values_nulls_and_the_rest_are_of_one_whole():
    spread = histogram([(10.0, 0.2), (20.0, 0.1)], [0.0, 100.0], nulls=0.3)
    assert [round(spread.below(value), 3) for value in (0, 10, 11, 50, 101)] == [0.0, 0.04, 0.244, 0.5, 0.7]
    assert histogram([], [], nulls=1.0).quantile(0.1) is None
    assert sampled([None, None]).below(5) == 0
    assert sampled([3.0, None]).below(5) == 0.5

"""Batches are aimed at a time: they shrink at once, grow step by step, and never trust an empty stretch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aishell.running.pacing import FIRST_GUESS, LARGEST, ROOM, Pace, Room, within


def test_a_batch_that_took_too_long_is_followed_by_a_smaller_one():
    pace = Pace(target=0.05, size=1000)
    pace.took(seconds=0.2, rows=1000, size=1000)
    assert pace.size == 250


def test_growth_is_bounded_from_one_batch_to_the_next():
    pace = Pace(target=0.05, size=100)
    pace.took(seconds=0.0001, rows=100, size=100)
    assert pace.size == 200


def test_an_empty_stretch_does_not_make_a_batch_larger_than_a_full_one_may_be():
    pace = Pace(target=0.05, size=10, per_unit=40)
    for _ in range(50):
        pace.took(seconds=0.0001, rows=0, size=pace.size)
    assert pace.size * 40 * FIRST_GUESS <= 0.05, "a full stretch may follow"


def test_where_its_rows_are_capped_a_batch_grows_over_an_empty_stretch_by_its_time_alone():
    pace = Pace(target=0.05, size=10, per_unit=40, capped=True)
    for _ in range(8):
        pace.took(seconds=0.0001, rows=0, size=pace.size)
    assert pace.size == 10 * 2**8
    pace.took(seconds=0.5, rows=0, size=pace.size)
    assert pace.size == 256
    assert pace.rows * FIRST_GUESS <= 0.05, "as many as go within the aim"


def test_somebody_who_waits_halves_the_aim():
    pace = Pace(target=0.05, size=1000)
    pace.slower()
    assert (pace.target, pace.size) == (0.025, 500)


@given(
    cost=st.floats(1e-7, 1e-4),
    full=st.lists(st.booleans(), min_size=20, max_size=60),
    per_unit=st.sampled_from([1.0, 7.5, 60.0]),
)
def test_on_a_steady_server_no_batch_takes_much_longer_than_the_aim(cost, full, per_unit):
    """Full and empty stretches in any order; once the cost is known, a batch of full ones stays near the aim."""
    pace = Pace(target=0.05, size=5, per_unit=per_unit)
    known = False
    for stretch in full:
        rows = int(pace.size * per_unit) if stretch else 0
        seconds = rows * cost + 1e-5
        if known and rows * cost > 1e-4:
            assert seconds <= 0.05 * 1.3 or pace.size == 1
        pace.took(seconds, rows, pace.size)
        known = known or rows > 100
        assert 1 <= pace.size <= LARGEST


@given(size=st.integers(1, 10**6), left=st.integers(0, 10**6), most=st.sampled_from([1.0, 58.2, 291.0]))
def test_a_limit_of_rows_is_never_passed(size, left, most):
    assert within(size, left, most) * most <= left
    assert within(size, None, most) == size


def test_what_a_batch_costs_whatever_its_size_does_not_shrink_it_to_nothing():
    pace = Pace(target=0.001, size=500)
    for _ in range(20):
        pace.took(seconds=0.002 + pace.size * 1e-6, rows=pace.size, size=pace.size)
    assert pace.size == 100
    pages = Pace(target=0.001, size=20, per_unit=60)
    pages.took(seconds=0.01, rows=1200, size=20)
    assert pages.size == 2


def test_others_are_looked_for_at_the_start_and_then_now_and_again():
    room = Room()
    rests = [room.after_batch(number * 0.05, others_wrote=False) for number in range(100)]
    assert rests[0] == ROOM
    assert sum(rest == ROOM for rest in rests) == 3  # at 0, 2 and 4 s
    assert set(rests) == {0.0, ROOM}


def test_as_long_as_others_write_there_is_room_after_every_batch():
    room = Room()
    room.after_batch(0.0, others_wrote=False)
    assert room.after_batch(0.1, others_wrote=True) == ROOM
    assert all(room.after_batch(0.1 + n / 10, others_wrote=False) == ROOM for n in range(49))
    assert room.after_batch(5.5, others_wrote=False) == ROOM  # another look
    assert room.after_batch(5.6, others_wrote=False) == 0.0

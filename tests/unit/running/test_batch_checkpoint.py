"""A position survives its way through state.db, whatever type the key has."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.codec import pack, unpack
from aishell.running.batch_checkpoint import BatchCheckpoint

KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(),
    st.binary(max_size=40),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.none() | st.integers(-839, 839).map(lambda m: timezone(timedelta(minutes=m)))),
    st.dates(),
    st.uuids(),
)


@given(KEYS | st.lists(KEYS, max_size=3) | st.dictionaries(st.text(), KEYS, max_size=3))
def test_what_is_unpacked_is_what_was_packed(value):
    again = unpack(json.loads(json.dumps(pack(value))))
    assert again == value
    assert type(again) is type(value)


@given(position=KEYS, rows=st.integers(0, 10**12), longest=st.floats(0, 1e6))
def test_how_far_it_has_come_survives(position, rows, longest):
    checkpoint = BatchCheckpoint(position, rows=rows, batches=3, longest=longest, sweep=2, uncounted=1, size=500)
    assert BatchCheckpoint.of(checkpoint.text()) == checkpoint


def test_what_may_have_run_counts_for_the_limit_and_not_for_the_figures():
    killed = BatchCheckpoint(7, rows=5, pending=20).interrupted()
    assert (killed.rows, killed.spent, killed.pending, killed.uncounted) == (5, 25, 0, 1)
    again = BatchCheckpoint.of(killed.text()).interrupted()
    assert (again.rows, again.spent, again.uncounted) == (5, 25, 2), "nothing was under way the second time"


def test_a_chunk_that_was_not_looked_at_is_a_doubt_and_no_more_than_one():
    killed = BatchCheckpoint(7, rows=5, uncounted=1, assumed=3)
    assert (killed.figures()["uncounted_batches"], killed.figures()["rows_uncounted"]) == (1, 3)
    again = BatchCheckpoint.of(killed.looked_up(2).text()).looked_up(2).figures()
    assert (again["rows_deleted"], again["uncounted_batches"], again["rows_uncounted"]) == (5, 2, None)


def test_an_older_text_without_newer_fields_is_read():
    assert BatchCheckpoint.of('{"position": 7, "rows": 5}') == BatchCheckpoint(7, rows=5)


@pytest.mark.parametrize("value", [{"$bytes": "00", "more": 1}, {"$unknown": "x"}])
def test_what_only_looks_packed_is_left_alone(value):
    assert unpack(value) == value

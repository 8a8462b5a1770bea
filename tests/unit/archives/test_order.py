"""Rows of a table that refers to itself go in after those that they refer to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aishell.archives.order import ParentsFirst, alike
from aishell.archives.values import Number

OUTSIDE = Number("777")


@st.composite
def trees(draw):
    """Lots of rows `id, parent`: chains, circles, rows that refer to themselves, to nothing and to one that is not archived."""
    ids = draw(st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=25))
    parents = st.one_of(st.none(), st.just(OUTSIDE), st.sampled_from(ids).map(lambda n: Number(str(n))))
    rows = [[Number(str(n)), draw(parents)] for n in ids]
    size = draw(st.integers(1, 7))
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def in_a_circle_or_behind_one(row, rows):
    by_id, through = {one[0]: one for one in rows}, set()
    while row is not None and row[0] not in through:
        through.add(row[0])
        row = by_id.get(row[1])
    return row is not None


@given(trees())
def test_every_row_goes_in_once_and_after_what_it_refers_to(lots):
    rows = [row for lot in lots for row in lot]
    there, sent = {OUTSIDE}, []
    for lot, postponed in ParentsFirst(lambda: iter(lots), ["id", "up"], [{"columns": ["up"], "refers_to": ["id"]}]):
        for row in lot:
            sent.append(row)
            assert in_a_circle_or_behind_one(row, rows) if postponed else row[1] in {None, row[0], *there}
            there.add(row[0])
    assert sorted(sent, key=str) == sorted(rows, key=str)


def test_a_chain_that_lies_backwards_goes_in_without_being_put_off():
    rows = [[Number(str(n)), Number(str(n + 1)) if n < 5000 else None] for n in range(1, 5001)]
    lots = [rows[first : first + 500] for first in range(0, 5000, 500)]
    sent = [(row[0], late) for lot, late in ParentsFirst(lambda: iter(lots), ["id", "up"],
            [{"columns": ["up"], "refers_to": ["id"]}]) for row in lot]  # fmt: skip
    assert sent == [(str(n), False) for n in range(5000, 0, -1)]


def test_rows_that_a_server_may_take_for_the_same_are_waited_for():
    """`A` refers to `á `, which is another row where case, accents and blanks count: both are sent, whichever is meant."""
    lots = [[["x", "A"], ["a", None], ["Á ", None]]]
    sent = [row[0] for lot, _ in ParentsFirst(lambda: iter(lots), ["id", "up"],
            [{"columns": ["up"], "refers_to": ["id"]}]) for row in lot]  # fmt: skip
    assert sent == ["a", "Á ", "x"] or sent == ["Á ", "a", "x"]
    assert alike(Number("1.0")) == alike(Number("1"))
    assert alike({"hex": "00"}) == "00"

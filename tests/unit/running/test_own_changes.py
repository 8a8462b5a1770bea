"""Each row that goes or changes counts once, however many parts of an archive tell of it, and in however many chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aishell.archives.reader import ArchivedRow
from aishell.archives.writer import checksum
from aishell.running.own_changes import Member, OwnChanges

#: The table, its own rows that go by a reference, those that lose one, another table's rows that go, and that lose one of two.
MEMBERS = (
    Member(0),
    Member(0),
    Member(0, {"peer": None}),
    Member(3),
    Member(3, {"a": None}),
    Member(5, {"b": None}),
)
ROWS = st.sets(st.integers(0, 9))
CHUNKS = st.lists(st.lists(ROWS, min_size=len(MEMBERS), max_size=len(MEMBERS)), max_size=6)


@given(CHUNKS)
def test_the_figures_are_those_of_the_rows(chunks: list[list[set[int]]]) -> None:
    own = OwnChanges(MEMBERS)
    there = {0: set(range(10)), 3: set(range(10)), 5: set(range(10))}
    changed: dict[int, set[int]] = {0: set(), 3: set(), 5: set()}
    rows = relatives = told_changed = cascaded = 0
    for chunk in chunks:
        reached = {part: found & there[MEMBERS[part].table] for part, found in enumerate(chunk)}
        reached[5] -= changed[5]  # reached in one way, so no second time
        keys = {part: [(str(row),) for row in found] for part, found in reached.items() if part in own.parts}
        sums = {part: {f"{MEMBERS[part].table} {row}" for row in found} for part, found in reached.items()}
        figures = own.figures(sums, keys)
        own.took(keys)
        for part, member in enumerate(MEMBERS):
            if member.sets is None:
                there[member.table] -= reached[part]
        for part, member in enumerate(MEMBERS):
            if member.sets is not None:
                changed[member.table] |= reached[part]
        rows, relatives = rows + figures.rows, relatives + figures.relatives
        told_changed, cascaded = told_changed + figures.changed, cascaded + figures.cascaded
        assert figures.cascaded == len(reached[1] - reached[0])
        assert rows == 10 - len(there[0])
        assert relatives == 10 - len(there[3])
        assert told_changed == sum(len(found & there[table]) for table, found in changed.items())
    assert cascaded <= rows


def test_a_row_that_lost_its_reference_is_known_by_its_line_of_now() -> None:
    own = OwnChanges(MEMBERS)
    line = b'{"id":1,"peer":2}'
    row = ArchivedRow(("1",), checksum(line), line)
    assert list(own.as_they_are(0, [row])) == [row.sum]
    own.took({2: [("1",)]})
    assert own.as_they_are(0, [row]) == {checksum(b'{"id":1,"peer":null}'): row}
    assert own.moved([row]) == [("1",)]


def test_a_row_that_is_not_there_to_be_changed_is_accounted_for_if_it_went_before() -> None:
    own = OwnChanges(MEMBERS)
    assert not own.accounts_for({2: [("1",)]}, {})
    assert own.accounts_for({2: [("1",)]}, {2: [("1",)]})
    own.took({0: [("1",)]})
    assert own.accounts_for({2: [("1",)]}, {})

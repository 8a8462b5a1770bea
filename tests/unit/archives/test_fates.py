"""What became of an archive's rows: what its run deleted, what it left, and what nobody knows."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.archives import shelf
from aishell.archives.fates import (
    DOUBTFUL,
    GONE,
    NOTES,
    STAYED,
    ChunkFate,
    Notes,
    fates,
    left_of,
    ranges,
    share,
    told,
    without,
)
from aishell.errors import ArchiveError
from tests.unit.archives.test_writer import made

BEGUN, ENDED = {"begun": 0}, {"ended": True}
UPTO = 2  # the last of three chunks may have been begun


def line(chunk, gone):
    return {"chunk": chunk, "gone": gone}


#: What happened, as it was written down -> what is known of three chunks.
STORIES = {
    "all went": ([BEGUN, line(0, True), line(1, True), line(2, True), ENDED], [GONE, GONE, GONE]),
    "one stayed": ([BEGUN, line(0, True), line(1, False), line(2, True), ENDED], [GONE, STAYED, GONE]),
    "the window closed": ([BEGUN, line(0, True), ENDED], [GONE, STAYED, STAYED]),
    "killed": ([BEGUN, line(0, True)], [GONE, DOUBTFUL, DOUBTFUL]),
    "killed between the deletion and its line, and resumed": (
        [BEGUN, line(0, True), {"begun": 1}, line(1, None), line(2, True), ENDED], [GONE, DOUBTFUL, GONE],
    ),
    "a line went with the power": ([BEGUN, {"begun": 1}, line(1, True), line(2, True), ENDED], [DOUBTFUL, GONE, GONE]),
    "the window closed, the next night killed": ([BEGUN, line(0, True), ENDED, {"begun": 1}], [GONE, DOUBTFUL, DOUBTFUL]),
    "what stayed may have gone with the kill": ([BEGUN, line(0, False), {"begun": 0}], [DOUBTFUL, DOUBTFUL, DOUBTFUL]),
    "what was gone is not said to have stayed by a later look": (
        [BEGUN, line(0, True), {"begun": 0}, line(0, False), line(1, None), {"begun": 1}, line(1, False), ENDED],
        [GONE, DOUBTFUL, STAYED],
    ),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_what_is_not_known_to_have_stayed_is_to_be_loaded(story):
    lines, expected = STORIES[story]
    numbered = [{**one, "lines": place} if one is ENDED else one for place, one in enumerate(lines)]
    assert told(numbered, 3, UPTO) == expected


def test_what_was_never_begun_stays_whatever_became_of_the_run():
    assert told([BEGUN, line(0, True)], 4, 1) == [GONE, DOUBTFUL, STAYED, STAYED]
    assert told([], 2, -1) == [STAYED, STAYED]


def test_an_end_that_counts_other_lines_says_nothing_of_them():
    """`only the end is there`, and a line lost in the middle: what it told of may have been a deletion."""
    assert told([{"ended": True, "lines": 3}], 3, 2) == [DOUBTFUL] * 3
    assert told([BEGUN, line(2, True), {"ended": True, "lines": 4}], 3, 2) == [DOUBTFUL, DOUBTFUL, GONE]


@given(st.lists(st.tuples(st.booleans(), st.lists(st.booleans(), max_size=5)), max_size=12))
def test_rows_that_stayed_are_left_out_wherever_they_lie(lots):
    numbered = [(lot, place) for lot, (_, flags) in enumerate(lots) for place in range(len(flags))]
    skipped = [n for n, (lot, place) in enumerate(numbered) if lots[lot][1][place]]
    kept = list(
        without(([(lot, p) for p in range(len(flags))] for lot, (_, flags) in enumerate(lots)), ranges(skipped))
    )
    assert kept == [[(lot, p) for p, left in enumerate(flags) if not left] for lot, (_, flags) in enumerate(lots)]


def test_lines_that_did_not_go_are_known_by_their_sums():
    assert left_of(["a", "b", "c", "d", "e"], ["b", "e"]) == ((0, 0), (2, 3))
    assert left_of([], []) == ()


def noted(folder, *told_, end=True):
    with Notes(folder) as notes:
        notes.reserve(max(number for number, _ in told_))
        notes.begin(0)
        for number, fate in told_:
            notes.add(number, fate)
        if end:
            notes.end()


def test_notes_are_read_again_and_tell_what_is_to_be_loaded(tmp_path):
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    made(folder, (1, 2, 3), (4, 5), (6,))
    manifest = shelf.read_manifest(folder)
    assert fates(folder, manifest) is None
    assert share(manifest, 0, None) == share(manifest, 0, [DOUBTFUL] * 3)
    noted(folder, (0, ChunkFate(True, {0: ((1, 1),)})), (1, STAYED), end=False)
    assert stat.S_IMODE((folder / NOTES).stat().st_mode) == 0o600
    found = share(manifest, 0, fates(folder, manifest))
    assert (found.loaded, found.left, found.doubt, found.skipped) == (2, 4, 0, ((1, 1), (3, 4), (5, 5)))
    with Notes(folder) as notes:
        notes.reserve(2)  # and killed
    found = share(manifest, 0, fates(folder, manifest))
    assert (found.loaded, found.left, found.doubt, found.skipped) == (3, 3, 1, ((1, 1), (3, 4)))


def test_a_line_that_was_not_finished_counts_as_none(tmp_path):
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    made(folder, (1, 2, 3), (4, 5))
    noted(folder, (0, GONE), end=False)
    whole = (folder / NOTES).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(1, len(whole) - first):
        (folder / NOTES).write_bytes(whole[:-cut])
        assert GONE not in fates(folder, shelf.read_manifest(folder))
        noted(folder, (1, GONE))  # another process goes on with what is whole
        assert fates(folder, shelf.read_manifest(folder)) == [STAYED, GONE]


@pytest.mark.parametrize("text", [
    "no JSON\n", '{"chunk": 7, "gone": true}\n', '{"chunk": 0, "gone": "yes"}\n', "[]\n", '{"chunk": -1, "gone": true}\n',
    "[" * 100_000 + "\n", '{"ended": true}\n',
])  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_damaged_notes_are_told(tmp_path, text, first):
    folder = tmp_path / "t" / "public.app_log" / "x-1"
    made(folder, (1,))
    noted(folder, (0, GONE), end=False)
    whole = (folder / NOTES).read_text()
    (folder / NOTES).write_text((whole[: whole.index("\n") + 1] if first else "") + text)
    with pytest.raises(ArchiveError, match="damaged"):
        fates(folder, shelf.read_manifest(folder))

"""A line with other values of some columns is what the database would write of the changed row."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from aishell.archives.reader import changed_line

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=12), st.dictionaries(NAMES, NAMES, max_size=2)
)


@given(
    row=st.dictionaries(NAMES, CELLS, min_size=1, max_size=6),
    blanks=st.sampled_from([(",", ":"), (", ", ": ")]),
    drawn=st.data(),
)
def test_only_the_named_columns_are_different(
    row: dict[str, object], blanks: tuple[str, str], drawn: st.DataObject
) -> None:
    chosen = drawn.draw(st.sets(st.sampled_from(sorted(row))))
    line = json.dumps(row, ensure_ascii=False, separators=blanks)
    expected = json.dumps({**row, **dict.fromkeys(chosen)}, ensure_ascii=False, separators=blanks)
    assert changed_line(line.encode(), dict.fromkeys(chosen)) == expected.encode()


def test_a_default_is_written_as_the_column_is() -> None:
    line = b'{"id":12345678901234567890.10,"ref":7,"word":"a\\"b"}'
    assert changed_line(line, {"ref": "0", "word": "x"}) == b'{"id":12345678901234567890.10,"ref":0,"word":"x"}'
    assert changed_line(line, {"other": None}) == line

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.files import folder_name
from tests.conftest import HOSTILE_NAMES


@given(st.text(min_size=1) | st.sampled_from([*HOSTILE_NAMES, ".", "..", "a/b", ".trash-x", "x" * 5000]))
def test_any_name_is_one_folder_that_is_not_hidden(name):
    made = folder_name(name)
    assert Path(made).name == made
    assert not made.startswith(".")
    assert len(made.encode()) <= 255
    assert "/" not in made


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\nb", "postgresql://u@h:5/db", "😀" * 15, "a\\b"])
def test_a_name_is_one_component_of_a_path(tmp_path, name):
    (tmp_path / folder_name(name)).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder_name(name)]


def test_names_keep_apart():
    names = ["a", "A", "a/b", "a%2Fb", "..", ".", "x" * 5000, "x" * 5001, *HOSTILE_NAMES]
    assert len({folder_name(name) for name in names}) == len(set(names))

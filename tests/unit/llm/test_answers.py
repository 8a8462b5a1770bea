"""What a model wrote, read strictly: JSON is JSON, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import ModelAnswerError
from aishell.llm.answers import MOST_BLANK, Gathered, fitting, parsed


@given(st.text())
def test_whatever_a_model_writes_is_a_value_or_one_kind_of_error(text: str):
    try:
        parsed(text)
    except ModelAnswerError:
        return


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("NaN", "NaN is not a number of JSON"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("1e999", "1e999 is too large"),
        ("9" * 5000, "not valid JSON"),
        ('{"tool": "a", "tool": "b"}', "a key stands twice"),
        ('{"name": "\\ud800"}', "half of a surrogate pair"),
        ("[" * 50_000, "nested too deep"),
        ("[" * 50_000 + "]" * 50_000, "nested too deep"),
        ('```json\n{"a": 1}\n```', "not valid JSON"),
        ('{"a": 1} and more', "not valid JSON"),
    ],
)
def test_what_is_no_json_is_refused(text: str, words: str):
    with pytest.raises(ModelAnswerError, match=words):
        parsed(text)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"steps": [1]}, r"at \$\.steps\[0\]: 1 is not of type 'string'"),
        ({}, r"at \$: 'steps' is a required property"),
        ({"steps": [], "risk": "safe"}, "Additional properties are not allowed"),
        ({"steps": ["x" * 5000 for _ in range(9)]}, "…$"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_and_at_no_length(value: Any, words: str):
    schema = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}, "maxItems": 3}},
        "required": ["steps"],
        "additionalProperties": False,
    }
    with pytest.raises(ModelAnswerError, match=words) as raised:
        fitting(value, schema)
    assert len(raised.value.message) < 300


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=20))
def test_pieces_are_one_text_however_they_come(pieces: list[str]):
    gathered = Gathered(1000)
    for piece in pieces:
        gathered.take(piece)
    assert gathered.text == "".join(pieces)


@pytest.mark.parametrize("piece", [" ", "\n", "\t \r", "x" + " " * 50])
def test_white_space_has_an_end(piece: str):
    gathered = Gathered(100_000)
    gathered.take("{")
    for _ in range(MOST_BLANK // len(piece) // 2):
        gathered.take(piece)
    gathered.take("}")
    blank = piece.strip("x")
    for _ in range(MOST_BLANK // len(blank)):
        gathered.take(blank)
    with pytest.raises(ModelAnswerError, match="white space"):
        gathered.take(blank)


@pytest.mark.parametrize("reason", ["stop", None])
def test_a_whole_answer_is_one(reason: str | None):
    gathered = Gathered(100)
    gathered.take("done")
    assert gathered.finished(reason, None, 100) == "done"


@pytest.mark.parametrize("reason", ["length", "load", "unload", "tool_calls"])
def test_a_model_that_stopped_otherwise_gave_no_answer(reason: str):
    gathered = Gathered(100)
    gathered.take("done")
    with pytest.raises(ModelAnswerError):
        gathered.finished(reason, None, 100)

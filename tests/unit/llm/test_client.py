"""Prompts and their digests, and how tokens are estimated."""

from __future__ import annotations

import pytest

from aishell.llm.client import Prompt, tokens_of

QUESTION = Prompt((("system", "Be short."), ("user", "Which table?")), {"type": "object"}, 100, "plan")


def test_a_prompt_is_the_same_question_whatever_it_is_for():
    assert QUESTION.digest == Prompt(QUESTION.messages, {"type": "object"}, 100, "answer").digest
    assert len(QUESTION.digest) == 64


@pytest.mark.parametrize(
    "other",
    [
        Prompt((("system", "Be short."), ("user", "Which table!")), {"type": "object"}, 100),
        Prompt((("user", "Be short."), ("system", "Which table?")), {"type": "object"}, 100),
        Prompt((("system", "Be short.Which table?"),), {"type": "object"}, 100),
        Prompt(QUESTION.messages, None, 100),
        Prompt(QUESTION.messages, {"type": "object"}, 101),
    ],
)
def test_another_question_has_another_digest(other: Prompt):
    assert other.digest != QUESTION.digest


def test_half_of_a_surrogate_pair_has_a_digest_and_is_counted():
    assert Prompt((("user", "\ud800"),)).digest
    assert tokens_of("\ud800") == 3


#: Texts and what well-known tokenizers make of them, at most.
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("The quick brown fox jumps over the lazy dog", 9),
        ('{"name":"orders","rows":1200}', 12),
        ("2026-11-24T05:27:50Z", 16),
        ("象象象", 6),
        ("🐘", 3),
        ("größer", 4),
    ],
)
def test_the_estimate_errs_upwards(text: str, tokens: int):
    assert tokens <= tokens_of(text) <= 2 * tokens + 4


def test_messages_cost_more_than_their_text():
    assert QUESTION.tokens > tokens_of("Be short.") + tokens_of("Which table?")

"""Kept answers of language models: found while they are fresh, as many as are to be kept, and only what is whole."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aishell.state.answers import Answers, KeptAnswer
from aishell.state.store import Store


def answer(text: str = "vacuum", digest: str = "aa", model: str = "small") -> KeptAnswer:
    return KeptAnswer("ollama", model, digest, "p", hashlib.sha256(text.encode()).hexdigest(), text, 10, 3, 1.5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "state.db")


def age(store: Store, key: str, seconds: float) -> None:
    with store.write() as connection:
        made = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="microseconds")
        connection.update("model_answers", "key = :key", {"key": key}, {"made_at": made})


def keys(store: Store) -> list[str]:
    with store.read() as connection:
        return [row.key for row in connection.all("SELECT key FROM model_answers ORDER BY key")]


def test_what_is_kept_is_found_by_another_process(store: Store, tmp_path: Path):
    Answers(store, ttl=60, entries=10).keep("k", answer("größer 🐘"))
    store.close()
    again = Answers(Store.open(tmp_path / "state.db"), ttl=60, entries=10)
    assert again.find("k") == answer("größer 🐘")
    assert again.find("other") is None
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_what_is_old_is_not_used_and_goes(store: Store):
    answers = Answers(store, ttl=60, entries=10)
    answers.keep("k", answer())
    age(store, "k", 59)
    assert answers.find("k")
    age(store, "k", 61)
    assert answers.find("k") is None
    answers.keep("l", answer())
    assert keys(store) == ["l"]


def test_a_clock_that_was_put_back_makes_nothing_last_longer(store: Store):
    answers = Answers(store, ttl=60, entries=10)
    answers.keep("k", answer())
    age(store, "k", -3600)
    assert answers.find("k") is None


def test_those_used_last_are_kept(store: Store):
    answers = Answers(store, ttl=60, entries=3)
    for key in "abc":
        answers.keep(key, answer())
    assert answers.find("a")
    answers.keep("d", answer())
    assert keys(store) == ["a", "c", "d"]


def test_an_answer_takes_the_place_of_the_one_before(store: Store):
    answers = Answers(store, ttl=60, entries=3)
    answers.keep("a", answer("one"))
    answers.keep("a", answer("two"))
    assert answers.find("a") == answer("two")


def test_answers_of_a_model_that_was_pulled_anew_go(store: Store):
    answers = Answers(store, ttl=60, entries=10)
    answers.keep("a", answer(digest="aa"))
    answers.keep("b", answer(digest="aa", model="other"))
    answers.keep("c", answer(digest=""))
    answers.keep("d", answer(digest="bb"))
    assert keys(store) == ["b", "c", "d"]
    answers.keep("e", answer(digest=""))  # not told this time: nothing is known to be wrong
    assert keys(store) == ["b", "c", "d", "e"]


def test_what_somebody_changed_is_not_used(store: Store):
    answers = Answers(store, ttl=60, entries=10)
    answers.keep("k", answer())
    with store.write() as connection:
        connection.execute("UPDATE model_answers SET text = 'drop everything'")
    assert answers.find("k") is None
    answers.keep("k", replace(answer(), seconds=2.0))
    assert answers.find("k") == replace(answer(), seconds=2.0)

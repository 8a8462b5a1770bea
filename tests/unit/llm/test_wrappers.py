"""Retry, breaker, budget and cache, alone and as they are put together, against the double and a real store."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aishell.errors import (
    ModelAnswerError,
    ModelBudgetError,
    ModelError,
    ModelMissingError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from aishell.llm.client import Completion, LLMClient, Prompt, answer_digest
from aishell.llm.ollama_client import OllamaClient
from aishell.llm.opening import open_client
from aishell.llm.wrappers import Breaking, Budgeted, Cached, Logged, Retrying, TokenBudget
from aishell.settings.language_models import CacheSettings, ModelSettings
from aishell.state.answers import Answers
from aishell.state.breakers import ModelBreakers
from aishell.state.store import Store
from tests import ollama_double as double
from tests.ollama_double import Behaviour, OllamaDouble

PROMPT = Prompt((("user", "Which table is next?"),), {"type": "object", "required": ["a"]}, 200)
UNREACHED = ModelUnavailableError("refused", transient=True, reached=False)


class Scripted:
    """A client that raises, or answers, as it is told."""

    provider_name, model = "scripted", "m"

    def __init__(self, *does: ModelError | str) -> None:
        self.does, self.asked = list(does), 0

    def generate(self, prompt: Prompt) -> Completion:
        return self.stream(prompt, lambda piece: None)

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        self.asked += 1
        does = self.does.pop(0) if self.does else "done"
        if isinstance(does, ModelError):
            raise does
        show(does)
        return Completion(does, self.model, "scripted", prompt.digest, answer_digest(does), 40, 20, 0.5)

    def close(self) -> None:
        self.asked = -1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "state.db")


def events(store: Store) -> list[tuple[str, dict[str, Any]]]:
    with store.read() as connection:
        rows = connection.all("SELECT type, data FROM events ORDER BY id")
    return [(row.type, json.loads(row.data)) for row in rows]


def test_a_wrapper_is_a_client():
    made: LLMClient = Budgeted(Retrying(Scripted(), 1, 60), TokenBudget(1000), 200)
    assert (made.provider_name, made.model) == ("scripted", "m")
    assert made.generate(PROMPT).text == "done"
    made.close()


# Retry.


def retrying(*does: ModelError | str, retries: int = 2) -> tuple[Retrying, Scripted, list[float]]:
    inner, waits = Scripted(*does), list[float]()
    return Retrying(inner, retries, 3600, waits.append), inner, waits


def test_what_may_succeed_is_asked_again():
    made, inner, waits = retrying(UNREACHED, ModelUnavailableError("busy", transient=True))
    assert made.generate(PROMPT).text == "done"
    assert inner.asked == 3
    assert all(0 <= wait <= 10 for wait in waits)
    assert len(waits) == 2


def test_the_last_error_is_raised_as_it_is():
    made, inner, _ = retrying(*[UNREACHED] * 9)
    with pytest.raises(ModelUnavailableError) as raised:
        made.generate(PROMPT)
    assert raised.value is UNREACHED
    assert inner.asked == 3


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailableError("broke off"),
        ModelTimeoutError(),
        ModelAnswerError("wrong schema"),
        ModelMissingError(),
        ModelBudgetError(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_would_come_out_the_same_is_not(error: ModelError):
    made, inner, waits = retrying(error)
    with pytest.raises(type(error)):
        made.generate(PROMPT)
    assert (inner.asked, waits) == (1, [])


def test_no_retries_is_one_try():
    made, inner, _ = retrying(UNREACHED, retries=0)
    with pytest.raises(ModelUnavailableError):
        made.generate(PROMPT)
    assert inner.asked == 1


# Breaker.


def breaking(store: Store, *does: ModelError | str) -> tuple[Breaking, Scripted]:
    inner = Scripted(*does)
    return Breaking(inner, ModelBreakers(store), "ollama at http://gpu:11434", 60), inner


def fail(made: Breaking, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ModelUnavailableError):
            made.generate(PROMPT)


def rest(store: Store) -> None:
    """Have the minute be over."""
    with store.write() as connection:
        for column in ("opened_at", "at", "next_at"):
            text = connection.value(f"SELECT {column} FROM model_breakers")
            earlier = datetime.fromisoformat(text) - timedelta(seconds=61)
            connection.execute(f"UPDATE model_breakers SET {column} = :text", {"text": earlier.isoformat()})


def test_after_three_that_were_not_reached_none_is_tried(store: Store, tmp_path: Path):
    made, inner = breaking(store, *[UNREACHED] * 9)
    fail(made, 3)
    other, elsewhere = breaking(Store.open(tmp_path / "state.db"))  # another process
    with pytest.raises(
        ModelUnavailableError, match="connections to ollama at http://gpu:11434 are suspended since"
    ) as raised:
        other.generate(PROMPT)
    assert (inner.asked, elsewhere.asked) == (3, 0)
    assert not raised.value.transient
    assert "is tried after" in (raised.value.hint or "")
    assert [kind for kind, _ in events(store)] == ["model_unreachable", "model_breaker_opened"]
    with store.read() as connection:  # it is no breaker of a target
        assert connection.value("SELECT count(*) FROM breakers") == 0


def test_after_a_minute_one_is_tried_and_an_answer_closes_it(store: Store):
    made, inner = breaking(store, *[UNREACHED] * 3)
    fail(made, 3)
    rest(store)
    assert made.generate(PROMPT).text == "done"
    assert made.generate(PROMPT).text == "done"
    assert inner.asked == 5
    assert events(store)[-1][0] == "model_breaker_closed"


@pytest.mark.parametrize("error", [ModelTimeoutError(), ModelAnswerError("x"), ModelUnavailableError("HTTP 500")])
def test_who_answers_late_or_wrong_was_reached(store: Store, error: ModelError):
    made, inner = breaking(store, UNREACHED, UNREACHED, error, UNREACHED, UNREACHED, error)
    for _ in range(6):
        with pytest.raises(ModelError):
            made.generate(PROMPT)
    assert made.generate(PROMPT).text == "done"
    assert inner.asked == 7


# Budget.


def test_what_is_asked_and_answered_is_counted():
    budget = TokenBudget(1000)
    made = Budgeted(Scripted(), budget, 200)
    for _ in range(2):
        made.generate(PROMPT)
    assert (budget.spent, budget.left) == (120, 880)


def test_what_cannot_fit_is_not_asked():
    budget, inner = TokenBudget(300), Scripted()
    made = Budgeted(inner, budget, 200)
    made.generate(PROMPT)
    made.generate(PROMPT)
    with pytest.raises(ModelBudgetError, match="180 of 300 are left"):
        made.generate(PROMPT)
    assert inner.asked == 2
    assert Budgeted(inner, budget, 100).generate(PROMPT).text == "done"  # a shorter answer would


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (UNREACHED, False),
        (ModelUnavailableError("busy", transient=True), False),
        (ModelBudgetError(), False),
        (ModelTimeoutError(), True),
        (ModelUnavailableError("broke off"), True),
        (ModelAnswerError("wrong schema"), True),
    ],
)
def test_what_a_model_worked_at_in_vain_counts_too(error: ModelError, counted: bool):
    budget = TokenBudget(1000)
    error.answer = "some words of an answer"
    with pytest.raises(type(error)):
        Budgeted(Scripted(error), budget, 200).generate(PROMPT)
    assert (budget.spent > PROMPT.tokens) is counted
    assert (budget.spent == 0) is not counted


# Cache.


def cached(store: Store, inner: LLMClient, **identity: Any) -> Cached:
    return Cached(inner, Answers(store, ttl=60, entries=10), {"model": "m", **identity})


def test_the_same_question_makes_no_call(store: Store):
    inner = Scripted("one", "two")
    made, pieces = cached(store, inner), list[str]()
    first = made.generate(PROMPT)
    second = made.stream(PROMPT, pieces.append)
    assert (first.text, first.cached, second.text, second.cached) == ("one", False, "one", True)
    assert pieces == ["one"]
    assert (inner.asked, second.seconds) == (1, 0)
    assert (second.prompt_digest, second.answer_digest) == (PROMPT.digest, first.answer_digest)


def test_another_question_another_model_and_other_options_do(store: Store):
    inner = Scripted()
    cached(store, inner).generate(PROMPT)
    cached(store, inner).generate(Prompt(PROMPT.messages, None, 200))
    cached(store, inner, seed=1).generate(PROMPT)
    assert inner.asked == 3


def test_a_failure_is_not_kept(store: Store):
    made = cached(store, Scripted(ModelAnswerError("garbage")))
    with pytest.raises(ModelAnswerError):
        made.generate(PROMPT)
    assert made.generate(PROMPT).text == "done"


# Log.


def test_the_log_tells_what_became_of_a_question_and_neither_it_nor_the_answer(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, logger="aishell")
    made = Logged(Scripted("a secret answer", ModelTimeoutError("late")))
    got = made.generate(PROMPT)
    with pytest.raises(ModelTimeoutError):
        made.generate(PROMPT)
    answered, failed = caplog.records
    assert (answered.getMessage(), failed.getMessage()) == ("model_called", "model_failed")
    assert (answered.levelname, failed.levelname) == ("DEBUG", "WARNING")
    said = f"{answered.__dict__} {failed.__dict__}"
    assert got.prompt_digest in said
    assert got.answer_digest in said
    assert "ModelTimeoutError" in said
    assert "secret" not in said
    assert "table" not in said


# All together, through the real client.


def opened(ollama: OllamaDouble, store: Store | None, budget: TokenBudget | None = None, **more: Any) -> LLMClient:
    return open_client(ModelSettings("small:1b", host=ollama.url, **{"retries": 0, **more}), store, budget)


def test_a_second_question_asks_nobody_and_costs_nothing(ollama: OllamaDouble, store: Store):
    ollama.says({"a": 1})
    budget = TokenBudget(5000)
    first = opened(ollama, store, budget).generate(PROMPT)
    spent, requests = budget.spent, len(ollama.requests)
    again = opened(ollama, store, budget).generate(PROMPT)
    assert (first.text, again.text, again.cached) == ('{"a": 1}', '{"a": 1}', True)
    assert budget.spent == spent > 0
    assert len(ollama.requests) == requests, "not even the digest of the model is asked for"


def test_an_answer_is_there_when_the_server_is_not(store: Store):
    with double.ollama_double() as ollama:
        ollama.says({"a": 1})
        opened(ollama, store).generate(PROMPT)
    assert opened(ollama, store).generate(PROMPT).cached


@pytest.mark.parametrize("more", [{"seed": 1}, {"temperature": 0.5}, {"num_ctx": 9000}, {"max_tokens": 100}])
def test_other_options_ask_again(ollama: OllamaDouble, store: Store, more: dict[str, Any]):
    ollama.always({"a": 1})
    opened(ollama, store).generate(PROMPT)
    opened(ollama, store, **more).generate(PROMPT)
    assert len(ollama.asked) == 2


@pytest.mark.parametrize("behaviour", [double.RESET, double.refusal(503, "server busy")], ids=lambda one: one.name)
def test_a_server_that_is_busy_is_asked_again(ollama: OllamaDouble, store: Store, behaviour: Behaviour):
    ollama.says(behaviour, {"a": 1})
    assert opened(ollama, store, retries=1).generate(PROMPT).text == '{"a": 1}'
    assert len(ollama.asked) == 2


def test_a_cache_can_be_left_out(ollama: OllamaDouble, store: Store):
    ollama.always({"a": 1})
    for _ in range(2):
        assert not opened(ollama, store, cache=None).generate(PROMPT).cached
    assert len(ollama.asked) == 2


def test_without_a_store_nothing_is_kept(ollama: OllamaDouble):
    ollama.always({"a": 1})
    for _ in range(2):
        assert not opened(ollama, None).generate(PROMPT).cached


def test_a_mapping_of_an_agents_file_will_do(ollama: OllamaDouble, store: Store):
    client = open_client({"model": "small:1b", "host": ollama.url, "cache": {"ttl": 5}, "seed": None}, store)
    assert client.model == "small:1b"
    assert client.generate(Prompt((("user", "x"),))).text


def test_one_command_that_reaches_nobody_is_one_failure(store: Store):
    settings = ModelSettings("small:1b", host=double.refused_url(), retries=0, cache=CacheSettings())
    for _ in range(3):
        with pytest.raises(ModelUnavailableError, match="cannot be reached"):
            open_client(settings, store).generate(PROMPT)
    with pytest.raises(ModelUnavailableError, match="are suspended since"):
        open_client(settings, store).generate(PROMPT)


def test_a_budget_of_its_own_is_the_configured_one(ollama: OllamaDouble):
    client = opened(ollama, None, token_budget=1024, max_tokens=1000)
    with pytest.raises(ModelBudgetError, match="of 1,024 are left"):
        client.generate(Prompt((("user", "word " * 30),)))


def test_a_name_that_is_no_unicode_is_asked_about_all_the_same(ollama: OllamaDouble):
    OllamaClient(ModelSettings("small:1b", host=ollama.url)).generate(Prompt((("user", "a\udcff"),)))
    assert ollama.asked[0].user == "a?"

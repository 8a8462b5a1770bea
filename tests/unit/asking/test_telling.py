"""A model's text is shown sentence by sentence while it comes, and none with a figure of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aishell.asking.telling import WITHDRAWN, tell
from aishell.errors import ModelAnswerError
from aishell.llm.opening import open_client
from aishell.settings.language_models import ModelSettings
from tests.ollama_double import OllamaDouble

FACTS = json.dumps({"rows": 1200, "bytes": 4096, "table": "orders"})


def told(ollama: OllamaDouble, *answers: str) -> tuple[str | None, list[str]]:
    ollama.says(*answers)
    settings = ModelSettings.of({"model": "small:1b", "host": ollama.url, "retries": 0, "cache": False})
    client, shown = open_client(settings, None), list[str]()
    try:
        return tell(client, "answer", "Answer.", FACTS, lambda *_: None, shown.append)[0], shown
    except ModelAnswerError:
        return None, shown
    finally:
        client.close()


def test_sentences_are_shown_one_by_one_and_are_the_text(ollama: OllamaDouble) -> None:
    text = "The table orders has 1,200 rows. It takes 4.0 kB.\nNothing else is known"
    found, shown = told(ollama, text)
    assert found == text
    assert shown == ["The table orders has 1,200 rows.", "It takes 4.0 kB.", "Nothing else is known"]


def test_what_was_shown_of_a_refused_text_is_withdrawn_and_the_next_one_is_shown(ollama: OllamaDouble) -> None:
    found, shown = told(ollama, "Orders has 1,200 rows. It lost 77 of them. Bye.", "Orders has 1,200 rows.")
    assert found == "Orders has 1,200 rows."
    assert shown == ["Orders has 1,200 rows.", WITHDRAWN, "Orders has 1,200 rows."]


def test_three_refused_texts_leave_nothing_that_stands(ollama: OllamaDouble) -> None:
    found, shown = told(ollama, *["Fine. There are 99 of them."] * 3)
    assert found is None
    assert shown == ["Fine.", WITHDRAWN] * 3
    assert not any("99" in sentence for sentence in shown)


@pytest.mark.parametrize("broken", ["{rows} rows", "99", "Orders has 1,200 rows and 12 kB. Bye."])
def test_no_sentence_with_a_figure_of_its_own_is_ever_shown(ollama: OllamaDouble, broken: str) -> None:
    _, shown = told(ollama, broken, "There is nothing to say.")
    digits = [piece for sentence in shown for piece in sentence.split() if any(c.isdigit() for c in piece)]
    assert not digits


def test_without_anybody_to_show_it_to_no_piece_is_asked_for(ollama: OllamaDouble) -> None:
    ollama.says("There is nothing to say.")
    settings: Any = ModelSettings.of({"model": "small:1b", "host": ollama.url, "retries": 0, "cache": False})
    client = open_client(settings, None)
    assert tell(client, "answer", "Answer.", FACTS, lambda *_: None)[0] == "There is nothing to say."
    client.close()

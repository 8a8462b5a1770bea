"""The test double of Ollama, by the client that it stands in for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama as package
import pytest

from tests.ollama_double import HANG, OllamaDouble, refusal

MESSAGES = [{"role": "user", "content": "which?"}]


@pytest.fixture
def client(ollama: OllamaDouble) -> Iterator[package.Client]:
    with package.Client(ollama.url, trust_env=False, timeout=30) as client:
        yield client


def test_it_lists_shows_and_tells_its_version(ollama: OllamaDouble, client: package.Client):
    assert [one.model for one in client.list().models] == ["small:1b"]
    assert (client.show("small:1b").modelinfo or {})["llama.context_length"] == 32768
    assert client.ps().models[0].context_length == 8192
    assert httpx.get(f"{ollama.url}/api/version", trust_env=False).json() == {"version": "0.12.6"}


def test_it_chats_and_generates_whole_and_in_pieces(ollama: OllamaDouble, client: package.Client):
    ollama.says("a text of several pieces", {"a": [1]}, lambda asked: asked.user.upper(), "last")
    whole = client.chat("small:1b", MESSAGES)
    assert (whole.message.content, whole.done_reason) == ("a text of several pieces", "stop")
    pieces = list(client.chat("small:1b", MESSAGES, stream=True))
    assert "".join(part.message.content or "" for part in pieces) == '{"a": [1]}'
    assert [part.done for part in pieces].count(True) == 1
    assert client.generate("small:1b", "which?").response == "WHICH?"
    assert "".join(part.response or "" for part in client.generate("small:1b", "x", stream=True)) == "last"
    assert [one.path for one in ollama.asked] == ["/api/chat"] * 2 + ["/api/generate"] * 2


def test_without_a_script_it_says_the_least_that_fits(client: package.Client):
    schema = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}}, "why": {"enum": ["so"]}},
        "required": ["steps", "why"],
    }
    assert json.loads(client.chat("small:1b", MESSAGES, format=schema).message.content or "") == {
        "steps": [],
        "why": "so",
    }


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"model": "gone"}, 404, "model 'gone' not found"),
        ({"format": {"x": 1}}, 500, "invalid JSON schema in format"),
        ({"format": {"type": "thing"}}, 500, "invalid JSON schema in format"),
        ({"options": {"num_ctx": "8192"}}, 500, 'option "num_ctx" must be of type integer'),
        ({"think": True}, 400, "does not support thinking"),
    ],
)
def test_it_refuses_what_ollama_refuses(client: package.Client, given: dict[str, Any], status: int, words: str):
    with pytest.raises(package.ResponseError) as refused:
        client.chat(**{"model": "small:1b", "messages": MESSAGES, **given})
    assert refused.value.status_code == status
    assert words in refused.value.error


def test_wrong_types_are_refused_by_name(ollama: OllamaDouble):
    body = json.dumps({"model": "small:1b", "messages": "hello"}).encode()
    answer = httpx.post(f"{ollama.url}/api/chat", content=body, trust_env=False)
    assert answer.status_code == 400
    assert "Go struct field ChatRequest.messages" in answer.json()["error"]


def test_other_paths_can_be_told_what_to_say(ollama: OllamaDouble, client: package.Client):
    ollama.at["/api/tags"] = refusal(503, "busy")
    with pytest.raises(package.ResponseError, match="busy"):
        client.list()


def test_what_hangs_ends_with_the_double(ollama: OllamaDouble):
    ollama.says(HANG)
    with package.Client(ollama.url, trust_env=False, timeout=0.2) as impatient, pytest.raises(httpx.ReadTimeout):
        impatient.chat("small:1b", MESSAGES)

"""The client of Ollama against a double that misbehaves: each fault ends in one error of the tree, with its cause."""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any

import pytest

from aishell.errors import (
    ModelAnswerError,
    ModelBudgetError,
    ModelError,
    ModelMissingError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)
from aishell.llm.client import LLMClient, Prompt, answer_digest
from aishell.llm.ollama_client import OllamaClient
from aishell.settings.language_models import ModelSettings
from tests import ollama_double as double
from tests.certificates import Certificates
from tests.ollama_double import Behaviour, OllamaDouble

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
    "required": ["steps"],
    "additionalProperties": False,
}
PROMPT = Prompt((("system", "Plan."), ("user", "Tidy up größer tables.")), SCHEMA, 500, "plan")
ANSWER = {"steps": ["vacuum", "größer 🐘"]}


def asking(ollama: OllamaDouble, **more: Any) -> OllamaClient:
    return OllamaClient(ModelSettings("small:1b", host=ollama.url, **{"timeout": 60, **more}))


def test_it_is_a_client(ollama: OllamaDouble):
    client: LLMClient = asking(ollama)
    assert (client.provider_name, client.model) == ("ollama", "small:1b")
    client.close()


def test_a_question_is_asked_as_it_is_to_be(ollama: OllamaDouble):
    ollama.says(ANSWER)
    got = asking(ollama, num_ctx=16384, seed=7).generate(PROMPT)
    assert json.loads(got.text) == ANSWER
    assert (got.model, got.provider, got.cached) == ("small:1b", "ollama", False)
    assert (got.prompt_digest, got.answer_digest) == (PROMPT.digest, answer_digest(got.text))
    assert (got.prompt_tokens, got.answer_tokens) == (7, 5)  # as the server counted them
    assert got.model_digest == "ab" * 32
    body = ollama.asked[0].body
    assert body["format"] == SCHEMA
    assert body["options"] == {"temperature": 0, "seed": 7, "num_ctx": 16384, "num_predict": 500}
    assert (body["think"], body["stream"]) == (False, True)
    assert body["messages"] == [
        {"role": "system", "content": "Plan."},
        {"role": "user", "content": "Tidy up größer tables."},
    ]
    assert "keep_alive" not in body  # how long a model stays loaded is the server's own affair


@pytest.fixture
def secure(ollama: OllamaDouble, server_certificates: Certificates) -> int:
    """The port of a double that speaks TLS, and is `localhost` by a certificate of its CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_certificates.certificate, server_certificates.key)
    ollama.socket = context.wrap_socket(ollama.socket, server_side=True)
    ollama.says(ANSWER)
    return int(ollama.server_address[1])


def test_a_server_with_tls_is_asked_where_its_certificate_is_trusted(
    secure: int, server_certificates: Certificates, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(server_certificates.ca))
    client = OllamaClient(ModelSettings("small:1b", host=f"https://localhost:{secure}", timeout=60))
    assert json.loads(client.generate(PROMPT).text) == ANSWER


@pytest.mark.parametrize(("host", "authority"), [("127.0.0.1", "ca"), ("localhost", "other_ca")])
def test_a_server_that_is_not_who_it_says_is_told_nothing(
    ollama: OllamaDouble,
    secure: int,
    server_certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    authority: str,
):
    """A certificate of another name, or of an authority that is not trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(getattr(server_certificates, authority)))
    client = OllamaClient(ModelSettings("small:1b", host=f"https://{host}:{secure}", timeout=60))
    with pytest.raises(ModelUnavailableError, match="certificate"):
        client.generate(PROMPT)
    assert not ollama.requests


def test_free_text_is_shown_as_it_comes(ollama: OllamaDouble):
    ollama.says("Table orders was vacuumed on Sunday; 🐘 nothing else was done.")
    pieces: list[str] = []
    got = asking(ollama).stream(Prompt((("user", "What happened?"),)), pieces.append)
    assert "".join(pieces) == got.text
    assert len(pieces) > 3
    assert "format" not in ollama.asked[0].body


def test_the_smaller_limit_of_tokens_counts(ollama: OllamaDouble):
    asking(ollama, max_tokens=100).generate(PROMPT)
    assert ollama.asked[0].options["num_predict"] == 100


def test_the_digest_is_asked_once(ollama: OllamaDouble):
    client = asking(ollama)
    for _ in range(3):
        client.generate(PROMPT)
    assert [one.path for one in ollama.requests].count("/api/tags") == 1


def test_an_answer_counts_where_the_digest_is_not_told(ollama: OllamaDouble):
    ollama.at["/api/tags"] = double.HTML
    assert asking(ollama).generate(PROMPT).model_digest == ""


#: What the server does, the error, and what its message says.
FAULTS: list[tuple[Behaviour, type[ModelError], str]] = [
    (double.HTML, ModelAnswerError, "does not answer as Ollama does"),
    (double.GARBAGE, ModelAnswerError, "does not answer as Ollama does"),
    (double.NO_OBJECT, ModelAnswerError, "does not answer as Ollama does"),
    (double.ODD_ERROR, ModelAnswerError, "does not answer as Ollama does"),
    (double.NO_MESSAGE, ModelAnswerError, "does not answer as Ollama does"),
    (double.HUGE, ModelAnswerError, "longer than 16,000 characters"),
    (double.HUGE_LINE, ModelAnswerError, "larger than 1,560,576 bytes"),
    (double.BLANK, ModelAnswerError, "runs on in white space"),
    (double.TRUNCATED, ModelAnswerError, "cut off at 500 tokens"),
    (double.WRONG_SCHEMA, ModelAnswerError, "does not fit its schema"),
    (double.PROSE, ModelAnswerError, "not valid JSON"),
    (double.NOT_JSON, ModelAnswerError, "not valid JSON"),
    (double.DEEP, ModelAnswerError, "longer than"),
    (double.SURROGATE, ModelAnswerError, "not valid Unicode"),
    (double.ZIPPED, ModelAnswerError, "packed its answer"),
    (double.EMPTY, ModelAnswerError, "is empty"),
    (double.CUT, ModelAnswerError, "before the model was done"),
    (double.DROPPED, ModelUnavailableError, "broke off the connection"),
    (double.RESET, ModelUnavailableError, "broke off the connection"),
    (double.ERROR_MIDWAY, ModelUnavailableError, "CUDA error: out of memory"),
    (double.refusal(500, "llama runner process has terminated"), ModelUnavailableError, "HTTP 500.*has terminated"),
    (double.refusal(503, "server busy, please try again"), ModelUnavailableError, "HTTP 503.*server busy"),
    (double.refusal(401, "unauthorized"), ModelUnavailableError, "HTTP 401"),
    (double.refusal(404, "model 'small:1b' not found"), ModelMissingError, "does not have the model 'small:1b'"),
    (double.page(502), ModelUnavailableError, "HTTP 502.*page of HTML"),
    (double.page(404), ModelUnavailableError, "HTTP 404.*page of HTML"),
    (double.redirect("http://127.0.0.1:9/"), ModelUnavailableError, "redirects to another address"),
]


@pytest.mark.parametrize(("behaviour", "error", "words"), FAULTS, ids=lambda one: getattr(one, "name", ""))
def test_each_fault_is_one_error_with_its_cause(
    ollama: OllamaDouble, behaviour: Behaviour, error: type[ModelError], words: str
):
    ollama.says(behaviour)
    with pytest.raises(error, match=words) as raised:
        asking(ollama).generate(PROMPT)
    assert type(raised.value) is error
    assert len(ollama.asked) == 1


#: None of them ends by itself: the deadline ends them. It counts from the beginning, so one that expires soon shows as much.
@pytest.mark.parametrize(
    "behaviour", [double.HANG, double.SLOW, double.TRICKLE, double.SLOW_HEAD, double.STALL], ids=lambda one: one.name
)
def test_whatever_comes_meanwhile_the_deadline_is_of_the_whole_request(ollama: OllamaDouble, behaviour: Behaviour):
    ollama.says(behaviour)
    with pytest.raises(ModelTimeoutError, match=r"took longer than 0\.5 s"):
        asking(ollama, timeout=0.5, max_tokens=2000).generate(PROMPT)


def test_what_came_before_a_fault_is_told(ollama: OllamaDouble):
    ollama.says(double.ERROR_MIDWAY, double.PROSE)
    with pytest.raises(ModelUnavailableError) as broken:
        asking(ollama).generate(PROMPT)
    assert broken.value.answer == '{"steps": ['
    with pytest.raises(ModelAnswerError) as prose:
        asking(ollama).generate(PROMPT)
    assert prose.value.answer.startswith("Sure! Here is")


@pytest.mark.parametrize(
    ("behaviour", "transient"),
    [
        (double.RESET, True),
        (double.refusal(500, "unexpected EOF"), True),
        (double.refusal(503, "server busy"), True),
        (double.refusal(500, "invalid JSON schema in format"), False),
        (double.refusal(400, '"small:1b" does not support chat'), False),
        (double.DROPPED, False),
        (double.ERROR_MIDWAY, False),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_only_what_failed_before_a_byte_may_be_sent_again(ollama: OllamaDouble, behaviour: Behaviour, transient: bool):
    ollama.says(behaviour)
    with pytest.raises(ModelUnavailableError) as raised:
        asking(ollama).generate(PROMPT)
    assert (raised.value.transient, raised.value.reached) == (transient, True)


def test_nobody_listens():
    with pytest.raises(ModelUnavailableError, match=r"cannot be reached.*refused") as raised:
        OllamaClient(ModelSettings("small:1b", host=double.refused_url())).generate(PROMPT)
    assert (raised.value.transient, raised.value.reached) == (True, False)
    assert "ollama serve" in (raised.value.hint or "")


def test_a_host_without_an_address_is_not_reached():
    with pytest.raises(ModelUnavailableError, match="cannot be reached") as raised:
        OllamaClient(ModelSettings("small:1b", host="http://nowhere.invalid:1")).generate(PROMPT)
    assert not raised.value.reached


def test_a_missing_model_names_what_to_run(ollama: OllamaDouble):
    client = OllamaClient(ModelSettings("big:70b", host=ollama.url))
    with pytest.raises(ModelMissingError) as raised:
        client.generate(PROMPT)
    assert raised.value.hint == "run `ollama pull big:70b`"


def test_what_does_not_fit_the_context_is_not_asked(ollama: OllamaDouble):
    long = Prompt((("user", "word " * 5000),), None, 2048)
    with pytest.raises(ModelBudgetError, match="`num_ctx` is 8,192"):
        asking(ollama).generate(long)
    assert ollama.requests == []
    assert asking(ollama, num_ctx=16384).generate(long).text


def test_what_show_raises_is_nobodys_fault_and_ends_the_request(ollama: OllamaDouble):
    ollama.says(double.SLOW)

    def broken(piece: str) -> None:
        raise BrokenPipeError("the reader is gone")

    with pytest.raises(BrokenPipeError, match="the reader is gone"):
        asking(ollama).stream(PROMPT, broken)


def test_a_client_that_has_enough_leaves(ollama: OllamaDouble):
    """The server hears that nobody waits, and stops the model: it would go on for the next one's time."""
    ollama.says(double.BLANK)
    with pytest.raises(ModelAnswerError):
        asking(ollama).generate(PROMPT)
    ollama.gone.wait(30)
    assert ollama.left == 1


def test_proxies_of_the_environment_are_not_used(ollama: OllamaDouble, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, double.refused_url())
    assert asking(ollama).generate(PROMPT).text


def test_a_redirect_leads_nowhere(ollama: OllamaDouble):
    with double.ollama_double() as other:
        ollama.says(double.redirect(f"{other.url}/api/chat"))
        with pytest.raises(ModelUnavailableError, match="redirects") as raised:
            asking(ollama).generate(PROMPT)
        assert other.requests == []
    assert "host" in (raised.value.hint or "")


def test_the_environment_says_where_it_is(ollama: OllamaDouble, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OLLAMA_HOST", ollama.url.removeprefix("http://"))
    assert OllamaClient(ModelSettings("small:1b")).generate(PROMPT).text
    monkeypatch.setenv("OLLAMA_HOST", "http://me:s3cret@gpu:1")
    with pytest.raises(SettingsError, match="OLLAMA_HOST holds a user or a password") as raised:
        OllamaClient(ModelSettings("small:1b"))
    assert "s3cret" not in str(raised.value)


def test_it_tells_of_the_server(ollama: OllamaDouble):
    client = asking(ollama)
    assert client.version() == "0.12.6"
    assert [one.model for one in client.models()] == ["small:1b"]
    assert (client.shown().modelinfo or {})["llama.context_length"] == 32768


@pytest.mark.parametrize("path", ["/api/version", "/api/tags"])
@pytest.mark.parametrize(
    "behaviour", [double.HTML, double.GARBAGE, double.RESET, double.NO_OBJECT, double.page(500)], ids=lambda o: o.name
)
def test_what_it_tells_of_the_server_fails_in_the_same_tree(ollama: OllamaDouble, path: str, behaviour: Behaviour):
    ollama.at[path] = behaviour
    client = asking(ollama)
    with pytest.raises(ModelError):
        client.version() if path == "/api/version" else client.models()


def test_one_client_serves_several_threads(ollama: OllamaDouble):
    ollama.always(lambda asked: asked.user)
    client, got = asking(ollama), {}

    def ask(word: str) -> None:
        got[word] = client.generate(Prompt((("user", word),))).text

    threads = [threading.Thread(target=ask, args=(f"word {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {f"word {number}": f"word {number}" for number in range(8)}

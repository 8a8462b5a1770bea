"""Checks of a language model for `aishell doctor`: reachable, present, large context, structured output, and fast enough.

No finding is an error: without a model everything works, by rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aishell.errors import ModelAnswerError, ModelError, ModelMissingError
from aishell.llm.client import Prompt
from aishell.llm.ollama_client import Measured, OllamaClient, same_model
from aishell.models import OK, WARNING, Finding
from aishell.settings.language_models import ModelSettings

#: Endings of the names of models that Ollama runs on its maker's servers.
_ELSEWHERE = ("-cloud", ":cloud")
#: The text does not mention JSON, so only the schema can make the answer JSON.
_QUESTION = Prompt(
    (("user", "Which fruit is yellow and long? Tell it in a sentence, and why."),),
    {
        "type": "object",
        "properties": {"fruit": {"enum": ["apple", "banana", "cherry"]}, "sure": {"type": "boolean"}},
        "required": ["fruit", "sure"],
        "additionalProperties": False,
    },
    max_tokens=64,
    purpose="doctor",
)


def examine(settings: ModelSettings) -> Iterator[Finding]:
    """Yield the findings on one model, up to the first that makes others impossible. Raises SettingsError for OLLAMA_HOST."""
    client = OllamaClient(settings)
    try:
        yield Finding(OK, "ollama", f"Ollama {client.version()} at {client.url}")
    except ModelError as error:
        yield _failed("ollama", error)
        return
    try:
        here = next((one for one in client.models() if same_model(one.model, client.model)), None)
        if here is None:
            yield _failed("model", client.missing())
            return
        details = [here.details.parameter_size, here.details.quantization_level] if here.details else []
        told = ", ".join(filter(None, details))
        text = f"{client.model} is there{f' ({told})' if told else ''}"
        if client.model.endswith(_ELSEWHERE):
            remedy = "use a model that runs here, unless that is meant"
            yield Finding(
                WARNING, "model", f"{text}, and runs at ollama.com: what it is asked leaves your network", remedy
            )
        else:
            yield Finding(OK, "model", text)
        yield _context(client)
    except ModelError as error:
        yield _failed("model", error)
        return
    yield from _asked(client)


def _context(client: OllamaClient) -> Finding:
    """Compare `num_ctx` with the model's own limit, to which Ollama silently lowers it."""
    asked, holds = client.settings.num_ctx, _context_length(client.shown().modelinfo or {})
    if holds is None:
        return Finding(OK, "context", f"num_ctx {asked:,}; the server does not tell how much {client.model} holds")
    if holds < asked:
        text = f"{client.model} holds {holds:,} tokens, less than num_ctx ({asked:,}): long prompts would be cut off"
        return Finding(WARNING, "context", text, f"write num_ctx: {holds}, or use a model that holds more")
    return Finding(OK, "context", f"{client.model} holds {holds:,} tokens, num_ctx is {asked:,}")


def _context_length(told: Mapping[str, object]) -> int | None:
    """Return the value of `llama.context_length` or the like: the key begins with the model's architecture."""
    found = told.get(f"{told.get('general.architecture')}.context_length")
    return found if isinstance(found, int) else None


def _asked(client: OllamaClient) -> Iterator[Finding]:
    """Check whether the model answers in the form of the schema, and how fast."""
    try:
        measured = client.measured(_QUESTION)
    except ModelMissingError as error:
        yield _failed("model", error)
    except ModelAnswerError as error:
        text = f"{client.model} does not answer in the form that is asked for: {error.message}"
        remedy = "use another model, or another version of Ollama: some ignore `format` when thinking is off"
        yield Finding(WARNING, "structured output", text, remedy)
    except ModelError as error:
        yield _failed("structured output", error)
    else:
        yield Finding(OK, "structured output", f"{client.model} answers in the form that is asked for")
        yield _speed(client, measured)


def _speed(client: OllamaClient, measured: Measured) -> Finding:
    settings, speed = client.settings, measured.tokens_per_second
    if speed is None:
        return Finding(OK, "speed", f"an answer in {measured.completion.seconds:.1f} s; the server tells no more")
    longest = measured.load_seconds + settings.max_tokens / speed
    text = f"{speed:.1f} tokens a second, {measured.load_seconds:.1f} s to load"
    if longest > settings.timeout:
        slow = f"{text}: an answer of {settings.max_tokens:,} tokens takes {longest:.0f} s, and timeout is {settings.timeout:g} s"
        return Finding(WARNING, "speed", slow, "raise timeout, lower max_tokens, or use a smaller model")
    return Finding(OK, "speed", text)


def _failed(subject: str, error: ModelError) -> Finding:
    return Finding(WARNING, subject, f"{error.message}; plans are made by rules", error.hint)

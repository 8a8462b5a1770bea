"""A model served by Ollama, through the `ollama` package. Imported when a model is asked: the package takes a third of a second.

What was found out about the package (0.6.3) and the server is in docs/decisions/0039-language-models.md, with the reasons.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aishell.errors import (
    ModelAnswerError,
    ModelBudgetError,
    ModelError,
    ModelMissingError,
    ModelUnavailableError,
)
from aishell.llm.answers import Gathered
from aishell.llm.client import Completion, Prompt, answer_digest, tokens_of
from aishell.settings.language_models import ModelSettings

if TYPE_CHECKING:
    import ollama

    from aishell.llm.transport import Allowance, Transport

    Faults = Callable[[], AbstractContextManager[None]]

#: Bytes of a response per token: a line of JSON, with the model's name and the time.
_LINE_BYTES = 1024
#: Further bytes that any answer may take, and the unit for the bytes of lists of models.
_SPARE_BYTES = 2**20
#: Ollama's units of time per second: nanoseconds.
_NANO = 1e9
#: Most characters of a server's text that a message repeats.
_SAID = 300
#: What the package raises for lines that are not JSON, or not Ollama's: it does not check them.
_NO_OLLAMA = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
#: Beginnings of the server's errors for a wrong request, which have status 500 but would occur again.
_OUR_FAULT = ("invalid format", "invalid JSON schema", "option ")


@dataclass(frozen=True)
class Measured:
    """An answer, the seconds that loading the model took, and its tokens per second (None: not reported)."""

    completion: Completion
    load_seconds: float
    tokens_per_second: float | None


class OllamaClient:
    """A client of one model. Each request has its own connection, so several threads can use it."""

    provider_name = "ollama"

    def __init__(self, settings: ModelSettings) -> None:
        """Make a client without connecting. Raises SettingsError for an OLLAMA_HOST that is not an address."""
        self.settings, self.url = settings, settings.url
        self._digest: str | None = None

    @property
    def model(self) -> str:
        return self.settings.model

    @property
    def server(self) -> str:
        """The server's name in messages."""
        return f"Ollama at {self.url}"

    @property
    def options(self) -> dict[str, Any]:
        """The options that influence an answer, beside the prompt."""
        chosen = self.settings
        return {"temperature": chosen.temperature, "seed": chosen.seed, "num_ctx": chosen.num_ctx}

    def generate(self, prompt: Prompt) -> Completion:
        return self.stream(prompt, lambda piece: None)

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        return self._asked(prompt, show)[0]

    def measured(self, prompt: Prompt) -> Measured:
        """Return an answer with its speed as the server reports it. Raises ModelError."""
        completion, last = self._asked(prompt, lambda piece: None)
        seconds = (last.eval_duration or 0) / _NANO
        speed = completion.answer_tokens / seconds if seconds > 0 else None
        return Measured(completion, (last.load_duration or 0) / _NANO, speed)

    def _asked(self, prompt: Prompt, show: Callable[[str], None]) -> tuple[Completion, ollama.ChatResponse]:
        most = min(prompt.max_tokens, self.settings.max_tokens)
        self._fits(prompt, most)
        gathered, began = Gathered(most), time.monotonic()
        try:
            with self._opened(self.settings.timeout, _SPARE_BYTES + most * _LINE_BYTES) as (client, faults):
                last = self._gather(client, faults, prompt, most, gathered, show)
            text = gathered.finished(last.done_reason, prompt.schema, most)
        except ModelError as error:
            error.answer = gathered.text
            raise
        completion = Completion(
            text=text,
            model=self.model,
            provider=self.provider_name,
            prompt_digest=prompt.digest,
            answer_digest=answer_digest(text),
            prompt_tokens=last.prompt_eval_count or prompt.tokens,
            answer_tokens=last.eval_count or tokens_of(text),
            seconds=time.monotonic() - began,
            model_digest=self.digest(),
        )
        return completion, last

    def _gather(
        self,
        client: ollama.Client,
        faults: Faults,
        prompt: Prompt,
        most: int,
        gathered: Gathered,
        show: Callable[[str], None],
    ) -> ollama.ChatResponse:
        """Ask, gather and show each piece. Return the last part, with the counts. Raises ModelError, and what `show` raises."""
        with faults():
            pieces = client.chat(
                self.model,
                [{"role": role, "content": _sent(content)} for role, content in prompt.messages],
                stream=True,
                think=False,
                format=dict(prompt.schema) if prompt.schema is not None else None,
                options={**self.options, "num_predict": most},
            )
        with closing(cast("Generator[ollama.ChatResponse]", pieces)) as parts:
            while True:
                with faults():
                    part = next(parts, None)
                if part is None:
                    raise ModelAnswerError(f"{self.server} ended its answer before the model was done")
                if piece := part.message.content or "":
                    gathered.take(piece)
                    show(piece)
                if part.done:
                    return part

    def close(self) -> None:
        """Nothing is held open."""

    def digest(self) -> str:
        """Return the digest of the model on the server, queried once; empty if the server does not report it."""
        if self._digest is None:
            listed: list[Any] = []
            with contextlib.suppress(ModelError):  # the answer is valid without the digest
                listed = self.models()
            self._digest = next((one.digest or "" for one in listed if same_model(one.model, self.model)), "")
        return self._digest

    def models(self) -> list[ollama.ListResponse.Model]:
        """Return the models that the server has. Raises ModelError."""
        with self._looking() as (client, faults), faults():
            return list(client.list().models)

    def shown(self) -> ollama.ShowResponse:
        """Return the server's description of the model. Raises ModelError."""
        with self._looking() as (client, faults), faults():
            return client.show(self.model)

    def missing(self) -> ModelMissingError:
        """Return the error for a model that the server does not have, with the command that fetches it."""
        message = f"{self.server} does not have the model {self.model!r}"
        return ModelMissingError(message, hint=f"run `ollama pull {self.model}`")

    def version(self) -> str:
        """Return the server's version, for which the package has no call. Raises ModelError."""
        import httpx

        allowance = self._allowance(self._patience, _SPARE_BYTES)
        with (
            httpx.Client(base_url=self.url, transport=self._way(allowance), trust_env=False) as client,
            self._faults(allowance),
        ):
            return str(client.get("/api/version").raise_for_status().json()["version"])

    def _fits(self, prompt: Prompt, most: int) -> None:
        """Raise ModelBudgetError if a prompt does not fit: Ollama would silently cut off its beginning."""
        asked, held = prompt.tokens, self.settings.num_ctx
        if asked + most > held:
            raise ModelBudgetError(
                f"the prompt takes about {asked:,} tokens and its answer up to {most:,}, and `num_ctx` is {held:,}",
                hint="raise `num_ctx` of the language model's configuration, as far as the model and its memory go",
            )

    @property
    def _patience(self) -> float:
        """Timeout in seconds of requests for the version and the models."""
        return min(2 * self.settings.connect_timeout, self.settings.timeout)

    def _looking(self) -> AbstractContextManager[tuple[ollama.Client, Faults]]:
        return self._opened(self._patience, 16 * _SPARE_BYTES)

    def _allowance(self, seconds: float, most_bytes: int) -> Allowance:
        from aishell.llm.transport import Allowance

        return Allowance(self.server, seconds, min(self.settings.connect_timeout, seconds), most_bytes)

    def _way(self, allowance: Allowance) -> Transport:
        from aishell.llm.transport import Transport

        return Transport(allowance, tls=self.url.startswith("https:"))

    @contextmanager
    def _opened(self, seconds: float, most_bytes: int) -> Iterator[tuple[ollama.Client, Faults]]:
        """Open a client for one request. The second value is a context in which its errors become ModelError."""
        import ollama

        allowance = self._allowance(seconds, most_bytes)
        with ollama.Client(
            self.url,
            transport=self._way(allowance),
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        ) as client:
            yield client, lambda: self._faults(allowance)

    @contextmanager
    def _faults(self, allowance: Allowance) -> Iterator[None]:
        """Turn whatever the package, httpx and httpcore raise into a ModelError."""
        import httpcore
        import httpx
        import ollama

        try:
            yield
        except ollama.ResponseError as error:
            raise self._refusal(str(error.error), error.status_code) from error
        except httpx.HTTPStatusError as error:
            raise self._refusal("", error.response.status_code) from error
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise ModelUnavailableError(
                f"{self.server} cannot be reached: {error or 'no answer'}",
                hint="start it (`ollama serve`), or correct `host` of the language model's configuration",
                transient=True,
                reached=False,
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise ModelUnavailableError(
                f"{self.server} broke off the connection: {error or 'it was closed'}",
                hint="see the server's log; a model that does not fit into memory ends so",
                transient=not allowance.received,
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, *_NO_OLLAMA) as error:
            raise ModelAnswerError(
                f"{self.server} does not answer as Ollama does: {short(str(error).splitlines())}",
                hint="correct `host` of the language model's configuration",
            ) from error

    def _refusal(self, said: str, status: int) -> ModelError:
        """Return the error that the server reported. Status -1: in the middle of an answer."""
        said = "a page of HTML" if said.lstrip().startswith("<") else short(said.splitlines())
        if status == 404 and "not found" in said and "model" in said:
            return self.missing()
        if status == -1:
            return ModelUnavailableError(f"{self.server} broke off its answer: {said}", hint="see the server's log")
        hint = "see the server's log"
        if status in (401, 403):
            hint = "set OLLAMA_API_KEY, where a proxy asks for a key"
        elif status in (404, 405):
            hint = "correct `host` of the language model's configuration: no Ollama answers there"
        transient = (status >= 500 or status == 429) and not said.startswith(_OUR_FAULT)
        return ModelUnavailableError(
            f"{self.server} refused the request (HTTP {status}){f': {said}' if said else ''}",
            hint=hint,
            transient=transient,
        )


def _sent(text: str) -> str:
    """Return a text that UTF-8 can encode: half of a surrogate pair, from a name that is not UTF-8, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def short(lines: Sequence[str]) -> str:
    """Return the first line of a server's text, shortened for a message."""
    first = next((line.strip() for line in lines if line.strip()), "")
    return first if len(first) <= _SAID else f"{first[:_SAID]}…"


def same_model(one: str | None, other: str) -> bool:
    """Return whether two names mean the same model: `small` is `small:latest`, and case does not matter."""
    first, second = (name if ":" in name else f"{name}:latest" for name in ((one or "").casefold(), other.casefold()))
    return first == second

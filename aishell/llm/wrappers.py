"""Wrappers around a client: each is itself a client, and does one thing. `opening` puts them in order."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aishell.errors import ModelBudgetError, ModelError, ModelUnavailableError
from aishell.llm.client import Completion, LLMClient, Prompt, tokens_of
from aishell.state.answers import Answers, KeptAnswer
from aishell.state.breakers import ModelBreakers
from aishell.telemetry.logs import log_detail, log_warning

#: Most seconds before the first retry, and before any retry.
FIRST_WAIT, LONGEST_WAIT = 1.0, 10.0


class Wrapper(ABC):
    """A client around another."""

    def __init__(self, inner: LLMClient) -> None:
        self.inner = inner

    @property
    def provider_name(self) -> str:
        return self.inner.provider_name

    @property
    def model(self) -> str:
        return self.inner.model

    def generate(self, prompt: Prompt) -> Completion:
        return self.stream(prompt, lambda piece: None)

    @abstractmethod
    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion: ...

    def close(self) -> None:
        self.inner.close()


class Logged(Wrapper):
    """Logs each question and its outcome by digests: a line contains neither prompt nor answer."""

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        about: dict[str, Any] = {"provider": self.provider_name, "model": self.model}
        about |= {"purpose": prompt.purpose, "prompt": prompt.digest}
        try:
            got = self.inner.stream(prompt, show)
        except ModelError as error:
            log_warning("model_failed", **about, error=type(error).__name__)
            raise
        about |= {"answer": got.answer_digest, "prompt_tokens": got.prompt_tokens, "answer_tokens": got.answer_tokens}
        log_detail("model_called", **about, seconds=round(got.seconds, 3), cached=got.cached)
        return got


class Retrying(Wrapper):
    """Retries if nothing was received and a retry may succeed: no connection, or a server that is busy or failed at once.

    Timeouts, invalid answers and answers that broke off are not retried: they would take as long again, or fail in the same
    way. The wait before a retry is random, and its limit doubles, so that clients do not all retry at once. It gives up after
    `seconds`.
    """

    def __init__(
        self, inner: LLMClient, retries: int, seconds: float, sleep: Callable[[float], None] | None = None
    ) -> None:
        super().__init__(inner)
        self._retries, self._seconds, self._sleep = retries, seconds, sleep

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        import time

        import tenacity

        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, ModelUnavailableError) and error.transient
            ),
            stop=tenacity.stop_after_attempt(1 + self._retries) | tenacity.stop_after_delay(self._seconds),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=self._sleep or time.sleep,
            reraise=True,
        )
        return tries(self.inner.stream, prompt, show)


class Breaking(Wrapper):
    """Makes no request for a minute, in any process, to a server that three requests in a row could not reach."""

    def __init__(self, inner: LLMClient, breakers: ModelBreakers, server: str, seconds: float) -> None:
        """`server`: its name in the store; `seconds`: how long a request may take."""
        super().__init__(inner)
        self._breakers, self._server, self._limit = breakers, server, timedelta(seconds=seconds)

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        known = self._breakers.find(self._server)
        if known is not None and not self._breakers.take(self._server, self._limit):
            known = self._breakers.find(self._server) or known
            raise ModelUnavailableError(
                known.text, hint=f"one is tried after {known.tried_after}; start the server", reached=False
            )
        try:
            completion = self.inner.stream(prompt, show)
        except ModelUnavailableError as error:
            if not error.reached:
                self._breakers.failed(self._server, error.message)
            elif known is not None:
                self._breakers.close(self._server, "a connection was answered")
            raise
        except ModelError:
            if known is not None:  # a late or invalid answer shows that the server was reached
                self._breakers.close(self._server, "a connection was answered")
            raise
        if known is not None:
            self._breakers.close(self._server, "a connection was answered")
        return completion


@dataclass
class TokenBudget:
    """The most tokens that a run, or a turn of a conversation, may take in total, and those that it has taken."""

    most: int
    spent: int = 0

    @property
    def left(self) -> int:
        return max(0, self.most - self.spent)


class Budgeted(Wrapper):
    """Makes only requests that fit into a budget, by the prompt's estimated tokens and the most of its answer."""

    def __init__(self, inner: LLMClient, budget: TokenBudget, max_tokens: int) -> None:
        """`max_tokens`: the most of any answer, even if a prompt allows more."""
        super().__init__(inner)
        self.budget, self._most = budget, max_tokens

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        asked, most = prompt.tokens, min(prompt.max_tokens, self._most)
        if asked + most > self.budget.left:
            raise ModelBudgetError(
                f"the prompt takes about {asked:,} tokens and its answer up to {most:,}, "
                f"and {self.budget.left:,} of {self.budget.most:,} are left",
                hint="raise `token_budget` of the language model's configuration, or ask for less at once",
            )
        try:
            completion = self.inner.stream(prompt, show)
        except ModelUnavailableError as error:
            if error.reached and not error.transient:  # otherwise no model had begun
                self.budget.spent += asked + tokens_of(error.answer)
            raise
        except ModelBudgetError:
            raise
        except ModelError as error:
            self.budget.spent += asked + tokens_of(error.answer)
            raise
        self.budget.spent += completion.prompt_tokens + completion.answer_tokens
        return completion


class Cached(Wrapper):
    """Returns the stored answer to a prompt that was answered before, without a request.

    `identity`: what else an answer depends on: provider, server, model and options.
    """

    def __init__(self, inner: LLMClient, answers: Answers, identity: Mapping[str, Any]) -> None:
        super().__init__(inner)
        self._answers, self._identity = answers, json.dumps(identity, sort_keys=True)

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        key = hashlib.sha256(f"{self._identity}\n{prompt.digest}".encode()).hexdigest()
        kept = self._answers.find(key)
        if kept is not None:
            show(kept.text)
            return Completion(
                text=kept.text,
                model=kept.model,
                provider=kept.provider,
                prompt_digest=prompt.digest,
                answer_digest=kept.answer_digest,
                prompt_tokens=kept.prompt_tokens,
                answer_tokens=kept.answer_tokens,
                seconds=0.0,
                cached=True,
                model_digest=kept.model_digest,
            )
        completion = self.inner.stream(prompt, show)
        names = KeptAnswer.__dataclass_fields__
        self._answers.keep(key, KeptAnswer(**{name: getattr(completion, name) for name in names}))
        return completion

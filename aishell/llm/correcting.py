"""Asking a model until an answer is accepted: a rejected one is sent back with the exact error, at most twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from aishell.errors import ModelAnswerError
from aishell.llm.client import Completion, LLMClient, Prompt

T = TypeVar("T")
#: Called with each prompt and answer, and why the answer was rejected (None: it was accepted).
Heard = Callable[[Prompt, Completion, str | None], None]
#: Most answers requested: the first, and two after a rejection.
TRIES = 3
#: Most characters of a rejected answer, and of an error, that are sent back.
QUOTED = 1000


def settle(
    client: LLMClient,
    prompt: Prompt,
    accept: Callable[[str], T],
    heard: Heard,
    begin: Callable[[], Callable[[str], None]] | None = None,
) -> tuple[T, Completion]:
    """Return the first accepted answer, as the value of `accept`, which raises ModelAnswerError to reject one.

    `begin` is called before each try; the function that it returns gets the pieces of the answer as they arrive. Raises
    ModelError if there is no answer, or if three were rejected. Only rejected answers are tried again, not timeouts.
    """
    asked = prompt
    for left in range(TRIES - 1, -1, -1):
        text = ""
        try:
            completion = client.generate(asked) if begin is None else client.stream(asked, begin())
            text = completion.text
            try:
                accepted = accept(text)
            except ModelAnswerError as error:
                heard(asked, completion, error.message)
                raise
            heard(asked, completion, None)
            return accepted, completion
        except ModelAnswerError as error:
            if not left or not (text or error.answer):  # from a proxy, or bytes: asking again would change nothing
                raise
            asked = _corrected(prompt, text or error.answer, error.message)
    raise AssertionError("the last try returns or raises")


def _corrected(prompt: Prompt, answer: str, problem: str) -> Prompt:
    """Return the prompt with the last rejected answer and the reason. Earlier ones are left out, so the prompt stays short."""
    said = f"This answer was refused: {problem[:QUOTED]}\nAnswer again, in the same form."
    given = (("assistant", answer[:QUOTED]),) if answer.strip() else ()
    return replace(prompt, messages=(*prompt.messages, *given, ("user", said)))


def audited(prompt: Prompt, completion: Completion, problem: str | None, *, whole: bool = False) -> dict[str, Any]:
    """Return the data of the audit event `model_answered`: digests and lengths in tokens; the texts only if `whole`.

    `problem`: why the answer was rejected, or None.
    """
    texts = {"messages": [list(message) for message in prompt.messages], "text": completion.text}
    return {
        "purpose": prompt.purpose,
        "provider": completion.provider,
        "model": completion.model,
        "prompt": completion.prompt_digest,
        "answer": completion.answer_digest,
        "prompt_length": completion.prompt_tokens,
        "answer_length": completion.answer_tokens,
        "cached": completion.cached,
        "accepted": problem is None,
        **({} if problem is None else {"problem": problem[:QUOTED]}),
        **(texts if whole else {}),
    }


def mark(completion: Completion) -> dict[str, str]:
    """Return the mark that a plan or text by a model carries."""
    return {
        "name": completion.model,
        "provider": completion.provider,
        "prompt": completion.prompt_digest,
        "answer": completion.answer_digest,
    }

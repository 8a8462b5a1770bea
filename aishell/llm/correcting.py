"""Asking until an answer is accepted: one that is refused goes back with the exact error, twice at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from aishell.errors import ModelAnswerError
from aishell.llm.client import Completion, LLMClient, Prompt

T = TypeVar("T")
#: Hears of each answer, with its prompt, and why it was refused (None: it was accepted).
Heard = Callable[[Prompt, Completion, str | None], None]
#: Answers that are asked for: the first, and two after a refusal.
TRIES = 3
#: Characters of a refused answer that go back, and of an error.
QUOTED = 1000


def settle(
    client: LLMClient,
    prompt: Prompt,
    accept: Callable[[str], T],
    heard: Heard,
    begin: Callable[[], Callable[[str], None]] | None = None,
) -> tuple[T, Completion]:
    """What `accept` makes of the first answer that it takes; it raises ModelAnswerError for one that it does not.

    `begin` is called before each try, and what it returns gets the pieces of the answer as they come. Raises ModelError: no
    answer came, or three were refused. Faults other than an answer's are not asked again: a timeout is no error of form.
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
            if not left or not (text or error.answer):  # a page of a proxy, bytes: no model will say it otherwise
                raise
            asked = _corrected(prompt, text or error.answer, error.message)
    raise AssertionError("the last try returns or raises")


def _corrected(prompt: Prompt, answer: str, problem: str) -> Prompt:
    """The prompt again, with the answer that was refused and why. What is refused later replaces it: the prompt stays short."""
    said = f"This answer was refused: {problem[:QUOTED]}\nAnswer again, in the same form."
    given = (("assistant", answer[:QUOTED]),) if answer.strip() else ()
    return replace(prompt, messages=(*prompt.messages, *given, ("user", said)))


def audited(prompt: Prompt, completion: Completion, problem: str | None, *, whole: bool = False) -> dict[str, Any]:
    """What the audit log has of an answer, `model_answered`: digests and lengths in tokens; the texts only if `whole`.

    `problem`: why it was refused.
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
    """What a plan or a text carries of the model that it is of."""
    return {
        "name": completion.model,
        "provider": completion.provider,
        "prompt": completion.prompt_digest,
        "answer": completion.answer_digest,
    }

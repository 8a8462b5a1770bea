"""What is asked of a language model, what it answers, and what a provider's client has to offer."""

from __future__ import annotations

import hashlib
import json
import math
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

#: Roles that a message can have.
ROLES = ("system", "user", "assistant")
#: Tokens that a message's frame takes beside its text: the role, and the marks around it.
_FRAME = 8
_WORDS, _DIGITS = (string.ascii_letters + string.whitespace).encode(), string.digits.encode()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question. `messages`: (role, content), in order; the roles are those of ROLES."""

    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any] | None = None  # JSON Schema that the answer must have; None: free text
    max_tokens: int = 2048  # of the answer
    purpose: str = ""  # for logs and audit: "plan", "answer", "explain", "compress"

    @property
    def digest(self) -> str:
        """SHA-256, as hex, of messages, schema and max_tokens; what it is for makes it no other question."""
        return _digest(
            [[list(message) for message in self.messages], self.schema and dict(self.schema), self.max_tokens]
        )

    @property
    def tokens(self) -> int:
        """How many tokens its messages take, estimated (`tokens_of`)."""
        return sum(tokens_of(content) + _FRAME for _, content in self.messages)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. Tokens as the provider counted them, estimated where it did not; `cached`: no model was asked."""

    text: str
    model: str
    provider: str
    prompt_digest: str
    answer_digest: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    cached: bool = False
    model_digest: str = ""  # of the model's weights and settings; empty where the provider does not tell


class LLMClient(Protocol):
    """A language model. Every fault is a ModelError; nothing else is raised but what `show` raises itself.

    With `Prompt.schema` the text of a completion is JSON that fits it.
    """

    @property
    def provider_name(self) -> str: ...

    @property
    def model(self) -> str: ...

    def generate(self, prompt: Prompt) -> Completion:
        """The whole answer. Raises ModelError."""
        ...

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        """As `generate`; `show` gets each piece of text as it comes.

        A piece is what the model wrote, terminal escapes included: who prints it makes it printable. Raises ModelError, also
        after pieces were shown: an answer counts when it is returned.
        """
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...


def answer_digest(text: str) -> str:
    """SHA-256, as hex, of an answer's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def tokens_of(text: str) -> int:
    """How many tokens a text takes at most, roughly, without the model's own tokenizer.

    Three letters or spaces to a token, two characters of punctuation, one digit; beyond ASCII each byte of UTF-8 is one. English
    prose and names have 4 characters to a token in common vocabularies, JSON about 3, digits 1 to 3, and a byte-level vocabulary
    falls back to bytes for scripts that it does not know: the estimate errs upwards, so that a prompt that fits by it fits.
    """
    plain = text.encode("ascii", "ignore")
    others = len(text.encode("utf-8", "surrogatepass")) - len(plain)
    marks = len(plain.translate(None, _WORDS + _DIGITS))
    digits = len(plain.translate(None, _WORDS)) - marks
    words = len(plain) - marks - digits
    return math.ceil(words / 3 + marks / 2) + digits + others


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""The prompt and the answer of a language model, and the protocol of a provider's client."""

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
#: Tokens that a message takes beside its text: the role, and the marks around it.
_FRAME = 8
_WORDS, _DIGITS = (string.ascii_letters + string.whitespace).encode(), string.digits.encode()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model. `messages`: pairs of role, one of ROLES, and content, in order."""

    messages: tuple[tuple[str, str], ...]
    schema: Mapping[str, Any] | None = None  # JSON Schema that the answer must have; None: free text
    max_tokens: int = 2048  # of the answer
    purpose: str = ""  # for logs and audit: "plan", "read", "answer", "explain", "compress"

    @property
    def digest(self) -> str:
        """SHA-256, as hex, of messages, schema and max_tokens; `purpose` does not change the question."""
        return _digest(
            [[list(message) for message in self.messages], self.schema and dict(self.schema), self.max_tokens]
        )

    @property
    def tokens(self) -> int:
        """The estimated number of tokens of the messages (`tokens_of`)."""
        return sum(tokens_of(content) + _FRAME for _, content in self.messages)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. Tokens are as the provider counted them, else estimated; `cached`: no model was asked."""

    text: str
    model: str
    provider: str
    prompt_digest: str
    answer_digest: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    cached: bool = False
    model_digest: str = ""  # of the model's weights and settings; empty if the provider does not report it


class LLMClient(Protocol):
    """A language model. Methods raise only ModelError, and what `show` itself raises.

    If the prompt has a schema, the text of a completion is JSON that fits it.
    """

    @property
    def provider_name(self) -> str: ...

    @property
    def model(self) -> str: ...

    def generate(self, prompt: Prompt) -> Completion:
        """Return the whole answer. Raises ModelError."""
        ...

    def stream(self, prompt: Prompt, show: Callable[[str], None]) -> Completion:
        """Return the whole answer, as `generate` does; `show` gets each piece of text as it arrives.

        A piece is what the model wrote, including terminal escapes: `show` must make it printable. Raises ModelError, even
        after pieces were shown: only a returned answer is valid.
        """
        ...

    def close(self) -> None:
        """Close what the client holds open."""
        ...


def answer_digest(text: str) -> str:
    """Return SHA-256, as hex, of an answer's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def tokens_of(text: str) -> int:
    """Return a rough upper bound of the tokens that a text takes, without the model's own tokenizer.

    A token is three letters or spaces, two characters of punctuation, one digit, or one byte of UTF-8 beyond ASCII. In common
    vocabularies, English prose and names have 4 characters per token, JSON about 3, digits 1 to 3, and a byte-level vocabulary
    falls back to bytes for scripts that it does not know. The estimate errs upwards: a prompt that fits by it does fit.
    """
    plain = text.encode("ascii", "ignore")
    others = len(text.encode("utf-8", "surrogatepass")) - len(plain)
    marks = len(plain.translate(None, _WORDS + _DIGITS))
    digits = len(plain.translate(None, _WORDS)) - marks
    words = len(plain) - marks - digits
    return math.ceil(words / 3 + marks / 2) + digits + others


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

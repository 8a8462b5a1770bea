"""Gathering and checking the text that a model writes: pure, and the same for every provider."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from aishell.errors import ModelAnswerError

#: Most characters of white space in a row: constrained to JSON, some models write white space without end.
MOST_BLANK = 400
#: Bytes per token, more than the average of any vocabulary.
TOKEN_BYTES = 32
#: Most characters of a schema violation that an error repeats.
_SHOWN = 200


class Gathered:
    """The text so far. It cannot exceed the most that `max_tokens` tokens can hold, whatever the server counts."""

    def __init__(self, max_tokens: int) -> None:
        self._pieces: list[str] = []
        self._size = self._blank = 0
        self._most = max_tokens * TOKEN_BYTES

    @property
    def text(self) -> str:
        """The pieces so far, joined."""
        return "".join(self._pieces)

    def take(self, piece: str) -> None:
        """Add a piece. Raises ModelAnswerError if the text is too long or runs on in white space."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._most:
            raise ModelAnswerError(f"the answer is longer than {self._most:,} characters")
        stripped = piece.rstrip()
        self._blank = len(piece) - len(stripped) if stripped else self._blank + len(piece)
        if self._blank > MOST_BLANK:
            raise ModelAnswerError("the answer runs on in white space")

    def finished(self, reason: str | None, schema: Mapping[str, Any] | None, max_tokens: int) -> str:
        """Return the whole text. `reason`: why the model says it stopped. Raises ModelAnswerError if it is not a valid answer."""
        text = self.text
        if reason == "length":
            raise ModelAnswerError(
                f"the answer was cut off at {max_tokens} tokens",
                hint="raise `max_tokens` of the language model's configuration",
            )
        if reason not in ("stop", None):  # old servers give no reason
            raise ModelAnswerError(f"the model stopped for another reason than being done: {reason}")
        if not text.strip():
            raise ModelAnswerError("the answer is empty")
        try:
            text.encode()
            if schema is not None:
                fitting(parsed(text), schema)
        except UnicodeEncodeError as error:
            raise ModelAnswerError("the answer is not valid Unicode") from error
        return text


def parsed(text: str) -> Any:
    """Parse JSON strictly: no NaN, no infinity, no duplicate keys. Raises ModelAnswerError."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
        json.dumps(value, ensure_ascii=False).encode()  # an escape can be half of a surrogate pair
    except UnicodeEncodeError as error:
        raise ModelAnswerError("the answer holds half of a surrogate pair") from error
    except RecursionError as error:
        raise ModelAnswerError("the answer is nested too deep") from error
    except ValueError as error:
        raise ModelAnswerError(f"the answer is not valid JSON: {error}") from error
    return value


def fitting(value: Any, schema: Mapping[str, Any]) -> None:
    """Raise ModelAnswerError if a value does not fit a JSON Schema, with the place and the reason."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    found = best_match(Draft202012Validator(schema).iter_errors(value))
    if found is not None:
        said = found.message if len(found.message) <= _SHOWN else f"{found.message[:_SHOWN]}…"
        raise ModelAnswerError(f"the answer does not fit its schema, at {found.json_path}: {said}")


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return made

"""Check that the figures in a model's text are those of the facts that it was given. Pure.

A figure is a run of digits, or a number in words. It is known if it matches a value of the facts: exactly, rounded, as people
are shown it (`12.3 MB`, `3 min 20 s`), or as the length of a list. A figure with a unit must match a value of that kind:
`3 GB` is not known because something happened 3 times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

_NUMBER = re.compile(r"[+-]?\d[\d,_']*(?:\.\d+)?")
_WITH_UNIT = re.compile(r"([+-]?\d[\d,_']*(?:\.\d+)?)(%|[a-zA-Z]+)")
_MARKS = ".,;:!?()[]{}\"'`*_~"
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_BYTES = {"bytes": 1, "byte": 1, "b": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30,
          "gib": 1 << 30, "tb": 1 << 40, "tib": 1 << 40}  # fmt: skip
_SECONDS = {"ms": 0.001, "milliseconds": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1, "min": 60, "minute": 60,
            "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600, "day": 86400, "days": 86400, "d": 86400}  # fmt: skip
_SHARES = frozenset({"%", "percent"})
_UNITS = {*_BYTES, *_SECONDS, *_SHARES}
_WORDS = {word: number for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve "
          "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split())} | {
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
    "hundreds": 100, "thousand": 1000, "thousands": 1000, "million": 10**6, "millions": 10**6, "billion": 10**9, "dozen": 12,
    "dozens": 12, "half": 50, "twice": 2, "double": 2, "doubled": 2, "triple": 3, "tripled": 3, "quarter": 25, "third": 3,
}  # fmt: skip
_WORD = re.compile(rf"\b({'|'.join(word for word in _WORDS if word not in ('one', 'zero'))})\b", re.IGNORECASE)


class Figures:
    """The figures in facts, which are JSON values."""

    def __init__(self, facts: Any) -> None:
        self._numbers: set[float] = set()
        self._bytes: set[float] = set()
        self._seconds: set[float] = set()
        self._shares: set[float] = set()
        self._texts: set[str] = set()
        self._take(facts, "")

    def unknown(self, text: str) -> list[str]:
        """Return the figures of a text that are not in the facts, as the text has them."""
        found = [figure for figure, digits, unit in _figures(text) if not self._knows(figure, digits, unit)]
        return found + [match[0] for match in _WORD.finditer(text) if not self._has(_WORDS[match[0].lower()])]

    def _take(self, value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                self._texts |= set(_words_with_digits(str(key)))
                self._take(item, str(key).lower())
            self._numbers.add(len(value))
        elif isinstance(value, (list, tuple)):
            self._numbers.add(len(value))
            for item in value:
                self._take(item, name)
        elif isinstance(value, str):
            self._texts |= set(_words_with_digits(value))
            for _, digits, unit in _figures(value):
                if digits:
                    self._kind(unit, _number(digits))
            self._numbers |= {float(digits) for digits in _DIGITS.findall(value)}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._named(name, float(value))

    def _named(self, name: str, value: float) -> None:
        self._numbers.add(value)
        if "bytes" in name or "size" in name:
            self._bytes.add(value)
        elif "seconds" in name or "time" in name or "age" in name or "lag" in name or "duration" in name:
            self._seconds.add(value)
        elif "percent" in name or "share" in name or "score" in name:
            self._shares.add(value)
        elif "days" in name:
            self._seconds.add(value * 86400)

    def _kind(self, unit: str, value: float) -> None:
        unit = unit.lower()
        if unit in _BYTES:
            self._bytes.add(value * _BYTES[unit])
        elif unit in _SECONDS:
            self._seconds.add(value * _SECONDS[unit])
        elif unit in _SHARES:
            self._shares.add(value)

    def _knows(self, figure: str, digits: str, unit: str) -> bool:
        if not digits:  # a name, version or time has to be exactly as in the facts
            return figure in self._texts
        value, unit = abs(_number(digits)), unit.lower()
        places = len(digits.partition(".")[2])
        if unit in _BYTES:
            return _near(value, places, (one / _BYTES[unit] for one in self._bytes))
        if unit in _SECONDS:
            return _near(value, places, (part / _SECONDS[unit] for one in self._seconds for part in _parts(one)))
        if unit in _SHARES:
            return _near(value, places, self._shares)
        return self._has(value, places)

    def _has(self, value: float, places: int = 0) -> bool:
        return _near(value, places, self._numbers)


def _figures(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield each figure of a text as written, with its digits (empty for another word with digits in it) and its unit, if any."""
    words = [stripped for word in text.split() if (stripped := word.strip(_MARKS))]
    for word, after in pairwise([*words, ""]):
        if not any(c.isdigit() for c in word):
            continue
        if _NUMBER.fullmatch(word):
            unit = after if after.lower() in _UNITS else ""
            yield f"{word} {unit}".strip(), word, unit
        elif glued := _WITH_UNIT.fullmatch(word):
            known = glued[2].lower() in _UNITS
            yield word, glued[1] if known else "", glued[2] if known else ""
        else:
            yield word, "", ""


def _number(digits: str) -> float:
    return float(re.sub(r"[,_'+]", "", digits))


def _near(value: float, places: int, known: Iterator[float] | set[float]) -> bool:
    """Return whether a known value, rounded to this many places, equals the value."""
    return any(abs(abs(one) - value) <= 0.5000001 * 10**-places for one in known)


def _parts(seconds: float) -> Iterator[float]:
    """Yield a time in seconds and the parts that it is shown as: `3 min 20 s` has three minutes and twenty seconds."""
    yield seconds
    whole = round(abs(seconds))
    for size in (60, 3600, 86400):
        yield float(whole // size * size)
        yield float(whole % size)
        yield float(whole % size // 60 * 60)


def _words_with_digits(text: str) -> Iterator[str]:
    """Yield the words of a text that have digits, and their parts: a model may repeat part of a time."""
    for word in text.split():
        if any(c.isdigit() for c in word):
            yield word.strip(_MARKS)
            yield from re.findall(r"\d+[\d:.-]*\d", word)
            yield from re.findall(r"\d\d:\d\d", word)
            yield from re.findall(r"\d\d:\d\d:\d\d", word)
            yield from re.findall(r"[^\W]+", word)

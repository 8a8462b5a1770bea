"""Numbers of inputs with their units: `10MB`, `2 seconds`, `5 million rows`, `30 %`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from aishell.agents.negations import negated
from aishell.agents.patterns import Word
from aishell.agents.vocabulary import Reads
from aishell.asking.parts import Found, Part, Reading, matches
from aishell.asking.time_words import unit_of

_BYTES = {"b": 1, "byte": 1, "bytes": 1}
_BYTES |= dict.fromkeys(("k", "kb", "kib", "kilobyte", "kilobytes"), 1 << 10)
_BYTES |= dict.fromkeys(("m", "mb", "mib", "meg", "megs", "megabyte", "megabytes"), 1 << 20)
_BYTES |= dict.fromkeys(("g", "gb", "gib", "gig", "gigs", "gigabyte", "gigabytes"), 1 << 30)
_SECONDS = dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sekunde", "sekunden", "segundo", "segundos"), 1.0)
_SECONDS |= dict.fromkeys(("ms", "millisecond", "milliseconds", "millisekunden", "milisegundos"), 0.001)
_SECONDS |= dict.fromkeys(("min", "mins", "minute", "minutes", "minuten", "minuto", "minutos"), 60.0)
_ROWS = dict.fromkeys("k thousand tausend mil".split(), 1000)
_ROWS |= dict.fromkeys("m million millions millionen millon millones mio".split(), 10**6)
_GLUED = re.compile(r"(\d{1,12}(?:[.,]\d{1,3})?)-?([a-z]{1,12})")


def number(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return the first number that a pattern matches, in the unit of the input."""
    words = tuple(_split(part.words))
    for match in matches(reads.words[True], words):
        at = next((n for n in range(match.first, match.last) if words[n].number is not None), None)
        if at is None or not match.values or negated(words, match.first, match.last):
            continue
        following = words[at + 1].form if at + 1 < len(words) else ""
        value = _in_unit(float(match.values[0]), following, reads.unit)
        if value is not None:
            return value, *_unsplit(words[match.first : match.last], part.words)
    return None


def _unsplit(span: Sequence[Word], words: Sequence[Word]) -> tuple[int, int]:
    """Return the span of the original words for a span of words from `_split`."""
    shared = [n for n, word in enumerate(words) if word.start >= span[0].start and word.end <= span[-1].end]
    return (shared[0], shared[-1] + 1) if shared else (0, 0)


def _split(words: Sequence[Word]) -> Iterator[Word]:
    """Yield the words, with a number and a unit written together as two words: `10MB`."""
    for word in words:
        glued = None if word.quoted else _GLUED.fullmatch(word.form)
        if glued and (glued[2] in _BYTES or glued[2] in _SECONDS or glued[2] in _ROWS):
            yield Word(word.text, glued[1], word.start, word.end)
            yield Word(word.text, glued[2], word.start, word.end)
        else:
            yield word


def _in_unit(number: float, unit: str, wanted: str) -> int | float | None:
    """Return a number in the unit of an input; None if its own unit rules it out."""
    share = unit in ("%", "percent")
    match wanted:
        case "bytes":
            return None if share else int(number * _BYTES.get(unit, 1))
        case "seconds":
            return _whole(number * _SECONDS.get(unit, 1.0))
        case "ms":
            return _whole(number * _SECONDS.get(unit, 0.001) * 1000)
        case "rows":
            value = _whole(number * _ROWS.get(unit, 1))
            meant = not share and unit != "ms" and unit_of(unit) is None and value >= 1
            return value if meant and isinstance(value, int) else None
    return _whole(number)


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value

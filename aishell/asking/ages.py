"""Ages in a text: "older than three months", "since March", "before 2026", "seit März", "antes de junio". Pure.

An age becomes the number of days for which rows are kept; older ones are deleted. Every doubt is resolved to the longer time:
a month has 31 days where the calendar has it, and today counts as a whole day. An age with two meanings has no days.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from aishell.agents.patterns import SENTENCE_ENDS, Word
from aishell.agents.word_classes import FILLERS
from aishell.asking.cues import behind, cue
from aishell.asking.dates import Time, dated, months_before
from aishell.asking.time_words import NUMBERS, VAGUE, form_at, is_time_word, unit_of

_DAYS_IN = {"second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1, "week": 7, "fortnight": 14}
_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}
_GLUED = re.compile(r"(\d{1,6})-?([a-z]{1,12})")
#: Words between a number and the table whose age it is, in either order: `30 of app_log`, `app_log for 30`.
_OF = frozenset("of for from in on de del en para von vom aus bei fur".split())
_BETWEEN = frozenset("or to oder bis o a - – /".split())
_BEHIND = frozenset("and or but und oder aber sondern y o pero on in auf en at then days".split())


@dataclass(frozen=True, slots=True)
class Age:
    """An age or a date in a text, with the meaning that the words around it give it.

    `days`: whole days before today, rounded up; None if uncertain, for the reason in `doubt`. `meaning`: older, newer, since,
    last, in, every or bare. `dated`: it is a date, not a duration.
    """

    first: int
    last: int
    days: int | None
    meaning: str
    dated: bool = False
    doubt: str = ""


def ages(words: Sequence[Word], today: date) -> Iterator[Age]:
    """Yield the ages and dates of a text, in order."""
    at = 0
    while at < len(words):
        found = _duration(words, at, today) or dated(words, at, today)
        if found is None or found.last <= at:
            at += 1
            continue
        first, meaning = cue(words, at)
        last, after = behind(words, found.last)
        meaning = after or meaning
        if found.dated and meaning == "bare" and _is_number_only(words[at : found.last]):
            at += 1  # a number that could be a year, but nothing says so
            continue
        doubt = found.doubt
        if found.unsure_year and meaning == "older":
            doubt = "the year of a month that is still to come this year"
        yield Age(first, last, None if doubt else found.days, meaning, found.dated, doubt)
        at = last


def with_units(words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words, with a unit for numbers that share that of another age: `90 days of a but only 30 of b`.

    Without it, all tables of a request would share one age.
    """
    units = {at: unit for at in range(len(words)) if (unit := _counted_unit(words, at)) is not None}
    shared = {at: _unit_beside(words, at, units) for at in range(len(words)) if at not in units}
    return tuple(replace(word, form=word.form + (shared.get(at) or "")) for at, word in enumerate(words))


def _unit_beside(words: Sequence[Word], at: int, units: Mapping[int, str]) -> str | None:
    """Return the unit of the nearest age in the sentence of a number, preferably of one before it."""
    if not (_is_age_of_table(words, at) or _is_bound(words, at, units)):
        return None
    inside = [place for place in units if _in_one_sentence(words, place, at)]
    nearest = max((place for place in inside if place < at), default=min(inside, default=None))
    return None if nearest is None else units[nearest]


def _counted_unit(words: Sequence[Word], at: int) -> str | None:
    """Return the unit of the duration that begins at a word, if one does."""
    glued = _GLUED.fullmatch(form_at(words, at))
    if glued:
        return unit_of(glued[2])
    number, end = _number(words, at) if not words[at].quoted else (None, at)
    return None if number is None else unit_of(form_at(words, end))


def _is_age_of_table(words: Sequence[Word], at: int) -> bool:
    """Return whether a number without a unit is the age of a table: `30 of app_log`, `app_log: 30`, `app_log for 30`."""
    if not words[at].form.isdigit() or words[at].quoted:
        return False
    end = at + 1
    while form_at(words, end) in _OF or form_at(words, end) in FILLERS:
        end += 1
    if end > at + 1 and end < len(words) and words[end].names:
        return True
    following = words[at + 1] if at + 1 < len(words) else None
    ends = following is None or following.sign or following.form in _BEHIND
    start = at - 1
    while start >= max(0, at - 4) and not words[start].quoted and _leads(words[start].form):
        start -= 1
    return ends and start >= 0 and words[start].names


def _is_bound(words: Sequence[Word], at: int, ages: Collection[int]) -> bool:
    """Return whether a number is the first of two that share a unit: `30 or 90 days`, `30 to 90 days`."""
    return words[at].form.isdigit() and form_at(words, at + 1) in _BETWEEN and at + 2 in ages


def _leads(form: str) -> bool:
    return (
        form in _OF
        or form in FILLERS
        or form in (":", "=", "only", "nur", "solo", "to", "auf", "a")
        or is_time_word(form)
    )


def _in_one_sentence(words: Sequence[Word], one: int, other: int) -> bool:
    first, last = sorted((one, other))
    return not any(word.form in SENTENCE_ENDS and not word.quoted for word in words[first:last])


def _is_number_only(words: Sequence[Word]) -> bool:
    return len(words) == 1 and words[0].form.isdigit()


def _duration(words: Sequence[Word], at: int, today: date) -> Time | None:
    if words[at].quoted:
        return None
    return _glued(words[at], at, today) or _vague(words, at) or _counted(words, at, today)


def _glued(word: Word, at: int, today: date) -> Time | None:
    """Read a number and unit in one word: `90d`, `90-day`."""
    found = _GLUED.fullmatch(word.form)
    unit = unit_of(found[2]) if found else None
    return Time(at + 1, _days(float(found[1]), unit, today), False) if found and unit else None


def _vague(words: Sequence[Word], at: int) -> Time | None:
    """Read a duration of unknown length: `a few days`, `a couple of weeks`, `30-90 days`."""
    if re.fullmatch(r"\d{1,6}[-–/]\d{1,6}", words[at].form) and unit_of(form_at(words, at + 1)):
        return Time(at + 2, None, False, "which of its two numbers is meant")
    if not (words[at].form in VAGUE or (words[at].form == "a" and form_at(words, at + 1) in ("few", "couple"))):
        return None
    end = next((n for n in range(at + 1, min(at + 5, len(words))) if unit_of(words[n].form)), None)
    if end is None or not {word.form for word in words[at + 1 : end]} <= {"few", "couple", "of", "de", "the"}:
        return None
    return Time(end + 1, None, False, f"how many {words[end].form} are meant")


def _counted(words: Sequence[Word], at: int, today: date) -> Time | None:
    """Read a number and unit in separate words: `90 days`, `three full months`."""
    number, end = _number(words, at)
    if number is None:
        return None
    end += int(form_at(words, end) in ("full", "whole", "volle", "ganze", "ganzes", "calendar", "last"))
    unit = unit_of(form_at(words, end))
    return None if unit is None else Time(end + 1, _days(number, unit, today), False)


def _number(words: Sequence[Word], at: int) -> tuple[float | None, int]:
    """Return a number in digits or words and the place after it: `90`, `three`, `half a`, `two and a half`, `a hundred`."""
    word = words[at]
    if word.number is not None:
        return word.number, at + 1
    number, end = NUMBERS.get(word.form), at + 1
    if number is None:
        return None, at
    following = NUMBERS.get(form_at(words, end))
    if number >= 20 and following is not None and 1 <= following < 10 and number % 10 == 0:
        return number + following, end + 1
    if {number, following} == {1, 0.5}:
        return 0.5, end + 1
    if number == 1 and following == 100:
        return 100, end + 1
    if number < 10 and following == 100:
        return number * 100, end + 1
    if [form_at(words, end + n) for n in range(3)] in (["and", "a", "half"], ["y", "medio", ""]):
        return number + 0.5, end + 3
    return number, end


def _days(number: float, unit: str, today: date) -> int:
    """Return the days in a duration before today, by the calendar or by months of 30 days, whichever is more."""
    if unit in _DAYS_IN:
        return math.ceil(number * _DAYS_IN[unit])
    months = number * _MONTHS_IN[unit]
    whole = math.ceil(months)
    if whole > 12 * (today.year - 1):
        return 10**6  # before the calendar's first year
    return max((today - months_before(today, whole)).days, math.ceil(months * 30))

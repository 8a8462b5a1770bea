"""Dates and calendar periods in a text, by their first day: "1 June 2025", "since March", "last week", "2024". Pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from aishell.agents.patterns import Word, near
from aishell.asking.cues import cue
from aishell.asking.time_words import EDGES, MONTHS, UNITS, WEEKDAYS, form_at, unit_of

_DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?|(\d{1,2})([./])(\d{1,2})\5(\d{4})")
_PERIODS = ("week", "month", "quarter", "year")
#: Words for a period of the calendar, with how many periods before the current one they mean.
_BACK = dict.fromkeys("this current dieses diesem dieser diesen este esta".split(), 0)
_BACK |= dict.fromkeys("last previous letzte letzter letztes letzten letztem vorigen ultimo ultima".split(), 1)
#: Names of years, with how many years before the current one they mean.
_YEARS = {
    ("this", "year"): 0,
    ("dieses", "jahres"): 0,
    ("este", "ano"): 0,
    ("diesem", "jahr"): 0,
    ("last", "year"): 1,
    ("letzten", "jahres"): 1,
    ("vorigen", "jahres"): 1,
    ("ano", "pasado"): 1,
    ("letztes", "jahr"): 1,
}


@dataclass(frozen=True, slots=True)
class Time:
    """A time in a text: where it ends, and the days from its start to today. `unsure_year`: without a year, it may be to come."""

    last: int
    days: int | None
    dated: bool
    doubt: str = ""
    unsure_year: bool = False


def dated(words: Sequence[Word], at: int, today: date) -> Time | None:
    """Return the date or calendar period that begins at a word, or None."""
    if words[at].quoted:
        return None
    found = (read(words, at, today) for read in (_written, _month, _edge, _day, _period, _weekday, _year))
    return next((one for one in found if one is not None), None)


def _since(day: date, last: int, today: date, unsure_year: bool = False) -> Time:
    if day > today:
        return Time(last, None, True, "a date that is still to come")
    return Time(last, (today - day).days + 1, True, unsure_year=unsure_year)


def _written(words: Sequence[Word], at: int, today: date) -> Time | None:
    match = _DATE.fullmatch(words[at].form)
    if match is None:
        return None
    year, month, day = match[1], match[2], match[3] or "1"
    if match[4]:
        year, day, month = match[7], match[4], match[6]
        if match[5] == "/":
            if int(day) <= 12 and int(month) <= 12 and day != month:
                return Time(at + 1, None, True, "which of the numbers of a date is the month: write 2026-03-01")
            if int(month) > 12:
                day, month = month, day
    try:
        return _since(date(int(year), int(month), int(day)), at + 1, today)
    except ValueError:
        return Time(at + 1, None, True, "a date that does not exist")


def _month(words: Sequence[Word], at: int, today: date) -> Time | None:
    """Read a month or a day of one: `March`, `March 2026`, `1 June this year`, `June 1st`, `1. Juni`, `1 de junio de 2025`."""
    place, day = at, None
    if (first := _day_of_month(form_at(words, place))) is not None:
        day, place = first, place + 1
        while form_at(words, place) in (".", "of", "de", "the"):
            place += 1
    if place - at > 3:
        return None
    month = _month_named(form_at(words, place), day is not None or _introduced(words, at, "last", "in"))
    if month is None:
        return None
    place += 1
    if (
        day is None
        and (found := _day_of_month(form_at(words, place))) is not None
        and form_at(words, place + 1) not in UNITS
    ):
        day, place = found, place + 1
    year, place = _year_behind(words, place, today)
    unsure = year is None and (month, day or 1) > (today.month, today.day)
    if year is None:
        year = today.year - int(unsure)
    try:
        return _since(date(year, month, day or 1), place, today, unsure)
    except ValueError:
        return Time(place, None, True, "a date that does not exist")


def _introduced(words: Sequence[Word], at: int, *meanings: str) -> bool:
    return cue(words, at)[1] in ("older", "newer", "since", *meanings)


def _month_named(form: str, sure: bool) -> int | None:
    """Return the number of a month. Words like `may`, `mar` and `dec` are months only if `sure`."""
    if form in MONTHS:
        return MONTHS[form] if sure or (len(form) > 3 and form != "march") else None
    if sure and len(form) >= 5:
        return next((MONTHS[word] for word in MONTHS if len(word) >= 5 and near(form, word)), None)
    return None


def _day_of_month(form: str) -> int | None:
    match = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th|ro|o|\.)?", form)
    if match is None:
        return 1 if form in ("first", "ersten", "primero") else None
    return int(match[1]) if 1 <= int(match[1]) <= 31 else None


def _year_behind(words: Sequence[Word], place: int, today: date) -> tuple[int | None, int]:
    at = place
    while form_at(words, at) in (",", "of", "de", "del", "in", "the", "des"):
        at += 1
    form = form_at(words, at)
    if re.fullmatch(r"(19|20)\d\d", form):
        return int(form), at + 1
    back = _YEARS.get((form, form_at(words, at + 1)))
    return (None, place) if back is None else (today.year - back, at + 2)


def _edge(words: Sequence[Word], at: int, today: date) -> Time | None:
    """Read the start of a period: `the beginning of the year`."""
    if form_at(words, at) not in EDGES:
        return None
    place = at + 1
    while form_at(words, place) in ("of", "the", "de", "del", "des", "der", "dieses", "la"):
        place += 1
    unit = unit_of(form_at(words, place))
    return _since(_begin(unit, 0, today), place + 1, today) if unit in _PERIODS else None


def _day(words: Sequence[Word], at: int, today: date) -> Time | None:
    form = form_at(words, at)
    if form in ("yesterday", "gestern", "ayer"):
        return _since(today - timedelta(days=1), at + 1, today)
    if form in ("today", "heute", "hoy") and _introduced(words, at):
        return _since(today, at + 1, today)
    return None


def _period(words: Sequence[Word], at: int, today: date) -> Time | None:
    """Read a period of the calendar: `last week`, `this year`, `semana pasada`."""
    form, following = form_at(words, at), form_at(words, at + 1)
    back, unit = _BACK.get(form), unit_of(following)
    if unit is None and following in ("pasado", "pasada"):
        back, unit = 1, unit_of(form)
    return None if back is None or unit not in _PERIODS else _since(_begin(unit, back, today), at + 2, today)


def _weekday(words: Sequence[Word], at: int, today: date) -> Time | None:
    place = at + int(form_at(words, at) in _BACK)
    day = WEEKDAYS.get(form_at(words, place))
    if day is None or (place == at and not _introduced(words, at)):
        return None
    return _since(today - timedelta(days=(today.weekday() - day) % 7 or 7), place + 1, today)


def _begin(unit: str, back: int, today: date) -> date:
    """Return the first day of the week, month, quarter or year that is `back` periods before the current one."""
    if unit == "week":
        return today - timedelta(days=today.weekday() + 7 * back)
    if unit == "year":
        return date(today.year - back, 1, 1)
    size = 3 if unit == "quarter" else 1
    return months_before(date(today.year, (today.month - 1) // size * size + 1, 1), size * back)


def months_before(day: date, months: int) -> date:
    """Return the same day that many months earlier, or the last day of that month if it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _year(words: Sequence[Word], at: int, today: date) -> Time | None:
    form = form_at(words, at)
    if (
        not re.fullmatch(r"(19|20)\d\d", form)
        or unit_of(form_at(words, at + 1))
        or form_at(words, at + 1) in ("rows", "zeilen", "filas")
    ):
        return None
    return _since(date(int(form), 1, 1), at + 1, today)

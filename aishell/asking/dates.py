"""Ages and dates in a text: "older than three months", "since March", "before 2026", "seit März", "antes de junio". Pure.

What is read becomes a number of days to keep, on which rows are deleted. So every doubt goes to the longer time: a
month is 31
days where the calendar has it, the hours of today count as a day, and what has two meanings has none.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from aishell.agents.vocabulary import FILLERS, Word, near

_NUMBERS: Mapping[str, float] = {
    word: number
    for number, words in (
        (1, "a an one ein eine einen einem einer eines un una uno"),
        (2, "two zwei dos couple"),
        (3, "three drei tres"),
        (4, "four vier cuatro"),
        (5, "five funf fuenf cinco"),
        (6, "six sechs seis"),
        (7, "seven sieben siete"),
        (8, "eight acht ocho"),
        (9, "nine neun nueve"),
        (10, "ten zehn diez"),
        (11, "eleven elf once"),
        (12, "twelve zwolf zwoelf doce dozen"),
        (14, "fourteen vierzehn catorce"),
        (15, "fifteen funfzehn quince"),
        (18, "eighteen achtzehn dieciocho"),
        (20, "twenty zwanzig veinte"),
        (21, "twenty-one einundzwanzig veintiuno"),
        (24, "twenty-four vierundzwanzig veinticuatro"),
        (30, "thirty dreissig treinta"),
        (36, "thirty-six sechsunddreissig"),
        (40, "forty vierzig cuarenta"),
        (45, "forty-five funfundvierzig fuenfundvierzig"),
        (50, "fifty funfzig fuenfzig cincuenta"),
        (60, "sixty sechzig sesenta"),
        (80, "eighty achtzig ochenta"),
        (90, "ninety neunzig noventa"),
        (100, "hundred hundert cien"),
        (120, "hundertzwanzig"),
        (180, "hundertachtzig"),
        (365, "dreihundertfunfundsechzig"),
        (0.5, "half halbes halben halbe halber medio media"),
        (1.5, "anderthalb eineinhalb"),
    )
    for word in words.split()
}
_UNITS: Mapping[str, str] = {
    word: unit
    for unit, words in {
        "second": "second seconds sec secs sekunde sekunden segundo segundos",
        "minute": "minute minutes mins minuten minuto minutos",
        "hour": "hour hours hr hrs h stunde stunden std hora horas",
        "day": "day days d tag tage tagen tags dia dias",
        "week": "week weeks wk wks w woche wochen semana semanas",
        "fortnight": "fortnight fortnights quincena",
        "month": "month months mo mos monat monate monaten monats mes meses",
        "quarter": "quarter quarters quartal quartale quartalen trimestre trimestres",
        "year": "year years yr yrs y jahr jahre jahren jahrs jahres ano anos",
    }.items()
    for word in words.split()
}
_MONTHS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "january januar janner jaenner enero jan",
            "february februar febrero feb",
            "march marz maerz marzo mar",
            "april abril apr",
            "may mai mayo",
            "june juni junio jun",
            "july juli julio jul",
            "august agosto aug",
            "september septiembre setiembre sept sep",
            "october oktober octubre oct okt",
            "november noviembre nov",
            "december dezember diciembre dec dez",
        ),
        1,
    )
    for word in words.split()
}
_WEEKDAYS: Mapping[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "monday montag lunes",
            "tuesday dienstag martes",
            "wednesday mittwoch miercoles",
            "thursday donnerstag jueves",
            "friday freitag viernes",
            "saturday samstag sonnabend sabado",
            "sunday sonntag domingo",
        )
    )
    for word in words.split()
}
_VAGUE = frozenset(
    "few several many couple paar einige mehrere pocos pocas unos unas varios varias algunos algunas".split()
)
_DAYS_IN = {"second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1, "week": 7, "fortnight": 14}
_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}
#: What comes before a time, the longer first, and what it means. Every one is a sequence of words.
_CUES: tuple[tuple[str, str], ...] = tuple(
    sorted(
        (
            (cue, meaning)
            for meaning, cues in {
                "older": "older than|older then|old than|more than|over|beyond|exceeding|before|prior to|"
                "earlier than|greater than|above"
                "|aged|past|longer than|later than before|>|>=|up to|till|until|through|predating|preceding"
                "|alter als|aelter als|mehr als|uber|ueber|alter|vor|vor dem|vor mehr als|langer als|laenger "
                "als|seit mehr als|bis|bis zum|fruher als"
                "|mas de|mas antiguos de|mas antiguos que|mas antiguas de|mas antiguas que|mas antiguo de|"
                "mas antiguo que"
                "|mas antigua de|mas antigua que|mas viejo de|mas viejo que|mas vieja que|mas viejos de|mas "
                "viejos que|mas viejas de|mas viejas que"
                "|mayor de|mayor que|mayor a|mayores de|mayores que|mayores a|anterior a|anteriores a|antes "
                "de|previo a|previos a"
                "|hace mas de|superior a|superiores a|hasta|antes",
                "newer": "newer than|younger than|less than|more recent than|under|fresher than|no older "
                "than|not older than|<|<=|after|later than"
                "|junger als|juenger als|neuer als|weniger als|nach|nach dem|nicht alter als|nicht aelter "
                "als|hochstens"
                "|menos de|mas recientes que|mas recientes de|mas nuevos que|mas nuevas que|mas reciente que|"
                "posterior a|posteriores a|despues de",
                "since": "since|from|as of|starting|starting from|starting in|beginning|seit|ab|seit dem|ab "
                "dem|desde|a partir de|desde el",
                "last": "last|latest|newest|recent|most recent|past|previous|letzten|letzte|letzter|letztes|"
                "vergangenen|jungsten|neuesten"
                "|ultimos|ultimas|ultimo|ultima|pasados|pasadas|recientes",
                "in": "in|during|of|within|im|aus|in den|innerhalb|en|durante",
                "every": "every|each|per|jede|jeden|alle|cada|todos|todas",
            }.items()
            for cue in cues.split("|")
        ),
        key=lambda one: -len(one[0].split()),
    )
)
_CUE_WORDS: Mapping[tuple[str, ...], str] = {tuple(cue.split()): meaning for cue, meaning in reversed(_CUES)}
_LONGEST_CUE = max(map(len, _CUE_WORDS))
_DATE = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?|(\d{1,2})([./])(\d{1,2})\5(\d{4})")
_BEFORE_TIME = frozenset(
    "exactly about around roughly at least ungefahr mindestens etwa rund al menos aproximadamente the".split()
)


@dataclass(frozen=True, slots=True)
class Age:
    """A time in a text, with the word before it that says what is meant.

    `days`: whole days up to today, rounded up; None: `doubt` says what is not certain. `meaning`: older, newer, since, last,
    every or bare. `dated`: it is a date, rather than so long.
    """

    first: int
    last: int
    days: int | None
    meaning: str
    dated: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Time:
    last: int
    days: int | None
    dated: bool
    doubt: str = ""
    unsure_year: bool = False


def ages(words: Sequence[Word], today: date) -> Iterator[Age]:
    """Every age and date of a text, in its order, each with what leads to it."""
    at = 0
    while at < len(words):
        found = _duration(words, at, today) or _dated(words, at, today)
        if found is None or found.last <= at:
            at += 1
            continue
        first, meaning = _cue(words, at)
        last, after = _after(words, found.last)
        meaning = after or meaning
        if found.dated and meaning == "bare" and _is_number_only(words[at : found.last]):
            at += 1  # a figure that may be a year, where nothing says that it is one
            continue
        doubt = found.doubt
        if found.unsure_year and meaning == "older":
            doubt = "the year of a month that is still to come this year"
        yield Age(first, last, None if doubt else found.days, meaning, found.dated, doubt)
        at = last


def _is_number_only(words: Sequence[Word]) -> bool:
    return len(words) == 1 and words[0].form.isdigit()


def _cue(words: Sequence[Word], at: int) -> tuple[int, str]:
    """The words before a time that say what it means: the nearest, with articles and `at least` between."""
    end = at
    while end > 0 and (words[end - 1].form in FILLERS or words[end - 1].form in _BEFORE_TIME) and at - end < 3:
        forms = tuple(word.form for word in words[max(0, end - _LONGEST_CUE) : end])
        if any(forms[-size:] in _CUE_WORDS for size in range(1, len(forms) + 1)):
            break
        end -= 1
    for stop in (end, at):
        for size in range(_LONGEST_CUE, 0, -1):
            if stop < size:
                continue
            forms = tuple(_cue_form(word) for word in words[stop - size : stop])
            meaning = _CUE_WORDS.get(forms)
            if meaning is not None:
                return _widened(words, stop - size, meaning)
    return at, "bare"


def _cue_form(word: Word) -> str:
    """A word as the cues have it: `oldr` is `older`."""
    if word.quoted or len(word.form) < 5:
        return {"thn": "than", "tahn": "than", "then": "than"}.get(word.form, word.form)
    return next((known for known in _TYPED if word.form != known and near(word.form, known)), word.form)


_TYPED = ("older", "newer", "younger", "before", "since", "aelter", "antiguos", "anterior", "letzten", "ultimos")


def _widened(words: Sequence[Word], first: int, meaning: str) -> tuple[int, str]:
    """With what turns the meaning of a cue round: `since before`, `not older than`, `since the last`."""
    before = words[first - 1].form if first else ""
    if meaning == "older" and before in ("no", "not", "nicht", "never"):
        return first - 1, "newer"
    if meaning == "last" and before in ("than", "before", "als", "de", "que") and first >= 2:
        outer, outer_meaning = _cue(words, first)
        if outer_meaning in ("older", "newer"):
            return outer, outer_meaning
    return first, meaning


_OLD = frozenset("old alt mas older antiguedad vejez".split())


def _after(words: Sequence[Word], at: int) -> tuple[int, str]:
    """What comes behind a time: `90 days old`, `2 years ago and older`, `und älter`, `o más`."""
    forms = [word.form for word in words[at : at + 3]] + ["", "", ""]
    if forms[0] in ("ago", "zuruck", "atras"):
        at, forms = at + 1, [*forms[1:], ""]
    if forms[0] in ("old", "alt", "alte", "alten"):
        end, meaning = at + 1, "older"
        return end, meaning
    if forms[0] in ("and", "or", "und", "oder", "y", "o") and forms[1] in (
        "older",
        "alter",
        "aelter",
        "mas",
        "more",
        "mehr",
        "earlier",
    ):
        return at + 2, "older"
    if forms[:2] == ["de", "antiguedad"]:
        return at + 2, "older"
    return at, ""


def _duration(words: Sequence[Word], at: int, today: date) -> _Time | None:
    word = words[at]
    glued = re.fullmatch(r"(\d{1,6})-?([a-z]{1,12})", word.form) if not word.quoted else None
    if glued and (unit := unit_of(glued[2])):
        return _Time(at + 1, _days(float(glued[1]), unit, today), False)
    if word.quoted:
        return None
    if word.form in _VAGUE or (word.form == "a" and _form(words, at + 1) in ("few", "couple")):
        end = next((n for n in range(at + 1, min(at + 5, len(words))) if unit_of(words[n].form)), None)
        between = {words[n].form for n in range(at + 1, end or at)}
        if end is not None and between <= {"few", "couple", "of", "de", "the"}:
            return _Time(end + 1, None, False, f"how many {words[end].form} are meant")
    number, end = _number(words, at)
    if number is None:
        return None
    unit = unit_of(_form(words, end))
    if unit is None and _form(words, end) in ("full", "whole", "volle", "ganze", "ganzes", "calendar", "last"):
        end += 1
        unit = unit_of(_form(words, end))
    if unit is None:
        return None
    return _Time(end + 1, _days(number, unit, today), False)


def _number(words: Sequence[Word], at: int) -> tuple[float | None, int]:
    """A number in figures or words: `90`, `three`, `half a`, `a half`, `two and a half`, `a hundred`."""
    word = words[at]
    if word.number is not None:
        return word.number, at + 1
    number, end = _NUMBERS.get(word.form), at + 1
    if number is None:
        return None, at
    following = _NUMBERS.get(_form(words, end))
    if number >= 20 and following is not None and 1 <= following < 10 and number % 10 == 0:
        return number + following, end + 1
    if {number, following} == {1, 0.5}:
        return 0.5, end + 1
    if number == 1 and following == 100:
        return 100, end + 1
    if number < 10 and following == 100:
        return number * 100, end + 1
    if [_form(words, end + n) for n in range(3)] in (["and", "a", "half"], ["y", "medio", ""]):
        return number + 0.5, end + 3
    return number, end


def _form(words: Sequence[Word], at: int) -> str:
    return words[at].form if at < len(words) and not words[at].quoted else ""


def unit_of(form: str) -> str | None:
    """The unit of time that a word is, with a slip in it too."""
    if form in _UNITS:
        return _UNITS[form]
    if len(form) >= 5:
        return next((_UNITS[word] for word in _UNITS if len(word) >= 5 and near(form, word)), None)
    return {"dyas": "day", "dasy": "day", "dats": "day", "weks": "week", "yeras": "year"}.get(form)


def _days(number: float, unit: str, today: date) -> int:
    """The days of so long before today, by the calendar or by months of 30 days, whichever is more."""
    if unit in _DAYS_IN:
        return math.ceil(number * _DAYS_IN[unit])
    months = number * _MONTHS_IN[unit]
    whole = math.ceil(months)
    if whole > 12 * (today.year - 1):
        return 10**6  # longer than the calendar goes back
    return max((today - _months_before(today, whole)).days, math.ceil(months * 30))


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _dated(words: Sequence[Word], at: int, today: date) -> _Time | None:
    """A date or a period of the calendar, by the day on which it begins."""
    if words[at].quoted:
        return None
    for read in (_written, _month, _relative, _year):
        found = read(words, at, today)
        if found is not None:
            return found
    return None


def _since(day: date, last: int, today: date, unsure_year: bool = False) -> _Time:
    if day > today:
        return _Time(last, None, True, "a date that is still to come")
    return _Time(last, (today - day).days + 1, True, unsure_year=unsure_year)


def _written(words: Sequence[Word], at: int, today: date) -> _Time | None:
    match = _DATE.fullmatch(words[at].form)
    if match is None:
        return None
    year, month, day = match[1], match[2], match[3] or "1"
    if match[4]:
        year, day, month = match[7], match[4], match[6]
        if match[5] == "/":
            if int(day) <= 12 and int(month) <= 12 and day != month:
                return _Time(at + 1, None, True, "which of the numbers of a date is the month: write 2026-03-01")
            if int(month) > 12:
                day, month = month, day
    try:
        return _since(date(int(year), int(month), int(day)), at + 1, today)
    except ValueError:
        return _Time(at + 1, None, True, "a date that does not exist")


def _month(words: Sequence[Word], at: int, today: date) -> _Time | None:
    """`March`, `March 2026`, `1 June this year`, `June 1st`, `1. Juni`, `1 de junio de 2025`, `start of March`."""
    place, day = at, None
    if (first := _day_of_month(_form(words, place))) is not None:
        day, place = first, place + 1
        while _form(words, place) in (".", "of", "de", "the"):
            place += 1
    if place - at > 3:
        return None
    month = _month_named(_form(words, place), day is not None or _introduced(words, at))
    if month is None:
        return None
    place += 1
    if (
        day is None
        and (found := _day_of_month(_form(words, place))) is not None
        and _form(words, place + 1) not in _UNITS
    ):
        day, place = found, place + 1
    year, place = _year_behind(words, place, today)
    unsure = year is None and (month, day or 1) > (today.month, today.day)
    if year is None:
        year = today.year - int(unsure)
    try:
        return _since(date(year, month, day or 1), place, today, unsure)
    except ValueError:
        return _Time(place, None, True, "a date that does not exist")


def _introduced(words: Sequence[Word], at: int) -> bool:
    return _cue(words, at)[1] in ("older", "newer", "since", "last", "in")


def _month_named(form: str, sure: bool) -> int | None:
    """`may`, `mar`, `dec` and the like are months only where something says so."""
    if form in _MONTHS:
        return _MONTHS[form] if sure or (len(form) > 3 and form != "march") else None
    if sure and len(form) >= 5:
        return next((_MONTHS[word] for word in _MONTHS if len(word) >= 5 and near(form, word)), None)
    return None


def _day_of_month(form: str) -> int | None:
    match = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th|ro|o|\.)?", form)
    if match is None:
        return 1 if form in ("first", "ersten", "primero") else None
    return int(match[1]) if 1 <= int(match[1]) <= 31 else None


def _year_behind(words: Sequence[Word], place: int, today: date) -> tuple[int | None, int]:
    at = place
    while _form(words, at) in (",", "of", "de", "del", "in", "the", "des"):
        at += 1
    form, following = _form(words, at), _form(words, at + 1)
    if re.fullmatch(r"(19|20)\d\d", form):
        return int(form), at + 1
    if (form, following) in (("this", "year"), ("dieses", "jahres"), ("este", "ano"), ("diesem", "jahr")):
        return today.year, at + 2
    if (form, following) in (
        ("last", "year"),
        ("letzten", "jahres"),
        ("vorigen", "jahres"),
        ("ano", "pasado"),
        ("letztes", "jahr"),
    ):
        return today.year - 1, at + 2
    return None, place


_EDGES = frozenset("start beginning begin anfang beginn principio principios inicio comienzo".split())


def _relative(words: Sequence[Word], at: int, today: date) -> _Time | None:
    """`yesterday`, `last week`, `this year`, `the beginning of the year`, `Monday`."""
    place = at
    if _form(words, place) in _EDGES:
        place += 1
        while _form(words, place) in ("of", "the", "de", "del", "des", "der", "dieses", "la"):
            place += 1
        if (unit := unit_of(_form(words, place))) in ("week", "month", "year", "quarter"):
            return _since(_begin(unit, 0, today), place + 1, today)
    form, following = _form(words, at), _form(words, at + 1)
    if form in ("yesterday", "gestern", "ayer"):
        return _since(today - timedelta(days=1), at + 1, today)
    if form in ("today", "heute", "hoy") and _cue(words, at)[1] in ("older", "newer", "since"):
        return _since(today, at + 1, today)
    back = {"this": 0, "current": 0, "dieses": 0, "diesem": 0, "dieser": 0, "diesen": 0, "este": 0, "esta": 0}.get(form)
    if form in (
        "last",
        "previous",
        "letzte",
        "letzter",
        "letztes",
        "letzten",
        "letztem",
        "vorigen",
        "ultimo",
        "ultima",
    ):
        back = 1
    unit = unit_of(following)
    if back is not None and unit in ("week", "month", "year", "quarter"):
        return _since(_begin(unit, back, today), at + 2, today)
    if unit is None and unit_of(form) in ("week", "month", "year") and following in ("pasado", "pasada"):
        return _since(_begin(unit_of(form) or "", 1, today), at + 2, today)
    if back is not None and following in _WEEKDAYS:
        form, at = following, at + 1
    if form in _WEEKDAYS and (back is not None or _cue(words, at)[1] in ("older", "newer", "since")):
        behind = (today.weekday() - _WEEKDAYS[form]) % 7 or 7
        return _since(today - timedelta(days=behind), at + 1, today)
    return None


def _begin(unit: str, back: int, today: date) -> date:
    """When a week, month, quarter or year began, `back` ones before this."""
    if unit == "week":
        return today - timedelta(days=today.weekday() + 7 * back)
    if unit == "year":
        return date(today.year - back, 1, 1)
    size = 3 if unit == "quarter" else 1
    return _months_before(date(today.year, (today.month - 1) // size * size + 1, 1), size * back)


def _year(words: Sequence[Word], at: int, today: date) -> _Time | None:
    form = _form(words, at)
    if (
        not re.fullmatch(r"(19|20)\d\d", form)
        or unit_of(_form(words, at + 1))
        or _form(words, at + 1) in ("rows", "zeilen", "filas")
    ):
        return None
    return _since(date(int(form), 1, 1), at + 1, today)


_TIME_WORDS = frozenset(
    (*_UNITS, *_MONTHS, *_WEEKDAYS, *_NUMBERS, *_VAGUE, *_EDGES, *(word for cue in _CUE_WORDS for word in cue))
)


def is_time_word(form: str) -> bool:
    """Whether a word is one that times are written with."""
    return form in _TIME_WORDS

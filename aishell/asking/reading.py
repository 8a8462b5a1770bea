"""What a part of a text says of an agent's inputs, by the agent's vocabulary. Pure.

What is read is checked twice: it comes from words of the text, which are shown with it, and it passes
`Agent.check_inputs`. What
could mean two things is a doubt, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from aishell.agents.vocabulary import (
    CLASSES,
    COMMON_READS,
    FILLERS,
    Match,
    Reads,
    Vocabulary,
    Word,
    denied,
    find,
    negated,
)
from aishell.asking.dates import Age, ages, unit_of
from aishell.asking.names import Names

_BYTES = {"b": 1, "byte": 1, "bytes": 1}
_BYTES |= dict.fromkeys(("k", "kb", "kib", "kilobyte", "kilobytes"), 1 << 10)
_BYTES |= dict.fromkeys(("m", "mb", "mib", "meg", "megs", "megabyte", "megabytes"), 1 << 20)
_BYTES |= dict.fromkeys(("g", "gb", "gib", "gig", "gigs", "gigabyte", "gigabytes"), 1 << 30)
_SECONDS = dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sekunde", "sekunden", "segundo", "segundos"), 1.0)
_SECONDS |= dict.fromkeys(("ms", "millisecond", "milliseconds", "millisekunden", "milisegundos"), 0.001)
_SECONDS |= dict.fromkeys(("min", "mins", "minute", "minutes", "minuten", "minuto", "minutos"), 60.0)
_ROWS = {
    "k": 1000,
    "thousand": 1000,
    "tausend": 1000,
    "mil": 1000,
    "m": 10**6,
    "million": 10**6,
    "millions": 10**6,
    "millionen": 10**6,
}
_ROWS |= {"millon": 10**6, "millones": 10**6, "mio": 10**6}
_GLUED = re.compile(r"(\d{1,12}(?:[.,]\d{1,3})?)-?([a-z]{1,12})")
_OPERATORS = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "is": "=", "equals":
    "=", "ist": "=",
    "es": "=", "sea": "=", "gleich": "=", "igual": "=",
}  # fmt: skip
_WHERE = frozenset("where whose with having wo deren dessen mit donde cuyo cuya con when".split())
#: Names of columns end so, and those of tables seldom.
_COLUMN = re.compile(
    r".*_(?:at|on|date|time|ts|timestamp|datetime|datum|fecha)|created|updated|logged|inserted|ts|timestamp|"
    r"created_?\w*"
)
_KEEP = frozenset(word for word in CLASSES["keep"].split("|") if "_" not in word and not word.endswith("*"))
_KEEP_STEMS = tuple(word[:-1] for word in CLASSES["keep"].split("|") if word.endswith("*"))


@dataclass(slots=True)
class Reading:
    """What was read: inputs, the words each came from, places of words that count as read, and what is not certain."""

    inputs: dict[str, Any] = field(default_factory=dict)
    because: list[tuple[str, str]] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """The words of one order, with the place of each in the text."""

    words: tuple[Word, ...]
    places: tuple[int, ...]
    text: str
    names: Names
    today: date

    def said(self, first: int, last: int) -> str:
        """The words of the text from one to another, as they are written."""
        inside = [word for word in self.words[first:last] if word.end]
        return self.text[inside[0].start : inside[-1].end] if inside else ""


def read(vocabulary: Vocabulary, part: Part) -> Reading:
    """Every input that the part says something of."""
    reading = Reading()
    every = {**COMMON_READS, **vocabulary.inputs}
    for name, reads in sorted(every.items(), key=lambda one: _ORDER.index(one[1].kind)):
        found = _READERS[reads.kind](reads, part, reading, name)
        if found is None:
            continue
        value, first, last = found
        reading.inputs[name] = value
        reading.because.append((part.said(first, last), f"{name} = {_shown(value)}"))
        reading.read |= {part.places[place] for place in range(first, last)}
        reading.inputs |= {other: implied for other, implied in reads.implies.items() if other not in reading.inputs}
    return reading


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, Mapping):
        operator = value.get("operator")
        return (
            f"{value['column']} {operator} {value['value']}"
            if operator
            else ", ".join(f"{k}={v}" for k, v in value.items())
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


_Found = tuple[Any, int, int] | None


def _matches(patterns: Sequence[str], words: Sequence[Word]) -> Iterator[Match]:
    for pattern in patterns:
        yield from find(pattern, words)


def _choice(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """The value with most words; of two that do not overlap the later one in the schema, which does more."""
    found = [
        (match.last - match.first, number, value, match)
        for number, (value, patterns) in enumerate(reads.words.items())
        for match in _matches(patterns, part.words)
        if not negated(part.words, match.first, match.last) or name == "binlog"
    ]
    if not found:
        return None
    _, _, value, match = max(found, key=lambda one: (one[0] > 1, one[1], one[0]))
    return value, match.first, match.last


def _flag(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    for match in _matches(reads.words.get(False, ()), part.words):
        if _ends_before(part.words, match):
            continue
        if not {part.places[place] for place in range(match.first, match.last)} & reading.read:
            return False, match.first, match.last
    matches = list(_matches(reads.words.get(True, ()), part.words))
    turned = denied if reads.removes else negated
    said = [(not any(turned(part.words, *span) for span in match.parts), match) for match in matches]
    if not said:
        return None
    value = all(yes for yes, _ in said)
    match = next(match for yes, match in said if yes == value)
    return value, match.first, match.last


def _ends_before(words: Sequence[Word], match: Match) -> bool:
    """Whether a match goes over the end of the negation that it begins with: `don't execute: rebuild the indexes`."""
    inside = words[match.first : match.last]
    return negated(words, match.first + 1, match.first + 1) and any(
        word.form in (":", ",") and not word.quoted for word in inside
    )


def _tables(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    return _named(part, reading, excluded=False)


def _exclude(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """What is left alone; not said of tables that nobody asked for in the first place."""
    from fnmatch import fnmatchcase

    found = _named(part, reading, excluded=True)
    chosen = reading.inputs.get("tables")
    if found is None or not chosen:
        return found
    inside = [one for one in found[0] if any(fnmatchcase(one.casefold(), other.casefold()) for other in chosen)]
    if set(inside) & set(chosen):
        reading.doubts.append(f"whether {inside[0]} is meant, or left out")
    return (inside, found[1], found[2]) if inside else None


def _named(part: Part, reading: Reading, *, excluded: bool) -> _Found:
    where = {place: at for at, place in enumerate(part.places)}
    found = [
        (name, where[place])
        for place, name in part.names.tables.items()
        if place in where and (place in part.names.excluded) == excluded
    ]
    if not found:
        return None
    for name, _ in found:
        if (doubt := part.names.doubts.get(name)) is not None:
            reading.doubts.append(doubt)
    reading.read |= {part.places[at] for _, at in found}
    first, last = min(at for _, at in found), max(at for _, at in found) + 1
    return list(dict.fromkeys(name for name, _ in found)), first, last if last - first < 12 else first + 1


def _age(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """How long rows are kept. What would delete the newest rows is a doubt, and so are two ages."""
    found: dict[int, Age] = {}
    for age in ages(part.words, part.today):
        if age.meaning == "every" or any(
            unit_of(word.form) in ("second", "minute") for word in part.words[age.first : age.last]
        ):
            continue
        reading.read |= {part.places[place] for place in range(age.first, age.last)}
        if age.doubt:
            reading.doubts.append(f"{part.said(age.first, age.last)!r} leaves open {age.doubt}")
            continue
        kept = _is_kept(part.words, age)
        if (
            (age.meaning == "older" and not _is_negated_keep(part.words, age))
            or (age.meaning == "bare" and (kept or not age.dated))
            or (age.meaning in ("last", "since", "newer", "in") and kept)
        ):
            found.setdefault(int(age.days or 0), age)
        elif age.meaning == "in" and not age.dated:
            continue
        else:
            said = part.said(age.first, age.last)
            reading.doubts.append(
                f"{said!r} would delete newer rows and keep older ones, and only rows older than an age can be deleted"
            )
    if len(found) > 1:
        reading.doubts.append(
            "which age is meant: " + " or ".join(part.said(age.first, age.last) for age in found.values())
        )
    if not found:
        return None
    days, age = max(found.items())
    if days < 1:
        reading.doubts.append("rows have to be kept for 1 day at least")
        return None
    if days > 36_525:
        reading.doubts.append("rows can be kept for 36,525 days at most")
        return None
    return days, age.first, age.last


def _is_keep(word: Word) -> bool:
    return not word.quoted and (word.form in _KEEP or (word.form.startswith(_KEEP_STEMS)))


_REACH = 7
_BUT = frozenset("except but excepting besides ausser excepto menos salvo".split())
_STOPS = frozenset(".;!?\n")


def _is_kept(words: Sequence[Word], age: Age) -> bool:
    """Whether the rows of an age are those to keep: by a verb near it, or as what a deletion excepts."""
    before = words[max(0, age.first - _REACH) : age.first]
    for place in range(len(before) - 1, -1, -1):
        word = before[place]
        if word.form in _STOPS:
            break
        if _is_keep(word) or word.form in _BUT or [one.form for one in before[place : place + 2]] == ["down", "to"]:
            return not any(
                one.form in ("don't", "dont", "not", "nicht", "no") for one in before[max(0, place - 2) : place]
            )
    for word in words[age.last : age.last + 6]:
        if word.form in _STOPS or word.form in (",", "and", "und", "y", "but", "aber"):
            break
        if _is_keep(word) or word.form in ("stay", "stays", "remain", "remains"):
            return True
    return False


def _is_negated_keep(words: Sequence[Word], age: Age) -> bool:
    """`keep only what is older`: the rows before the age are those to keep."""
    before = words[max(0, age.first - _REACH) : age.first]
    forms = [word.form for word in before]
    for place in range(len(before) - 1, -1, -1):
        if before[place].form in _STOPS or before[place].form in (",", "and", "und", "y", "but"):
            return False
        if _is_keep(before[place]):
            nothing = {"not", "don't", "dont", "nothing", "no", "nichts", "nicht", "nada", "needed", "longer"}
            return not nothing & set(forms[max(0, place - 3) : place + 3])
    return False


def _number(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    words = tuple(_split(part.words))
    for match in _matches(reads.words[True], words):
        if not match.values or negated(words, match.first, match.last):
            continue
        at = next((n for n in range(match.first, match.last) if words[n].number is not None), None)
        if at is None:
            continue
        following = words[at + 1].form if at + 1 < len(words) else ""
        value = _in_unit(float(match.values[0]), following, reads.unit)
        if value is None:
            continue
        shared = [
            n
            for n, word in enumerate(part.words)
            if word.start >= words[match.first].start and word.end <= words[match.last - 1].end
        ]
        return value, shared[0] if shared else 0, (shared[-1] + 1) if shared else 0
    return None


def _split(words: Sequence[Word]) -> Iterator[Word]:
    """Numbers apart from the units that they are written together with: `10MB`."""
    for word in words:
        glued = None if word.quoted else _GLUED.fullmatch(word.form)
        if glued and (glued[2] in _BYTES or glued[2] in _SECONDS or glued[2] in _ROWS):
            yield Word(word.text, glued[1], word.start, word.end)
            yield Word(word.text, glued[2], word.start, word.end)
        else:
            yield word


def _in_unit(number: float, unit: str, wanted: str) -> int | float | None:
    """A number of an input, with the unit behind it; None for one that cannot be meant."""
    match wanted:
        case "bytes":
            return int(number * _BYTES[unit]) if unit in _BYTES else None if unit in ("%", "percent") else int(number)
        case "seconds":
            value = number * _SECONDS.get(unit, 1.0)
            return int(value) if value == int(value) else value
        case "ms":
            value = number * _SECONDS.get(unit, 0.001) * 1000
            return int(value) if value == int(value) else value
        case "rows":
            value = number * _ROWS.get(unit, 1)
            if unit_of(unit) is not None or unit in ("%", "percent", "ms"):
                return None
            return int(value) if value == int(value) and value >= 1 else None
    return int(number) if number == int(number) else number


def _name(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """A name that the text gives: a folder, a column, a backup."""
    found: dict[str, Match] = {}
    for number, pattern in enumerate(reads.words[True]):
        for match in find(pattern, part.words):
            if negated(part.words, match.first, match.first + 1) or not match.values:
                continue
            word = next((one for one in match.values if isinstance(one, Word)), None)
            if word is None or not _plausible(word, reads.unit, number == 0, part):
                continue
            found.setdefault(word.text.strip("\"'`“”„«»") if word.quoted else word.text, match)
        if found and reads.unit != "column":
            break
    if not found:
        return None
    if len(found) > 1:
        reading.doubts.append(f"which {name.replace('_', ' ')} is meant: {', '.join(found)}")
    value, match = next(iter(found.items()))
    return value, match.first, match.last


def _plausible(word: Word, unit: str, sure: bool, part: Part) -> bool:
    if not word.quoted and (word.form in FILLERS or word.form in ("folder", "column", "it", "them", "is", "in")):
        return False
    if any(part.words[at] is word and part.places[at] in part.names.tables for at in range(len(part.words))):
        return False
    if unit == "digits":
        return any(letter.isdigit() for letter in word.form) and len(word.form) >= 6
    if unit == "column":
        return word.quoted or _COLUMN.fullmatch(word.form) is not None or (sure and "_" in word.form)
    return word.quoted or re.fullmatch(r"[\w][\w./-]*", word.form) is not None


def _filters(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """Conditions on columns: `level=debug`, `where level is debug`."""
    found: list[dict[str, Any]] = []
    spans: list[tuple[int, int]] = []
    words, at = part.words, 1
    while at < len(words) - 1:
        sign = words[at].form
        end = at + 1
        if sign in ("<", ">", "!", "=") and words[end].form in ("=", ">"):
            sign, end = sign + words[end].form, end + 1
        operator = _OPERATORS.get(sign)
        spelled = sign.isalpha()
        if operator is None or end >= len(words) or words[at].quoted or words[at - 1].sign:
            at += 1
            continue
        introduced = at >= 2 and words[at - 2].form in _WHERE
        column, value = words[at - 1], words[end]
        while spelled and value.form in ("equal", "to", "gleich", "igual", "a") and end + 1 < len(words):
            end, value = end + 1, words[end + 1]
        behind = words[end + 1].form if end + 1 < len(words) else ""
        if (
            (spelled and not introduced)
            or value.sign
            or not re.fullmatch(r"[a-z_]\w*", column.form)
            or _is_unit(behind, value)
        ):
            at += 1
            continue
        if column.form in ("retention", "count", "daily", "weekly", "days", "threshold", "column", "folder"):
            at += 1
            continue
        found.append({"column": column.text.strip("\"'`"), "operator": operator, "value": _value(value)})
        spans.append((at - 1, end + 1))
        at = end + 1
    for first, last in spans:
        reading.read |= {part.places[place] for place in range(first, last)}
    return (found, spans[0][0], spans[-1][1]) if found else None


def _is_unit(form: str, value: Word) -> bool:
    return value.number is not None and form in (
        "day days tag tage tagen dia dias week weeks woche wochen semanas month months monat monate meses "
        "year years jahre jahr anos".split()
    )


def _value(word: Word) -> Any:
    if not word.quoted and re.fullmatch(r"-?\d{1,15}", word.form):
        return int(word.form)
    if not word.quoted and word.form in ("true", "false"):
        return word.form == "true"
    return word.text[1:-1] if word.quoted and word.text[:1] in "\"'`“„«" else word.text


def _rules(reads: Reads, part: Part, reading: Reading, name: str) -> _Found:
    """A mapping of numbers: `keep the last 7`, `7 daily and 4 weekly`. A length of time is the rule `days`."""
    found: dict[str, Any] = {}
    spans: list[tuple[int, int]] = []
    for age in ages(part.words, part.today):
        if not age.dated and not age.doubt and age.days and _is_kept(part.words, age):
            found["days"] = age.days
            spans.append((age.first, age.last))
    for key, patterns in reads.words.items():
        for match in _matches(patterns, part.words):
            if any(first < match.last and match.first < last for first, last in spans) or key in found:
                continue
            value = match.values[0]
            if (
                key == "count"
                and match.last < len(part.words)
                and part.words[match.last].form in ("daily", "weekly", "monthly", "yearly", "tagliche", "days")
            ):
                continue
            found[key] = int(value)
            spans.append((match.first, match.last))
    if not found:
        return None
    return found, min(first for first, _ in spans), max(last for _, last in spans)


#: What is read first: figures and names, so that no flag is found in the words that belong to them.
_ORDER = ("tables", "exclude", "age", "number", "filters", "name", "rules", "choice", "flag")
_READERS = {
    "choice": _choice,
    "flag": _flag,
    "tables": _tables,
    "exclude": _exclude,
    "age": _age,
    "number": _number,
    "name": _name,
    "filters": _filters,
    "rules": _rules,
}

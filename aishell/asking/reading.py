"""The inputs that a part of a text gives an agent, by the agent's vocabulary. Pure.

Each value is checked twice: it comes from words of the text, which are shown with it, and it passes `Agent.check_inputs`.
Ambiguous words are a doubt, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from aishell.agents.negations import denied, negated
from aishell.agents.patterns import Match, Word, find
from aishell.agents.vocabulary import COMMON_READS, Reads, Vocabulary
from aishell.agents.word_classes import FILLERS
from aishell.asking.conditions import filters
from aishell.asking.keeping import age, rules
from aishell.asking.parts import Found, Part, Reading, matches
from aishell.asking.quantities import number

#: Endings of columns' names, which tables seldom have.
_COLUMN = re.compile(
    r".*_(?:at|on|date|time|ts|timestamp|datetime|datum|fecha)|created|updated|logged|inserted|ts|timestamp|"
    r"created_?\w*"
)


def read(vocabulary: Vocabulary, part: Part) -> Reading:
    """Return the inputs that the part gives."""
    reading = Reading()
    every = {**COMMON_READS, **vocabulary.inputs}
    for name, reads in sorted(every.items(), key=lambda one: _ORDER.index(one[1].kind)):
        found = _READERS[reads.kind](reads, part, reading, name)
        if found is None:
            continue
        value, first, last = found
        reading.inputs[name] = value
        reading.because.append((part.said(first, last), f"{name} = {_shown(value)}"))
        reading.read |= part.places_of(first, last)
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


def _choice(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return the value that a part names: matches of several words first, then the value last in the schema, which does most."""
    found = [
        (match.last - match.first, number, value, match)
        for number, (value, patterns) in enumerate(reads.words.items())
        for match in matches(patterns, part.words)
        if not negated(part.words, match.first, match.last) or name == "binlog"
    ]
    if not found:
        return None
    _, _, value, match = max(found, key=lambda one: (one[0] > 1, one[1], one[0]))
    for _, _, other, same in found:
        if other == value:
            reading.read |= part.places_of(same.first, same.last)
    return value, match.first, match.last


def _flag(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    for match in matches(reads.words.get(False, ()), part.words):
        if _ends_before(part.words, match):
            continue
        if not part.places_of(match.first, match.last) & reading.read:
            return False, match.first, match.last
    turned = denied if reads.removes else negated
    said = [
        (not any(turned(part.words, *span) for span in match.parts), match)
        for match in matches(reads.words.get(True, ()), part.words)
    ]
    if not said:
        return None
    value = all(yes for yes, _ in said)
    match = next(match for yes, match in said if yes == value)
    return value, match.first, match.last


def _ends_before(words: Sequence[Word], match: Match) -> bool:
    """Return whether a match extends past the end of the negation that it begins with: `don't execute: rebuild the indexes`."""
    inside = words[match.first : match.last]
    return negated(words, match.first + 1, match.first + 1) and any(
        word.form in (":", ",") and not word.quoted for word in inside
    )


def _tables(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    return _named(part, reading, excluded=False)


def _exclude(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return excluded tables; if tables are chosen, only those among them."""
    found = _named(part, reading, excluded=True)
    chosen = reading.inputs.get("tables")
    if found is None or not chosen:
        return found
    inside = [one for one in found[0] if any(fnmatchcase(one.casefold(), other.casefold()) for other in chosen)]
    if set(inside) & set(chosen):
        reading.doubts.append(f"whether {inside[0]} is meant, or left out")
    return (inside, found[1], found[2]) if inside else None


def _named(part: Part, reading: Reading, *, excluded: bool) -> Found:
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


def _name(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return a name that the text gives: a folder, a column, a backup."""
    found: dict[str, Match] = {}
    for nth, pattern in enumerate(reads.words[True]):
        for word, match in _words_named(pattern, part.words):
            if _plausible(word, reads.unit, nth == 0, part):
                found.setdefault(word.text.strip("\"'`“”„«»") if word.quoted else word.text, match)
        if found and reads.unit != "column":
            break
    if not found:
        return None
    if len(found) > 1:
        reading.doubts.append(f"which {name.replace('_', ' ')} is meant: {', '.join(found)}")
    value, match = next(iter(found.items()))
    return value, match.first, match.last


def _words_named(pattern: str, words: Sequence[Word]) -> Iterator[tuple[Word, Match]]:
    for match in find(pattern, words):
        word = next((one for one in match.values if isinstance(one, Word)), None)
        if word is not None and not negated(words, match.first, match.first + 1):
            yield word, match


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


#: The order of reading: numbers and names first, so that no flag is found in their words.
_ORDER = ("tables", "exclude", "age", "number", "filters", "name", "rules", "choice", "flag")
_READERS = {
    "choice": _choice,
    "flag": _flag,
    "tables": _tables,
    "exclude": _exclude,
    "age": age,
    "number": number,
    "name": _name,
    "filters": filters,
    "rules": rules,
}

"""How long rows or backups are kept, according to a part of a text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aishell.agents.patterns import SENTENCE_ENDS, Match, Word
from aishell.agents.vocabulary import Reads
from aishell.agents.word_classes import CLASSES
from aishell.asking.ages import Age, ages
from aishell.asking.parts import Found, Part, Reading, matches
from aishell.asking.time_words import unit_of

_KEEP = frozenset(word for word in CLASSES["keep"].split("|") if "_" not in word and not word.endswith("*"))
_KEEP_STEMS = tuple(word[:-1] for word in CLASSES["keep"].split("|") if word.endswith("*"))
#: How many words before an age a verb of keeping may be.
_REACH = 7
_BUT = frozenset("except but excepting besides ausser excepto menos salvo".split())
_NOTHING = frozenset("not don't dont nothing no nichts nicht nada needed longer".split())
_MOST_DAYS = 36_525
#: Words after a number that make it a rule other than `count`.
_OTHER_RULES = frozenset("daily weekly monthly yearly tagliche days".split())


def age(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return the days for which rows are kept. An age that would delete the newest rows is a doubt, and so are two ages."""
    found: dict[int, Age] = {}
    for one in ages(part.words, part.today):
        if one.meaning == "every" or _is_short(part.words[one.first : one.last]):
            continue
        reading.read |= part.places_of(one.first, one.last)
        doubt = _doubt(one, part)
        if doubt is None:
            found.setdefault(int(one.days or 0), one)
        elif doubt:
            reading.doubts.append(doubt)
    if len(found) > 1:
        told = " or ".join(part.said(one.first, one.last) for one in found.values())
        reading.doubts.append(f"which age is meant: {told}")
    if not found:
        return None
    days, longest = max(found.items())
    if 1 <= days <= _MOST_DAYS:
        return days, longest.first, longest.last
    reading.doubts.append(f"rows can be kept for 1 to {_MOST_DAYS:,} days")
    return None


def _doubt(age: Age, part: Part) -> str | None:
    """Return why an age does not say which rows to delete: None if it does, empty if it is not about them."""
    said = part.said(age.first, age.last)
    if age.doubt:
        return f"{said!r} leaves open {age.doubt}"
    if _is_cutoff(part.words, age):
        return None
    if age.meaning == "in" and not age.dated:
        return ""
    return f"{said!r} would delete newer rows and keep older ones, and only rows older than an age can be deleted"


def _is_short(words: Sequence[Word]) -> bool:
    return any(unit_of(word.form) in ("second", "minute") for word in words)


def _is_cutoff(words: Sequence[Word], age: Age) -> bool:
    """Return whether the rows older than an age are those to delete."""
    match age.meaning:
        case "older":
            return not _is_negated_keep(words, age)
        case "bare":
            return not age.dated or is_kept(words, age)
    return age.meaning in ("last", "since", "newer", "in") and is_kept(words, age)


def _is_keep(word: Word) -> bool:
    return not word.quoted and (word.form in _KEEP or (word.form.startswith(_KEEP_STEMS)))


def is_kept(words: Sequence[Word], age: Age) -> bool:
    """Return whether an age says which rows to keep: by a verb near it, or as the exception of a deletion."""
    before = words[max(0, age.first - _REACH) : age.first]
    for place in range(len(before) - 1, -1, -1):
        word = before[place]
        if word.form in SENTENCE_ENDS:
            break
        if _is_keep(word) or word.form in _BUT or [one.form for one in before[place : place + 2]] == ["down", "to"]:
            return not any(
                one.form in ("don't", "dont", "not", "nicht", "no") for one in before[max(0, place - 2) : place]
            )
    for word in words[age.last : age.last + 6]:
        if word.form in SENTENCE_ENDS or word.form in (",", "and", "und", "y", "but", "aber"):
            break
        if _is_keep(word) or word.form in ("stay", "stays", "remain", "remains"):
            return True
    return False


def _is_negated_keep(words: Sequence[Word], age: Age) -> bool:
    """Return whether the rows older than the age are those to keep: `keep only what is older`."""
    before = words[max(0, age.first - _REACH) : age.first]
    forms = [word.form for word in before]
    for place in range(len(before) - 1, -1, -1):
        if before[place].form in SENTENCE_ENDS or before[place].form in (",", "and", "und", "y", "but"):
            return False
        if _is_keep(before[place]):
            return not _NOTHING & set(forms[max(0, place - 3) : place + 3])
    return False


def rules(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return retention rules, a mapping of numbers: `keep the last 7`, `7 daily and 4 weekly`. A duration is the rule `days`."""
    kept = _kept_for(part)
    found: dict[str, Any] = {"days": kept[-1].days} if kept else {}
    spans = [(age.first, age.last) for age in kept]
    for key, patterns in reads.words.items():
        told = matches(patterns if key not in found else (), part.words)
        match = next((one for one in told if _is_rule(key, one, part.words, spans)), None)
        if match is not None:
            found[key] = int(match.values[0])
            spans.append((match.first, match.last))
    if not found:
        return None
    return found, min(spans)[0], max(last for _, last in spans)


def _kept_for(part: Part) -> list[Age]:
    """Return the durations for which something is kept."""
    return [one for one in ages(part.words, part.today) if not one.dated and one.days and is_kept(part.words, one)]


def _is_rule(key: str, match: Match, words: Sequence[Word], taken: Sequence[tuple[int, int]]) -> bool:
    """Return whether a number belongs to a rule, and not to one that was already read or that the next word names."""
    if any(first < match.last and match.first < last for first, last in taken):
        return False
    return key != "count" or match.last >= len(words) or words[match.last].form not in _OTHER_RULES

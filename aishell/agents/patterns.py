"""Patterns of words, and their matches in a text. Pure.

A pattern is a sequence of terms: `word`, `word|other`, `prefix*`, `*suffix`, `two_words` for an alternative of two words, `~`
for a quoted name (routing quotes the names of tables), `#` for a number, `@` for any word, `..` for up to five words that do
not matter. Articles between terms need not be written. `a + b` is two patterns in any order, as word order differs between
languages. `{name}` stands for the words of `CLASSES`. Text and patterns are compared without case and accents, and words of
five letters or more may contain a typo.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aishell.agents.word_classes import CLASSES, COMMON, FILLERS

#: Characters of a text that are read; a request is a few sentences.
LONGEST = 2000
#: A quoted name, a number with thousands separators, a decimal, a word or name, or one other sign. No two alternatives share a
#: beginning of unbounded length, so that matching takes linear time.
_TOKEN = re.compile(
    r"""["“„«][^"“”„«»\n]{1,128}["”“»]|`[^`\n]{1,128}`|(?<!\w)'[^'\n]{1,128}'(?!\w)
    |\d{1,3}(?:[.,]\d{3})+(?![\w.,]*\d)|\d+[.,]\d{1,2}(?![\w]|[.,/-]\d)
    |[\w*$](?:[\w*$]|[./@’'-](?=[\w*]))*|\n|[^\s\w]""",
    re.VERBOSE,
)
_QUOTES = "\"“”„«»`'"
#: What ends a sentence.
SENTENCE_ENDS = frozenset(".;!?\n")


@dataclass(frozen=True, slots=True)
class Word:
    """A word, number, quoted name or sign of a text. `form`: the text that is compared; `quoted`: it is a name only."""

    text: str
    form: str
    start: int
    end: int
    quoted: bool = False

    @property
    def sign(self) -> bool:
        return not self.quoted and not (self.form[:1].isalnum() or self.form[:1] in "*$_")

    @property
    def names(self) -> bool:
        """Whether it is the name of a table; that of a target is quoted and has no form."""
        return self.quoted and bool(self.form)

    @property
    def number(self) -> float | None:
        """The value of a number with English or German separators; None for other words."""
        if self.quoted or not self.form[:1].isdigit():
            return None
        if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", self.form):
            return float(re.sub(r"[.,]", "", self.form))
        return float(self.form.replace(",", ".")) if re.fullmatch(r"\d{1,15}(?:[.,]\d{1,2})?", self.form) else None


def folded(text: str) -> str:
    """Return a text without case and accents."""
    kept = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return "".join(letter for letter in kept if not unicodedata.combining(letter))


def words_of(text: str) -> tuple[Word, ...]:
    """Return the words of a text, in order."""
    found = []
    for match in _TOKEN.finditer(text):
        raw = match[0]
        quoted = len(raw) > 2 and raw[0] in _QUOTES
        form = raw[1:-1] if quoted else folded(raw)
        found.append(Word(raw, form, match.start(), match.end(), quoted))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Match:
    """A match of a pattern: words `first` to `last` (exclusive), and the values of `#` and `@`."""

    first: int
    last: int
    values: tuple[Any, ...] = ()
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Term:
    kind: str  # words | number | name | any | gap
    words: tuple[tuple[str, ...], ...] = ()
    optional: bool = False


@lru_cache(maxsize=4096)
def _terms(pattern: str) -> tuple[_Term, ...]:
    for name, words in CLASSES.items():
        pattern = pattern.replace("{" + name + "}", words)
    found = []
    for text in pattern.split():
        optional = text.startswith("(") and text.endswith(")")
        word = text.strip("()") if optional else text
        kind = {"#": "number", "@": "any", "~": "name", "..": "gap"}.get(word, "words")
        several = tuple(tuple(folded(one).split("_")) for one in word.split("|")) if kind == "words" else ()
        found.append(_Term(kind, several, optional))
    return tuple(found)


def literals(patterns: Iterable[str]) -> frozenset[str]:
    """Return every word in patterns; prefixes with their `*`."""
    return frozenset(
        word
        for pattern in patterns
        for part in pattern.split(" + ")
        for term in _terms(part.strip())
        for several in term.words
        for word in several
    )


def find(pattern: str, words: Sequence[Word]) -> Iterator[Match]:
    """Yield the matches of a pattern in a text, not overlapping. `a + b` matches once, if all its parts do."""
    parts = [_terms(part.strip()) for part in pattern.split(" + ")]
    if len(parts) == 1:
        yield from _all(parts[0], words)
        return
    found = [next(_all(part, words), None) for part in parts]
    if all(found):
        several = [one for one in found if one]
        spans = tuple((one.first, one.last) for one in several)
        yield Match(
            min(one.first for one in several),
            max(one.last for one in several),
            tuple(value for one in several for value in one.values),
            spans,
        )


def _all(terms: Sequence[_Term], words: Sequence[Word]) -> Iterator[Match]:
    at = 0
    while at < len(words):
        match = _at(terms, words, at, ())
        if match is None or match[0] == at:
            at += 1
            continue
        yield Match(at, match[0], match[1], ((at, match[0]),))
        at = match[0]


def _at(
    terms: Sequence[_Term], words: Sequence[Word], at: int, values: tuple[Any, ...], begun: bool = False
) -> tuple[int, tuple[Any, ...]] | None:
    """Return the end of the terms if they match from a word on, with the values of `#`, `@` and `~`; else None."""
    if not terms:
        return at, values
    for end, taken, going in _ways(terms[0], words, at, begun):
        match = _at(terms[1:], words, end, values + taken, going)
        if match is not None:
            return match
    return None


def _ways(term: _Term, words: Sequence[Word], at: int, begun: bool) -> Iterator[tuple[int, tuple[Any, ...], bool]]:
    """Yield every end of a term that matches from a word on, its values, and whether the pattern has begun by then."""
    if term.kind == "gap":
        for place in range(at, min(at + 6, len(words))):
            if words[place].form in SENTENCE_ENDS:
                return
            yield place, (), True
        return
    for place in range(at, min(at + 4, len(words))):
        taken = _taken(term, words, place)
        if taken is not None:
            yield *taken, True
        if not begun or words[place].form not in FILLERS:
            break
    if term.optional:
        yield at, (), begun


def _taken(term: _Term, words: Sequence[Word], at: int) -> tuple[int, tuple[Any, ...]] | None:
    word = words[at]
    match term.kind:
        case "name":
            return (at + 1, (word.form,)) if word.names else None
        case "any":
            return (at + 1, (word,)) if not word.sign else None
        case "number":
            return (at + 1, (word.number,)) if word.number is not None else None
    ends = (_spelled(several, words, at) for several in term.words)
    end = next((end for end in ends if end is not None), None)
    return None if end is None else (end, ())


def _spelled(several: tuple[str, ...], words: Sequence[Word], at: int) -> int | None:
    """Return the end of an alternative if its words match from a word on, with articles between them; else None."""
    if several == ("~",):
        return at + 1 if words[at].names else None
    if len(several) > 1 and words[at].form == "_".join(several):
        return at + 1
    end = at
    for one in several:
        while at < end < len(words) and words[end].form in ("the", "de", "-") and words[end].form != one:
            end += 1
        if end >= len(words) or not fits(words[end], one):
            return None
        end += 1
    return end


def fits(word: Word, literal: str) -> bool:
    """Return whether a word of a text matches a word of a pattern, with typos allowed."""
    return not word.quoted and _fits(word.form, literal)


@lru_cache(maxsize=65536)
def _fits(form: str, literal: str) -> bool:
    if literal.startswith("*"):
        return form.endswith(literal[1:])
    if literal.endswith("*"):
        stem = literal[:-1]
        if form.startswith(stem):
            return True
        if len(stem) < 5 or form in COMMON:
            return False
        return any(near(form[:size], stem) for size in (len(stem) - 1, len(stem), len(stem) + 1) if size <= len(form))
    return form == literal or (form not in COMMON and near(form, literal))


def near(form: str, literal: str) -> bool:
    """Return whether a word is another with a typo: a letter doubled, missing, added or wrong, or two letters swapped.

    Eight letters or more allow two typos, five or more one, four only a doubled letter. Words with digits must be exact.
    """
    if literal[:1] not in (form[:1], form[1:2]) or abs(len(form) - len(literal)) > 2:
        return False
    if len(literal) > 3 and _squeezed(form) == _squeezed(literal):
        return True
    allowed = 2 if len(literal) >= 8 else 1 if len(literal) >= 5 else 0
    if not allowed or abs(len(form) - len(literal)) > allowed or len(form) < 5:
        return False
    if any(letter.isdigit() for letter in form) or {form[0], form[1]} & {literal[0]} == set():
        return False
    return _distance(form, literal, allowed) <= allowed


def _squeezed(form: str) -> str:
    return re.sub(r"(.)\1+", r"\1", form)


def _distance(one: str, other: str, most: int) -> int:
    """Return the optimal string alignment distance (Damerau-Levenshtein without moving a letter twice). Above `most`, it is
    not exact."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, second in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != second))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == second:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]

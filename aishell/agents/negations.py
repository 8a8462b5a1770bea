"""Negations in a text, and how far they reach. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aishell.agents.patterns import SENTENCE_ENDS, Word
from aishell.agents.word_classes import CLASSES, COMMON, FILLERS

#: Words and signs that end the reach of a negation.
_STOPS = frozenset(". ; ! ? : , ( ) but aber sondern pero and und y then dann".split()) | {"\n"}


def negated(words: Sequence[Word], first: int, last: int) -> bool:
    """Return whether a word before a span in its clause negates it, or, as in German, one of the three words after it."""
    for place in range(first - 1, -1, -1):
        if words[place].form in _STOPS:
            break
        if _negates(words[place]) or tuple(word.form for word in words[place : place + 2]) in _INSTEAD:
            return True
    for word in words[last : last + 3]:
        if word.form in _STOPS:
            break
        if word.form in ("nicht", "nie", "weglassen", "auslassen", "unnotig", "alone"):
            return True
    return False


_NOT = frozenset(word for word in CLASSES["not"].split("|") if "_" not in word) | frozenset(
    """cannot can't won't needn't isn't aren't neither nor refrain refuse forbid forbidden weder verzichte verzichten
    unterlasse unterlassen vermeide vermeiden verboten jamas abstente prohibido""".split()
)
_INSTEAD = frozenset((("instead", "of"), ("rather", "than"), ("vez", "de"), ("lugar", "de")))
#: More words that negate a clause, where the reach of a negation does not matter.
_DENIALS = frozenset(
    """isn't aren't won't wouldn't can't cannot couldn't needn't didn't wont cant donot dnt nothing none neither nor nobody
    refrain refuse forbid forbidden stop instead rather unless hardly
    nich nix nichts niemand keins keines weder noch statt anstatt verzichte verzichten unterlasse unterlassen unterlass
    vermeide vermeiden verboten untersagt
    nada nadie ninguna ningun ninguno ningunas ningunos jamas vez lugar abstente prohibido salvo""".split()
)
#: The form of a negation that was already read: no pattern matches it, but it still negates its clause.
DENIED = "·not"
#: What separates clauses of a sentence; `and` does not, since a negation before it may apply to both sides.
CLAUSE_ENDS = frozenset(": , ( ) - – — but aber sondern pero sino then dann luego despues danach afterwards".split())


_EMPTY = COMMON | frozenset(
    "do does on auf en in of von i we you he she one it better rather must will yes ja si ich wir man lo se".split()
)


def _negates(word: Word) -> bool:
    return not word.quoted and (word.form in _NOT or word.form.startswith(("omit", "evita")))


def denied(words: Sequence[Word], first: int, last: int) -> bool:
    """Return whether the clause of a span has a negation anywhere, or a clause beside it is little more than a negation.

    Stricter than `negated`, for work that must not be done by mistake.
    """
    start, end = _clause(words, first, last)
    if _has_denial(words[start:end]):
        return True
    behind = (
        _clause(words, end + 1, end + 1) if end < len(words) and words[end].form not in SENTENCE_ENDS else (end, end)
    )
    if _is_denial(words[slice(*behind)]):
        return True
    while start > 0 and words[start - 1].form not in SENTENCE_ENDS:
        before = words[slice(*_clause(words, start - 1, start - 1))]
        if _is_denial(before) or (before and denies(before[-1])):
            return True  # `do not, under any circumstances, …`
        if not _is_short(before):
            break
        start -= len(before) + 1
    return False


def _clause(words: Sequence[Word], first: int, last: int) -> tuple[int, int]:
    """Return the bounds of the clause around a span."""
    ends = CLAUSE_ENDS | SENTENCE_ENDS
    while first > 0 and (words[first - 1].quoted or words[first - 1].form not in ends):
        first -= 1
    while last < len(words) and (words[last].quoted or words[last].form not in ends):
        last += 1
    return first, last


def denies(word: Word) -> bool:
    """Return whether a word negates its clause."""
    return not word.quoted and (word.form == DENIED or _negates(word) or word.form in _DENIALS)


def _has_denial(words: Sequence[Word]) -> bool:
    return any(map(denies, words))


def _is_denial(words: Sequence[Word]) -> bool:
    """Return whether a clause is a negation with at most two more words: `please do not`, `no, never`."""
    return _has_denial(words) and _is_short(words)


def _is_short(words: Sequence[Word]) -> bool:
    return sum(word.form not in FILLERS for word in words) <= 3


def lone_denials(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Yield clauses that are only a negation, as in `…: please do not`. They negate a clause beside them."""
    first = 0
    for place in range(len(words) + 1):
        if place < len(words) and (words[place].quoted or words[place].form not in CLAUSE_ENDS | SENTENCE_ENDS):
            continue
        clause = words[first:place]
        if _has_denial(clause) and all(denies(word) or word.form in _EMPTY or word.form == "" for word in clause):
            yield first, place
        first = place + 1

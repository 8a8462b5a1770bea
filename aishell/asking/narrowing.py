"""What narrows a deletion down and cannot be read: without it more would be deleted than is asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from aishell.agents.patterns import Word, find, near
from aishell.agents.word_classes import COMMON
from aishell.asking import words as lexicon
from aishell.asking.drafts import Draft, part_of, tables_of
from aishell.asking.text import Text

#: Adjectives of rows that narrow nothing down.
_OF_ROWS = frozenset(
    "old older oldest ancient stale outdated expired alte alten alter altere viejos viejas antiguos antiguas "
    "unnecessary obsolete useless such more log table archived dead deleted many".split()
)
#: Where one thing that is said ends and the next begins.
_BREAKS = frozenset(",;.:!?\n(") | frozenset(
    "but aber sondern pero while whereas because since weil denn porque - –".split()
)
#: What is said of a table that is not to be worked on; with an age it says how long rows are kept.
_KEPT = re.compile(
    r"keep|keeps|kept|keeping|surviv\w*|stays?|remains?|preserv\w*|protect\w*|retain\w*|sacred|precious|needed|important|left|"
    r"spared?|behalt\w*|bewahr\w*|bleib\w*|schutz\w*|geschutzt|schon\w+|gebraucht|wichtig|heilig|conserv\w*|mant[ei]\w*|guard\w+|"
    r"qued\w*|sagrad\w*|importante|proteg\w*|preservar?"
)
_LEVELS = frozenset(("debug", "trace"))
_SMALL = COMMON | lexicon.LITTLE
_UNREAD = "which rows {!r} are meant by (write a condition, for example `where level = {}`)"


def unread(text: Text, draft: Draft, read: Collection[int]) -> Iterator[str]:
    """Doubts about words that tell which rows are meant. `read`: places that something was read in."""
    if "retention_days" not in text.vocabularies[draft.agent].inputs:
        return
    part = part_of(text, draft.clauses)
    filters = draft.reading.inputs.get("filters", ())
    values = {str(one["value"]).casefold() for one in filters}
    columns = {str(one["column"]).casefold() for one in filters}
    tables = {piece for name in tables_of(text, draft.clauses) for piece in re.split(r"[_.]", name.casefold())}
    explained = values | columns | tables
    for match in find("{rows}", part.words):
        word, place = part.words[match.first - 1], part.places[match.first - 1]
        if match.first and place not in read and _narrows(word, text) and not _explains(explained, word.form):
            yield _UNREAD.format(part.said(match.first - 1, match.last), "debug")
    for word, place in zip(part.words, part.places, strict=True):
        if word.form in _LEVELS - values and not word.quoted and place not in draft.reading.read:
            yield _UNREAD.format(word.text, word.form)


def uncertain(text: Text, read: Collection[int], asks: Collection[int]) -> Iterator[str]:
    """Tables of which it is not said that they are to be worked on: `…, keep audit_log`, `…; audit_log is sacred`.

    `read`: places that something was read in; `asks`: those of the words that ask for work.
    """
    for first, last in _stretches(text.words):
        named = [place for place in range(first, last) if place in text.names.tables]
        told = any(first <= age.first < last for age in text.ages)
        if told or not named or text.names.excluded.issuperset(named):
            continue
        words = [(place, text.words[place]) for place in range(first, last) if place not in named]
        kept = any(_KEPT.fullmatch(word.form) for _, word in words if not word.quoted)
        unread = any(place not in read and not word.sign and word.form not in _SMALL for place, word in words)
        if kept or (unread and not any(place in asks for place, _ in words)):
            yield f"whether {text.words[named[0]].text!r} is to be worked on (to leave it alone, write `except NAME`)"


def _stretches(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    first = 0
    for place, word in enumerate(words):
        if word.form in _BREAKS and not word.quoted:
            yield first, place
            first = place + 1
    yield first, len(words)


def _narrows(word: Word, text: Text) -> bool:
    """Whether a word before rows says which ones."""
    named = word.sign or word.quoted or word.number is not None or text.spoken(word)
    return not named and word.form not in COMMON and word.form not in _OF_ROWS


def _explains(explained: Collection[str], form: str) -> bool:
    return any(near(form, one) or sorted(form) == sorted(one) for one in explained)

"""Unread words that narrow a deletion: if they were ignored, more would be deleted than the text asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from aishell.agents.patterns import Word, find, near
from aishell.agents.word_classes import COMMON
from aishell.asking import words as lexicon
from aishell.asking.drafts import Draft, part_of, tables_of
from aishell.asking.text import HIDDEN, Text

#: Adjectives of rows that do not narrow a deletion.
_OF_ROWS = frozenset(
    "old older oldest ancient stale outdated expired alte alten alter altere viejos viejas antiguos antiguas "
    "unnecessary obsolete useless such more log table archived dead deleted many".split()
)
#: Signs and words that separate statements.
_BREAKS = frozenset(",;.:!?\n(") | frozenset(
    "but aber sondern pero while whereas because since weil denn porque - –".split()
)
#: Verbs of keeping. With an age they say how long rows are kept, so vocabularies know them; without one they may mean a table
#: to leave alone.
_KEPT = re.compile(
    r"keep|keeps|kept|keeping|retain\w*|left|behalt\w*|bewahr\w*|bleib\w*|conserv\w*|mant[ei]\w*|guard\w+|qued\w*"
)
#: Before an age they say what is kept: `except the last 30 days`.
_EXCEPT = frozenset("except but ausser bis excepto salvo menos".split())
_LEVELS = frozenset(("debug", "trace"))
_SMALL = COMMON | lexicon.LITTLE
_UNREAD = "which rows {!r} are meant by (write a condition, for example `where level = {}`)"


def unread(text: Text, draft: Draft, read: Collection[int]) -> Iterator[str]:
    """Yield doubts about words that say which rows are meant. `read`: the places of words that were read."""
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


def uncertain(text: Text, read: Collection[int]) -> Iterator[str]:
    """Yield doubts about tables to leave alone: `…, keep audit_log`, `…; audit_log is sacred`, `the untouchable audit_log`.

    Any unread word beside a table may say so. `read`: the places of words that were read.
    """
    known = text.places(lexicon.IDLE).union(read)
    for stretch in _stretches(text.words):
        named = [place for place in stretch if place in text.names.tables]
        aged = any(age.first in stretch for age in text.ages)
        if aged or not named or text.names.excluded.issuperset(named):
            continue
        if any(_may_keep(text.words[place], place in known) for place in stretch if place not in named):
            yield f"whether {text.words[named[0]].text!r} is to be worked on (to leave it alone, write `except NAME`)"


def _may_keep(word: Word, known: bool) -> bool:
    """Return whether a word beside a table may say that it is to be left alone."""
    unread = not known and not word.sign and word.form not in _SMALL
    return unread or (not word.quoted and _KEPT.fullmatch(word.form) is not None)


def unread_of_deletions(text: Text, drafts: Sequence[Draft], read: Collection[int]) -> Iterator[str]:
    """Yield doubts about words that nothing was read in, after the first that ask for a deletion.

    `except errors`, `half of`, `nur Debug-Zeilen`, `but ask me first`: a restriction that is not read would delete more.
    """
    deletions = [draft for draft in drafts if "retention_days" in text.vocabularies[draft.agent].inputs]
    if not deletions:
        return
    first = min(clause.first for draft in deletions for clause in draft.clauses if clause.agent is not None)
    known = text.places(lexicon.IDLE).union(read)
    known |= {age.first - n for age in text.ages for n in (1, 2, 3) if text.words[age.first - n].form in _EXCEPT}
    values = {str(one["value"]).casefold() for draft in deletions for one in draft.reading.inputs.get("filters", ())}
    aged = any(draft.reading.inputs.get("retention_days") is not None for draft in deletions)
    for place, word in enumerate(text.words):
        kept = aged and _KEPT.fullmatch(word.form) is not None
        unread = place not in known and not word.sign and word.form not in _SMALL | values
        if place > first and unread and not kept and word.text != HIDDEN:
            yield f"what {word.text!r} means for the rows to delete"


def _stretches(words: Sequence[Word]) -> Iterator[range]:
    first = 0
    for place, word in enumerate(words):
        if word.form in _BREAKS and not word.quoted:
            yield range(first, place)
            first = place + 1
    yield range(first, len(words))


def _narrows(word: Word, text: Text) -> bool:
    """Return whether a word before `rows` says which ones."""
    named = word.sign or word.quoted or word.number is not None or text.spoken(word)
    return not named and word.form not in COMMON and word.form not in _OF_ROWS


def _explains(explained: Collection[str], form: str) -> bool:
    return any(near(form, one) or sorted(form) == sorted(one) for one in explained)

"""What narrows a deletion down and cannot be read: without it more would be deleted than is asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from aishell.agents.patterns import Word, find, near
from aishell.agents.word_classes import COMMON
from aishell.asking.drafts import Draft, part_of, tables_of
from aishell.asking.text import Text

#: Adjectives of rows that narrow nothing down.
_OF_ROWS = frozenset(
    "old older oldest ancient stale outdated expired alte alten alter altere viejos viejas antiguos antiguas "
    "unnecessary obsolete useless such more log table archived dead deleted many".split()
)
_LEVELS = frozenset(("debug", "trace"))
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


def _narrows(word: Word, text: Text) -> bool:
    """Whether a word before rows says which ones."""
    named = word.sign or word.quoted or word.number is not None or text.spoken(word)
    return not named and word.form not in COMMON and word.form not in _OF_ROWS


def _explains(explained: Collection[str], form: str) -> bool:
    return any(near(form, one) or sorted(form) == sorted(one) for one in explained)

"""Questions in a text: whether a sentence is one, and what it asks about. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from aishell.agents.patterns import SENTENCE_ENDS, Word, words_of
from aishell.asking import words as lexicon
from aishell.asking.parts import matches
from aishell.asking.text import Text, has


def question(text: Text) -> tuple[str | None, tuple[str, ...]]:
    """The kind of the first question that is no polite request and no preview, and the tables that it names.

    Tables that look like logs are found by a question, too: `find the log tables` looks, and does nothing else.
    """
    for first, last in _sentences(text.words):
        if not _is_question(text.words[first:last]) and not _finds(text.words[first:last]):
            continue
        named = (text.names.tables[place] for place in range(first, last) if place in text.names.tables)
        names = tuple(dict.fromkeys(named))
        return _kind(text.words[first:last], names), names
    return None, ()


def asks_for_work(text: Text, places: Collection[int]) -> bool:
    """Whether a clause that begins at one of the places is in no question, or in one of what its work would do."""
    questions = list(_questions(text))
    for place in places:
        inside = next((span for span in questions if span[0] <= place < span[1]), None)
        if inside is None or _would(text.words[slice(*inside)]):
            return True
    return False


def _questions(text: Text) -> Iterator[tuple[int, int]]:
    return (span for span in _sentences(text.words) if _is_question(text.words[slice(*span)]))


def is_past(text: str) -> bool:
    """Whether a text asks about what was."""
    return any(word.form in lexicon.PAST for word in words_of(text))


def _sentences(words: Sequence[Word]) -> Iterator[tuple[int, int]]:
    first = 0
    for place, word in enumerate(words):
        if word.form in SENTENCE_ENDS and not word.quoted:
            if first < place:
                yield first, place + 1
            first = place + 1
    if first < len(words):
        yield first, len(words)


def _is_question(words: Sequence[Word]) -> bool:
    spoken = [word for word in words if not word.sign]
    if not spoken or any(match.first <= 2 for match in matches(lexicon.POLITE, spoken)):
        return False
    if _begins(spoken) or (words[-1].form == "?" and not words[-1].quoted):
        return True
    return any(match.first <= 1 for match in matches(lexicon.SHOW, spoken)) and not _previews(words)


def _finds(words: Sequence[Word]) -> bool:
    return any(match.first <= 3 for match in matches(lexicon.FIND, words))


def _begins(words: Sequence[Word]) -> bool:
    """Whether words begin as a question does, behind a greeting."""
    start = next((place for place, word in enumerate(words) if word.form not in lexicon.GREETINGS), 0)
    if words[start].quoted:
        return False
    following = words[start + 1].form if start + 1 < len(words) else ""
    asked = words[start].form in ("do", "have", "may") and following in ("i", "we", "you", "they")
    return asked or words[start].form in lexicon.INTERROGATIVES


def _previews(words: Sequence[Word]) -> bool:
    return has((*lexicon.NOTHING_YET, *lexicon.DRY_RUN), words)


def _kind(words: Sequence[Word], names: Sequence[str]) -> str:
    for kind, patterns in lexicon.QUESTIONS:
        past = any(word.form in lexicon.PAST for word in words)
        if kind == "history" and names and not past:
            return "table"
        if kind == "health" and (names or has(lexicon.ABOUT_TABLE, words)):
            return "table"
        if has(patterns, words):
            return kind
    return "other"


def _would(words: Sequence[Word]) -> bool:
    """`what would … do`: a preview of the work, if the work is named in the question."""
    if _kind(words, ()) == "tonight":
        return any(word.form in ("would", "wurde", "haria") for word in words)
    return _previews(words)

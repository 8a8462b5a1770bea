"""Questions in a text: which sentences are questions, and what they ask about. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from aishell.agents.patterns import SENTENCE_ENDS, Word, words_of
from aishell.asking import words as lexicon
from aishell.asking.parts import matches
from aishell.asking.text import Text, has


def question(text: Text) -> tuple[str | None, tuple[str, ...]]:
    """Return the kind of the first question that is not a polite request or a preview, and the tables that it names.

    `find the log tables` counts as a question: it only looks.
    """
    for first, last in _sentences(text.words):
        if not _is_question(text.words[first:last]) and not _finds(text.words[first:last]):
            continue
        named = (text.names.tables[place] for place in range(first, last) if place in text.names.tables)
        names = tuple(dict.fromkeys(named))
        return _kind(text.words[first:last], names), names
    return None, ()


def asks_for_work(text: Text, places: Collection[int]) -> bool:
    """Return whether a clause that begins at one of the places is outside questions, or in one about what its work would do."""
    questions = list(_questions(text))
    for place in places:
        inside = next((span for span in questions if span[0] <= place < span[1]), None)
        if inside is None or _would(text.words[slice(*inside)]):
            return True
    return False


def _questions(text: Text) -> Iterator[tuple[int, int]]:
    return (span for span in _sentences(text.words) if _is_question(text.words[slice(*span)]))


def is_past(text: str) -> bool:
    """Return whether a text asks about the past."""
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
    """Return whether words begin like a question, after any greeting."""
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
    """Return whether a question asks for a preview of the work that it names: `what would … do`."""
    if _kind(words, ()) == "tonight":
        return any(word.form in ("would", "wurde", "haria") for word in words)
    return _previews(words)

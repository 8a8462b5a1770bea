"""Words beside a time that give its meaning: "older than", "since", "… ago". Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aishell.agents.patterns import Word, near
from aishell.agents.word_classes import FILLERS
from aishell.asking.time_words import CUES, LONGEST_CUE

_ARTICLES = FILLERS | frozenset(
    "exactly about around roughly at least ungefahr mindestens etwa rund al menos aproximadamente the".split()
)
_TYPED = ("older", "newer", "younger", "before", "since", "aelter", "antiguos", "anterior", "letzten", "ultimos")


def cue(words: Sequence[Word], at: int) -> tuple[int, str]:
    """Return where the nearest cue before a time begins, and its meaning. Articles and `at least` may come between."""
    for stop in (_before_articles(words, at), at):
        for size in range(LONGEST_CUE, 0, -1):
            span = words[max(0, stop - size) : stop]
            meaning = CUES.get(tuple(map(_spelled, span)))
            if meaning is not None:
                return _widened(words, stop - len(span), meaning)
    return at, "bare"


def _before_articles(words: Sequence[Word], at: int) -> int:
    """Return where a cue ends that articles separate from the time."""
    end = at
    while end > 0 and at - end < 3 and words[end - 1].form in _ARTICLES and not _ends_cue(words[:end]):
        end -= 1
    return end


def _ends_cue(words: Sequence[Word]) -> bool:
    forms = tuple(word.form for word in words[-LONGEST_CUE:])
    return any(forms[-size:] in CUES for size in range(1, len(forms) + 1))


def _spelled(word: Word) -> str:
    """Return a word as the cues spell it: `oldr` is `older`."""
    if word.quoted or len(word.form) < 5:
        return {"thn": "than", "tahn": "than", "then": "than"}.get(word.form, word.form)
    return next((known for known in _TYPED if word.form != known and near(word.form, known)), word.form)


def _widened(words: Sequence[Word], first: int, meaning: str) -> tuple[int, str]:
    """Extend a cue by a word before it that changes its meaning: `since before`, `not older than`, `since the last`."""
    before = words[first - 1].form if first else ""
    if meaning == "older" and before in ("no", "not", "nicht", "never"):
        return first - 1, "newer"
    if meaning == "last" and before in ("than", "before", "als", "de", "que") and first >= 2:
        outer, outer_meaning = cue(words, first)
        if outer_meaning in ("older", "newer"):
            return outer, outer_meaning
    return first, meaning


def behind(words: Sequence[Word], at: int) -> tuple[int, str]:
    """Return where the words after a time end, and their meaning: `90 days old`, `2 years ago and older`, `o más`."""
    forms = [word.form for word in words[at : at + 3]] + ["", "", ""]
    if forms[0] in ("ago", "zuruck", "atras"):
        at, forms = at + 1, [*forms[1:], ""]
    if forms[0] in ("old", "alt", "alte", "alten"):
        end, meaning = at + 1, "older"
        return end, meaning
    if forms[0] in ("and", "or", "und", "oder", "y", "o") and forms[1] in (
        "older",
        "alter",
        "aelter",
        "mas",
        "more",
        "mehr",
        "earlier",
    ):
        return at + 2, "older"
    if forms[:2] == ["de", "antiguedad"]:
        return at + 2, "older"
    return at, ""

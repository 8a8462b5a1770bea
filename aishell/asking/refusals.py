"""Reasons to refuse a text, whatever else it asks for. Pure."""

from __future__ import annotations

import re
import unicodedata

from aishell.agents.negations import negated
from aishell.agents.patterns import LONGEST, Match, Word
from aishell.asking import words as lexicon
from aishell.asking.parts import matches
from aishell.asking.text import Text

#: SQL and programs, which are never run from a text: the whole text is refused.
_SQL = re.compile(
    r"""\b(?:select\s[^;]{0,200}?\sfrom\s|insert\s+into\s|update\s+[\w."]{1,128}\s+set\s|delete\s+from\s+[\w."]{1,128}\s*(?:where\b|;|$)
    |drop\s+(?:table|database|index|schema|view|column|user|role)\s|truncate\s+(?:table\s)?|alter\s+(?:table|system|database|user|role)\s
    |create\s+(?:table|index|unique|user|role|database|view|extension|function|trigger|or\s+replace)\s|grant\s+\w{1,30}\s|revoke\s+\w{1,30}\s
    |copy\s[^;]{0,200}?\s(?:to|from)\s+program|union\s+(?:all\s+)?select|exec(?:ute)?\s+immediate|set\s+(?:role|session|global)\s|or\s+1\s*=\s*1|pg_sleep|load_file)
    |--\s|/\*|\*/""",
    re.IGNORECASE | re.VERBOSE,
)
_SHELL = re.compile(
    r"\$\(|&&|\|\||[|<>]\s*/|;\s*(?:rm|drop|curl|wget|sh|bash|delete|update|shutdown)\b|\brm\s+-|\bsudo\b|"
    r"\b(?:curl|wget)\s|\bpsql\s+-|\bchmod\b|/etc/|\bkill\s+-9"
)
_EVERY = re.compile(r"\b(all|every|alle|samtliche|sämtliche|todas|todos)\b")
_OLD = re.compile(r"\b(old|past|expired|alten|viej|antigu)")


def unreadable(text: str) -> str | None:
    """Return why a text is refused unread, or None."""
    if not text.strip():
        return "the request is empty: say what is to be done, for example `back up shop`"
    if len(text) > LONGEST:
        return f"the request has {len(text):,} letters: {LONGEST:,} are read"
    if any(
        unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and letter not in "\n\t\r"
        for letter in text
    ):
        return "the request has control characters: write it in plain letters"
    if _SQL.search(text):
        return "the request has SQL, which is not run from a text: say in words what is to be done"
    if _SHELL.search(text):
        return "the request has a program to run, which is not done from a text: say in words what is to be done"
    return None


def refusal(text: Text) -> str | None:
    """Return why a text is refused, and what to do instead, or None."""
    ended = (*text.words, Word(".", ".", len(text.text), len(text.text)))
    for kind, (what, instead, patterns) in lexicon.REFUSED.items():
        for match in matches(patterns, ended):
            if not negated(text.words, match.first, match.first) and not _is_excused(kind, match, text):
                return f"{what} ({_said(text, match)!r}): {instead}"
    return None


def _said(text: Text, match: Match) -> str:
    return text.said(match.first, min(match.last, len(text.words)))


def _is_excused(kind: str, found: Match, text: Text) -> bool:
    match kind:
        case "content":
            return bool(text.names.excluded & set(range(found.first, found.last))) or _is_by_age(found, text)
        case "backups":
            return _follows_backup(found.first, text)
    return False


def _is_by_age(match: Match, text: Text) -> bool:
    """Return whether a text deletes only rows of an age: it has one, and does not drop or truncate."""
    if not any(age.meaning in ("older", "last", "since", "bare") for age in text.ages):
        return False
    older = any(age.meaning == "older" and age.first == match.last for age in text.ages)
    return older or not _said(text, match).casefold().startswith(("drop", "truncate"))


def _follows_backup(place: int, text: Text) -> bool:
    """Return whether old backups are to be removed after a new one, as the backup agent does by its retention rules."""
    said = text.said(place, min(len(text.words), place + 8)).casefold()
    everything = _EVERY.search(said) and not _OLD.search(said)
    return not everything and text.has(("{backup}",), 0, place)

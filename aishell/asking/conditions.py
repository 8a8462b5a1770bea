"""Conditions on columns in a text: `level=debug`, `where level is debug`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aishell.agents.patterns import Word
from aishell.agents.vocabulary import Reads
from aishell.asking.parts import Found, Part, Reading

_OPERATORS = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "is": "=", "equals":
    "=", "ist": "=",
    "es": "=", "sea": "=", "gleich": "=", "igual": "=",
}  # fmt: skip
_WHERE = frozenset("where whose with having wo deren dessen mit donde cuyo cuya con when".split())
_EQUALS = frozenset("equal to gleich igual a".split())
#: Words before an operator that are not columns.
_NO_COLUMN = frozenset("retention count daily weekly days threshold column folder".split())
_TIMES = frozenset(
    """day days tag tage tagen dia dias week weeks woche wochen semanas month months monat monate meses
    year years jahre jahr anos""".split()
)


def filters(reads: Reads, part: Part, reading: Reading, name: str) -> Found:
    """Return all conditions, and the span of words from the first to the last."""
    found: list[dict[str, Any]] = []
    spans: list[tuple[int, int]] = []
    at = 1
    while at < len(part.words) - 1:
        read = _condition(part.words, at)
        if read is None:
            at += 1
            continue
        condition, end = read
        found.append(condition)
        spans.append((at - 1, end))
        at = end
    for span in spans:
        reading.read |= part.places_of(*span)
    return (found, spans[0][0], spans[-1][1]) if found else None


def _condition(words: Sequence[Word], at: int) -> tuple[dict[str, Any], int] | None:
    """Return the condition whose operator is at a place, and where it ends."""
    sign, end = _operator(words, at)
    operator = _OPERATORS.get(sign)
    column = words[at - 1]
    if operator is None or end >= len(words) or words[at].quoted or column.sign:
        return None
    if sign.isalpha():
        if at < 2 or words[at - 2].form not in _WHERE:
            return None
        while words[end].form in _EQUALS and end + 1 < len(words):
            end += 1
    value = words[end]
    if value.sign or column.form in _NO_COLUMN or not re.fullmatch(r"[a-z_]\w*", column.form):
        return None
    if value.number is not None and end + 1 < len(words) and words[end + 1].form in _TIMES:
        return None
    return {"column": column.text.strip("\"'`"), "operator": operator, "value": _value(value)}, end + 1


def _operator(words: Sequence[Word], at: int) -> tuple[str, int]:
    """Return the operator at a place, of one or two signs, and where it ends."""
    sign, following = words[at].form, words[at + 1].form
    two = sign in ("<", ">", "!", "=") and following in ("=", ">")
    return (sign + following, at + 2) if two else (sign, at + 1)


def _value(word: Word) -> Any:
    if not word.quoted and re.fullmatch(r"-?\d{1,15}", word.form):
        return int(word.form)
    if not word.quoted and word.form in ("true", "false"):
        return word.form == "true"
    return word.text[1:-1] if word.quoted and word.text[:1] in "\"'`“„«" else word.text

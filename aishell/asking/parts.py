"""The part of a text about one agent's work, and what is read in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from aishell.agents.patterns import Match, Word, find
from aishell.asking.names import Names

#: A value, the first word of the part that it was read in, and the word after the last one; None if nothing was read.
Found = tuple[Any, int, int] | None


@dataclass(slots=True)
class Reading:
    """What was read: inputs, the words each came from, the places of read words, and doubts."""

    inputs: dict[str, Any] = field(default_factory=dict)
    because: list[tuple[str, str]] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """The words of one order, with the place of each in the text."""

    words: tuple[Word, ...]
    places: tuple[int, ...]
    text: str
    names: Names
    today: date

    def said(self, first: int, last: int) -> str:
        """Return the text from word `first` to before `last`, as written."""
        inside = [word for word in self.words[first:last] if word.end]
        return self.text[inside[0].start : inside[-1].end] if inside else ""

    def places_of(self, first: int, last: int) -> set[int]:
        """Return the places in the text of the words from `first` to before `last`."""
        return set(self.places[first:last])


def matches(patterns: Sequence[str], words: Sequence[Word]) -> Iterator[Match]:
    """Yield every match of each pattern."""
    for pattern in patterns:
        yield from find(pattern, words)

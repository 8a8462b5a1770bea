"""The words of a request with the names in it, as every rule sees them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from aishell.agents.negations import DENIED, denies
from aishell.agents.patterns import Word, literals, words_of
from aishell.agents.vocabulary import Vocabulary
from aishell.asking import words as lexicon
from aishell.asking.ages import Age, ages, with_units
from aishell.asking.names import Names, names_in, quoted
from aishell.asking.parts import matches
from aishell.asking.requests import Known
from aishell.asking.time_words import is_time_word


@dataclass(frozen=True, slots=True)
class Text:
    """A text and what every rule needs of it. `words`: those that are names are quoted."""

    text: str
    known: Known
    words: tuple[Word, ...]
    names: Names
    ages: tuple[Age, ...]
    vocabularies: Mapping[str, Vocabulary]
    spoken: Spoken

    @classmethod
    def of(cls, text: str, known: Known) -> Text:
        """Read the words and names of a text."""
        raw = words_of(text)
        vocabularies = {name: agent.words() for name, agent in known.agents.items()}
        spoken = Spoken(vocabularies)
        names = names_in(raw, known.targets, known.tables, spoken, _taken(raw, vocabularies))
        words = with_units(quoted(raw, names))
        return cls(text, known, words, names, tuple(ages(words, known.today)), vocabularies, spoken)

    def hiding(self, places: Collection[int]) -> Text:
        """Return the text with the words at the places masked: no work or name is found in them, but negations still are."""
        words = (_hidden(word) if place in places else word for place, word in enumerate(self.words))
        return replace(self, words=tuple(words))

    def said(self, first: int, last: int) -> str:
        """Return the text from word `first` to before `last`, as written."""
        return self.text[self.words[first].start : self.words[last - 1].end] if last > first else ""

    def places(self, patterns: Sequence[str], *, within: Collection[str] = ()) -> set[int]:
        """Return the places of all words that patterns match. `within`: words that a match may not contain in its middle."""
        found = (span for match in matches(patterns, self.words) for span in match.parts)
        return {
            place
            for first, last in found
            if not any(word.form in within for word in self.words[first + 1 : last - 1])
            for place in range(first, last)
        }

    def has(self, patterns: Sequence[str], first: int = 0, last: int | None = None) -> bool:
        """Return whether one of the patterns matches among the words from `first` to before `last`."""
        return has(patterns, self.words[first:last])


#: Stands for a word that is hidden.
HIDDEN = "·"


def _hidden(word: Word) -> Word:
    return replace(word, form=DENIED if denies(word) else HIDDEN, quoted=False, text=HIDDEN)


def has(patterns: Sequence[str], words: Sequence[Word]) -> bool:
    """Return whether one of the patterns matches among words."""
    return next(matches(patterns, words), None) is not None


class Spoken:
    """Tests whether a word belongs to a vocabulary, so that it is not a name by itself."""

    def __init__(self, vocabularies: Mapping[str, Vocabulary]) -> None:
        patterns = [pattern for vocabulary in vocabularies.values() for pattern in vocabulary.patterns()]
        self._whole, self._stems = _literals((*patterns, *lexicon.spoken()))

    def __call__(self, word: Word) -> bool:
        form = word.form
        return not word.quoted and (form in self._whole or form.startswith(self._stems) or is_time_word(form))


@lru_cache(maxsize=32)
def _literals(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the whole words in patterns, and the stems."""
    every = literals(patterns)
    stems = tuple(one.removesuffix("*") for one in every if one.endswith("*"))
    return frozenset(one for one in every if not one.endswith("*")), stems


def _taken(words: Sequence[Word], vocabularies: Mapping[str, Vocabulary]) -> set[int]:
    """Return the places of words that name folders, and so not tables or targets."""
    patterns = [
        pattern
        for vocabulary in vocabularies.values()
        for reads in vocabulary.inputs.values()
        if reads.kind == "name" and not reads.unit
        for pattern in reads.words[True]
    ]
    values = {id(value) for match in matches(patterns, words) for value in match.values}
    return {place for place, word in enumerate(words) if id(word) in values}

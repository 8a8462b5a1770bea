"""Orders put together from the clauses of a text: which clauses form an order, in what sequence, and on which targets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from aishell.agents.patterns import Word
from aishell.asking import routing
from aishell.asking.ages import ages
from aishell.asking.parts import Part, Reading
from aishell.asking.reading import read
from aishell.asking.routing import Clause
from aishell.asking.text import Text, has

_UNDONE = frozenset("not don't dont never mustn't shouldn't cannot can't avoid refrain".split())


@dataclass(frozen=True, slots=True)
class Places:
    """Where an order runs: on targets, on those with one of the labels, or on every one."""

    targets: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    everywhere: bool = False

    def __bool__(self) -> bool:
        return bool(self.targets or self.labels or self.everywhere)


@dataclass(slots=True, eq=False)
class Draft:
    """An order under construction: its clauses as they come in the text, and what was read in them."""

    clauses: list[Clause]
    agent: str
    confidence: float
    reading: Reading = field(default_factory=Reading)
    places: Places = Places()


def gathered(text: Text) -> tuple[list[Draft], tuple[tuple[str, float], ...]]:
    """Return the orders of a text in sequence, and the possible agents of clauses without a sure one, best first."""
    gathering = _Gathering(text)
    together = [*text.names.together, *((age.first, age.last) for age in text.ages)]
    for clause in routing.clauses(text.words, together, text.known.agents):
        gathering.take(clause)
    return gathering.drafts, tuple(sorted(gathering.unclear.items(), key=lambda one: (-one[1], one[0])))


def carried_over(text: Text, drafts: Sequence[Draft]) -> Iterator[str]:
    """Yield a doubt for work that `and` joins to work that is ruled out: `do not rewrite orders and vacuum events`."""
    clauses = sorted((clause for draft in drafts for clause in draft.clauses), key=lambda clause: clause.first)
    for before, clause in pairwise(clauses):
        joined = clause.first - before.last == 1 and text.words[before.last].form in ("and", "or")
        if joined and clause.agent is not None and before.agent is None and _is_undone(text, before):
            yield f"whether {text.said(clause.first, clause.last)!r} is to be done, or is part of what is not"


def _is_undone(text: Text, clause: Clause) -> bool:
    """Return whether a clause names work and says, in English, not to do it."""
    words = text.words[clause.first : clause.last]
    asks = (one for vocabulary in text.vocabularies.values() for one in vocabulary.asks)
    named = has([pattern for weight, pattern in asks if weight >= routing.SURE], words)
    return named and any(word.form in _UNDONE for word in words if not word.quoted)


def part_of(text: Text, clauses: Sequence[Clause]) -> Part:
    """Return the words of an order's clauses, with those between clauses that are close together."""
    found: list[Word] = []
    places: list[int] = []
    end = None
    for clause in sorted(clauses, key=lambda one: one.first):
        first = clause.first
        if end is not None and first - end <= 3:
            first = end
        elif end is not None:
            found.append(Word(".", ".", 0, 0))
            places.append(-1)
        found += text.words[first : clause.last]
        places += range(first, clause.last)
        end = clause.last
    return Part(tuple(found), tuple(places), text.text, text.names, text.known.today)


def tables_of(text: Text, clauses: Sequence[Clause]) -> set[str]:
    """Return the tables that clauses are about, without excluded ones."""
    wanted = ((place, name) for place, name in text.names.tables.items() if place not in text.names.excluded)
    return {name for place, name in wanted if any(place in clause for clause in clauses)}


def locate(text: Text, drafts: Sequence[Draft]) -> None:
    """Set the places of each order: its own, else those of the nearest order before it in the text, else of the first after."""
    told = sorted(drafts, key=lambda draft: min(clause.first for clause in draft.clauses))
    for draft in told:
        draft.places = _places_of(text, draft.clauses)
    for number, draft in enumerate(told):
        others = (one.places for one in (*reversed(told[:number]), *told[number + 1 :]) if one.places)
        draft.places = draft.places or next(others, draft.places)


def _places_of(text: Text, clauses: Sequence[Clause]) -> Places:
    def inside(place: int) -> bool:
        return any(place in clause for clause in clauses)

    targets = dict.fromkeys(name for place, name in text.names.targets.items() if inside(place))
    labels = dict.fromkeys(label for place, label in text.names.labels.items() if inside(place))
    return Places(tuple(targets), tuple(labels), any(map(inside, text.names.everywhere)))


class _Gathering:
    """Builds the orders from the clauses of a text, taken one by one."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.drafts: list[Draft] = []
        self.unclear: dict[str, float] = {}
        self._waiting: list[Clause] = []
        self._later: Draft | None = None

    def take(self, clause: Clause) -> None:
        """Add the next clause to an order, or begin a new order with it."""
        before = self.drafts[-1] if self.drafts else None
        if clause.agent is None or (before is not None and self._is_input(before, clause)):
            self._add(clause, before)
            return
        draft = self._same(clause)
        if draft is None:
            self._begin(Draft([*self._waiting, clause], clause.agent, clause.confidence), self._words(clause))
        else:
            draft.clauses += [*self._waiting, clause]
            draft.confidence = max(draft.confidence, clause.confidence)
        self._waiting = []

    def _words(self, clause: Clause) -> Sequence[Word]:
        return self.text.words[clause.first : clause.last]

    def _add(self, clause: Clause, before: Draft | None) -> None:
        """Add a clause without work of its own to the order before it, or else to the first order."""
        for name, sure in clause.bids:
            self.unclear[name] = max(sure, self.unclear.get(name, 0.0))
        if before is None:
            self._waiting.append(clause)
        elif clause.agent is None and self._is_another(before, clause):
            self.drafts.append(Draft([replace(clause, agent=before.agent)], before.agent, before.confidence))
        else:
            before.clauses.append(replace(clause, agent=None))

    def _begin(self, draft: Draft, words: Sequence[Word]) -> None:
        """Add a new order after the existing ones, unless the words give another sequence."""
        earlier = bool(self.drafts) and (routing.comes_first(words) or routing.follows(words))
        self.drafts.insert(len(self.drafts) - int(earlier), draft)
        if self._later is not None:
            self.drafts.remove(self._later)
            self.drafts.insert(self.drafts.index(draft) + 1, self._later)
        self._later = draft if routing.comes_later(words) else None

    def _is_input(self, before: Draft, clause: Clause) -> bool:
        """Return whether a clause that could be another agent's work is an input of the order before it."""
        if clause.agent is None or clause.agent == before.agent:
            return False
        words = self._words(clause)
        patterns = self.text.vocabularies[clause.agent].part_of.get(before.agent, ())
        there = {pattern for pattern in patterns if has((pattern.removeprefix("!"),), words)}
        return bool(there) and not any(pattern.startswith("!") for pattern in there)

    def _same(self, clause: Clause) -> Draft | None:
        """Return the order that a clause continues: same agent, same target, and same tables or same other inputs."""
        same = next((draft for draft in reversed(self.drafts) if draft.agent == clause.agent), None)
        if same is None:
            return None
        before, own = (set(_places_of(self.text, one).targets) for one in (same.clauses, [clause]))
        if own and before and own != before:
            return None
        before, own = tables_of(self.text, same.clauses), tables_of(self.text, [clause])
        if (
            before
            and own
            and before != own
            and self._inputs(same.agent, same.clauses) != self._inputs(same.agent, [clause])
        ):
            return None
        return same

    def _inputs(self, agent: str, clauses: Sequence[Clause]) -> dict[str, object]:
        """Return an agent's inputs as clauses give them, without the tables."""
        found = read(self.text.vocabularies[agent], part_of(self.text, clauses)).inputs
        return {name: value for name, value in found.items() if name not in ("tables", "exclude")}

    def _is_another(self, before: Draft, clause: Clause) -> bool:
        """Return whether both a clause and the order before it have tables and an age of their own."""
        aged = any(reads.kind == "age" for reads in self.text.vocabularies[before.agent].inputs.values())
        return aged and self._has_own(before.clauses) and self._has_own([clause])

    def _has_own(self, clauses: Sequence[Clause]) -> bool:
        found = ages(part_of(self.text, clauses).words, self.text.known.today)
        return bool(tables_of(self.text, clauses)) and next(found, None) is not None

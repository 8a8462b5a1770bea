"""Clauses of a text, and the agents that bid for them by `can_handle`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aishell.agents.base import Agent
from aishell.agents.patterns import SENTENCE_ENDS, Word, find
from aishell.asking.parts import matches
from aishell.models import Task

#: The least confidence with which an agent is given a clause; below it, the person is asked.
SURE = 0.6
#: The least confidence of a possible agent.
POSSIBLE = 0.3
#: Most words of a clause that may be cut in two; a sentence of one request is shorter.
LONGEST_CUT = 40
#: Most orders of a request.
MOST_ORDERS = 50
_SIGNS = SENTENCE_ENDS | frozenset(",:()&+")
_JOINS = frozenset(
    """and then but also plus und dann danach anschliessend sowie aber sondern y e luego despues pero ademas
    afterwards finally
    while""".split()
)
#: Words before which a clause with the work of two agents is cut.
_CUTS = frozenset(
    """make do run take perform start create have with before after mach mache erstell erstelle nimm starte vor nach
    mit bevor nachdem
    haz hacer haga ejecuta realiza crea con antes tras incl including once when sobald""".split()
)
_SOFT = frozenset("then also plus dann danach anschliessend luego despues finally afterwards ademas e".split())
_FIRST = frozenset("first before beforehand upfront vorher zuvor davor zuerst vorab antes primero previamente".split())
_BEFORE = ("before|bevor|vor|ehe|antes_de|prior_to",)
_AFTER = frozenset("after nach nachdem tras following once when sobald".split())


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a text, from word `first` to before `last`. `agent`: whose work it requests; None if it only adds to that of
    another clause."""

    first: int
    last: int
    agent: str | None = None
    confidence: float = 0.0
    bids: tuple[tuple[str, float], ...] = ()

    def __contains__(self, place: int) -> bool:
        return self.first <= place < self.last


def clauses(words: Sequence[Word], together: Sequence[tuple[int, int]], agents: Mapping[str, Agent]) -> list[Clause]:
    """Return the clauses of a text in order, each given to the highest bidder. `together`: spans that are not cut."""
    kept = {place for first, last in together for place in range(first, last)}
    found: list[Clause] = []
    for first, last in _pieces(words, kept):
        found += _routed(words, first, last, agents)
    return found


def _pieces(words: Sequence[Word], kept: set[int]) -> Iterator[tuple[int, int]]:
    first = 0
    for place, word in enumerate(words):
        if place in kept or word.quoted or not (word.form in _SIGNS or word.form in _JOINS):
            continue
        if place - first < 2 and word.form in _SOFT:
            continue  # `räum dann app_log auf`
        if first < place:
            yield first, place
        first = place + 1
    if first < len(words):
        yield first, len(words)


def described(words: Sequence[Word]) -> str:
    """Return the text of a clause as an agent gets it, with names quoted so that they match no vocabulary."""
    return " ".join(f'"{word.form}"' if word.quoted and word.form else word.text for word in words)


def bids(words: Sequence[Word], agents: Mapping[str, Agent]) -> tuple[tuple[str, float], ...]:
    """Return the possible agents of a clause with their confidence, highest first."""
    task = Task("", "", description=described(words))
    made = [(name, agent.can_handle(task)[1]) for name, agent in agents.items()]
    return tuple(sorted(((name, sure) for name, sure in made if sure >= POSSIBLE), key=lambda one: (-one[1], one[0])))


def _routed(words: Sequence[Word], first: int, last: int, agents: Mapping[str, Agent]) -> Iterator[Clause]:
    """Yield a piece as one clause, or as several if it has the work of several agents."""
    part = words[first:last]
    made = bids(part, agents)
    sure = [name for name, confidence in made if confidence >= SURE]
    if not sure:
        yield Clause(first, last, None, made[0][1] if made else 0.0, made)
        return
    cut = _cut(part, made, agents) if len(sure) > 1 and len(part) <= LONGEST_CUT else None
    if cut is None:
        yield Clause(first, last, made[0][0], made[0][1], made)
        return
    yield from _routed(words, first, first + cut, agents)
    yield from _routed(words, first + cut, last, agents)


def _cut(words: Sequence[Word], made: Sequence[tuple[str, float]], agents: Mapping[str, Agent]) -> int | None:
    """Return where to cut words between two agents, one of which is the best for the whole, or None."""
    best = made[0][0]
    inputs = {span for name, _ in made for span in _read_spans(words, agents[name])}
    for place in range(1, len(words)):
        if words[place].form not in _CUTS or any(first < place < last for first, last in inputs):
            continue
        left, right = _surest(words[:place], agents), _surest(words[place:], agents)
        if left and right and left != right and best in (left, right):
            return place
    return None


def _surest(words: Sequence[Word], agents: Mapping[str, Agent]) -> str | None:
    """Return the agent that would be given the words, or None."""
    made = bids(words, agents)
    return made[0][0] if made and made[0][1] >= SURE else None


def _read_spans(words: Sequence[Word], agent: Agent) -> Iterator[tuple[int, int]]:
    """Yield the spans that are flags of an agent, though they could be another's work: `with a backup`."""
    flags = [reads for reads in agent.words().inputs.values() if reads.kind == "flag"]
    patterns = [pattern for reads in flags for several in reads.words.values() for pattern in several]
    return ((match.first, match.last) for match in matches(patterns, words))


def comes_first(words: Sequence[Word]) -> bool:
    """Return whether the work of a clause goes before that of earlier clauses: `but back up first`."""
    forms = [word.form for word in words]
    return any(form in _FIRST for form in forms[-2:]) or (bool(forms) and forms[0] in _FIRST)


def comes_later(words: Sequence[Word]) -> bool:
    """Return whether the work of the next clause goes before that of this one: `before the maintenance, …`."""
    return next((match.first for match in find(_BEFORE[0], words)), 9) <= 1


def follows(words: Sequence[Word]) -> bool:
    """Return whether the work of earlier clauses comes after that of a clause: `… after a backup`."""
    return bool(words) and words[0].form in _AFTER

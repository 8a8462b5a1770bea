"""A plain-language request, read by rules into orders for agents, a question, or a refusal. Pure: no I/O and no model.

A text only becomes inputs of agents: the plan, its approval and every gate are the same as for `aishell run`. Nothing
uncertain is guessed: it ends in `refused` or `unclear`, and the person is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from aishell.agents.negations import CLAUSE_ENDS, lone_denials
from aishell.agents.patterns import Word
from aishell.agents.word_classes import COMMON
from aishell.asking import routing
from aishell.asking import words as lexicon
from aishell.asking.drafts import Draft, carried_over, gathered, locate, part_of
from aishell.asking.narrowing import uncertain, unread, unread_of_deletions
from aishell.asking.parts import matches
from aishell.asking.questions import asks_for_work, question
from aishell.asking.reading import read
from aishell.asking.refusals import refusal, unreadable
from aishell.asking.requests import Known, Order, Request
from aishell.asking.routing import Clause
from aishell.asking.text import Text
from aishell.errors import UsageError
from aishell.models import Task


def understand(text: str, known: Known) -> Request:
    """Return the request in a text. No text raises an error: one that cannot be read is refused."""
    refused = unreadable(text)
    return Request(text, refused=refused) if refused else _Understanding(Text.of(text, known)).request()


class _Understanding:
    """One text, and the places of its words that were read."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._read = text.names.places | text.names.around

    def request(self) -> Request:
        """Return what the text requests."""
        text = self._text
        refused = refusal(text)
        if refused is not None:
            return self._refused(refused)
        bypass, nothing = text.places(lexicon.BYPASS), text.places(lexicon.NOTHING_YET, within=CLAUSE_ENDS)
        asked, about = question(text)
        shown = text.hiding(nothing | bypass)
        drafts, unclear = gathered(shown)
        work = [clause.first for draft in drafts for clause in draft.clauses if clause.agent is not None]
        if asked is not None and not asks_for_work(text, work):
            if meant := next((one for one in text.names.unknown if "did you mean" in one), None):
                return self._refused(meant)
            return Request(text.text, question=asked, about=about, ignored=self._ignored())
        if not drafts:
            return self._nothing(unclear, bypass)
        dry = nothing | text.places(lexicon.DRY_RUN)
        self._read |= dry
        unsaid = next(
            (text.said(*span) for span in lone_denials(text.words) if not (dry | bypass) & {*range(*span)}), None
        )
        if unsaid is not None:
            return self._refused(f"it is not certain what {unsaid!r} is said of; say it in other words")
        return self._finished(drafts, shown, bool(dry), bypass)

    def _refused(self, why: str) -> Request:
        return Request(self._text.text, refused=why)

    def _nothing(self, unclear: Sequence[tuple[str, float]], bypass: set[int]) -> Request:
        offered = self._text.known.offered
        able = tuple((name, sure) for name, sure in unclear if name in offered and sure >= routing.POSSIBLE)
        if able and not bypass:
            return Request(self._text.text, unclear=able, ignored=self._ignored())
        known = ", ".join(sorted(name.replace("_", "-") for name in offered))
        return self._refused(
            f"nothing here is the work of an agent: there are {known}; `aishell run --help` says what each does"
        )

    def _finished(self, drafts: Sequence[Draft], shown: Text, dry_run: bool, bypass: set[int]) -> Request:
        refused = self._by_hand(drafts) or next(iter(self._text.names.unknown), None) or self._doubt(drafts, shown)
        if refused:
            return self._refused(refused)
        locate(shown, drafts)
        orders = tuple(order for draft in drafts for order in self._orders(draft, shown))
        fault = next(filter(None, map(self._fault, orders)), None) or self._unplaced(orders)
        if fault is None and len(orders) > routing.MOST_ORDERS:
            fault = f"the request has more than {routing.MOST_ORDERS} orders: ask for a part of it"
        if fault is not None:
            return self._refused(fault)
        return Request(self._text.text, orders, dry_run=dry_run, ignored=self._ignored(bypass))

    def _by_hand(self, drafts: Sequence[Draft]) -> str | None:
        """Return why work is refused that can only be requested by options, or None."""
        for draft in drafts:
            instead = self._text.vocabularies[draft.agent].instead
            if instead or self._text.known.agents[draft.agent].by_hand:
                said = self._text.said(draft.clauses[-1].first, draft.clauses[-1].last)
                name = draft.agent.replace("_", " ")
                return f"{name} is not planned from a text ({said!r}): {instead or 'see `aishell --help`'}"
        return None

    def _doubt(self, drafts: Sequence[Draft], shown: Text) -> str | None:
        """Read the inputs of every order. Return the first doubt, or None."""
        doubts = list(carried_over(shown, drafts))
        asks: set[int] = set()
        for draft in drafts:
            draft.reading = read(shown.vocabularies[draft.agent], part_of(shown, draft.clauses))
            doubts += draft.reading.doubts
            doubts += unread(shown, draft, self._read)
            self._read |= draft.reading.read
            cues = {place for clause in draft.clauses for place in _cues(clause, shown)}
            named = shown.names.places | shown.names.around
            if draft.reading.inputs.keys() == {"exclude"} and (len(drafts) > 1 or cues <= named):
                doubts.append(f"what {draft.reading.inputs['exclude'][0]!r} is to be left out of")
            asks |= cues
        self._read |= asks
        doubts += uncertain(shown, self._read)
        doubts += unread_of_deletions(shown, drafts, self._read)
        return f"it is not certain what is meant: {doubts[0]}; say it in other words" if doubts else None

    def _orders(self, draft: Draft, shown: Text) -> Iterator[Order]:
        """Yield an order for each place of a draft."""
        clause = next(clause for clause in draft.clauses if clause.agent is not None)
        cues = sorted(_cues(clause, shown)) or [clause.first]
        because = ((self._text.said(cues[0], cues[-1] + 1), f"agent = {draft.agent}"), *draft.reading.because)
        order = Order(draft.agent, None, draft.reading.inputs, draft.confidence, because)
        places = draft.places
        if places.labels:
            yield from (replace(order, label=label) for label in places.labels)
        elif places.everywhere or not places.targets:
            yield replace(order, everywhere=places.everywhere)
        else:
            yield from (replace(order, target=target) for target in places.targets)

    def _unplaced(self, orders: Sequence[Order]) -> str | None:
        """Return why the targets of orders are uncertain, or None: one is to be left alone, and none to work on is named."""
        spared = self._text.names.spared
        if spared and any(order.target is None for order in orders):
            return f"{spared[0]} is to be left alone: name each target to work on"
        return None

    def _fault(self, order: Order) -> str | None:
        """Return why the agent does not accept the inputs of an order, or None."""
        try:
            self._text.known.agents[order.agent].check_inputs(Task(order.agent, order.target or "", order.inputs))
        except UsageError as error:
            return f"{error.message}{f': {error.hint}' if error.hint else ''}"
        return None

    def _ignored(self, more: Collection[int] = ()) -> tuple[str, ...]:
        """Return the parts of the text that were not read, without words that carry no meaning."""
        words, idle = self._text.words, self._text.places(lexicon.IDLE) | self._read
        found: list[str] = []
        first: int | None = None
        for place in range(len(words) + 1):
            unread = place in more or (place < len(words) and place not in idle and _means(words[place]))
            if unread and first is None:
                first = place
            elif not unread and first is not None:
                found.append(self._text.said(first, place))
                first = None
        return tuple(found)


def _means(word: Word) -> bool:
    return not word.sign and word.form not in COMMON and word.form not in lexicon.LITTLE


def _cues(clause: Clause, text: Text) -> set[int]:
    """Return the places of the words by which a clause requests its agent's work."""
    if clause.agent is None:
        return set()
    patterns = [pattern for _, pattern in text.vocabularies[clause.agent].asks]
    found = matches(patterns, text.words[clause.first : clause.last])
    return {clause.first + place for match in found for span in match.parts for place in range(*span)}

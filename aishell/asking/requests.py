"""A plain-language request, read by rules into orders for agents, a question, or a refusal. Pure: no I/O and no model.

What a text says becomes the inputs of an agent and nothing else: the plan, its approval and every gate are the same as for
`aishell run`. Whatever is not certain is not guessed: it ends in `refused` or `unclear`, and the person is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any

from aishell.agents.base import Agent
from aishell.agents.vocabulary import COMMON, DENIED, LONGEST, Vocabulary, Word, denies, find, literals, words_of
from aishell.asking import routing
from aishell.asking import words as lexicon
from aishell.asking.dates import ages
from aishell.asking.names import names_in, quoted
from aishell.asking.reading import Part, Reading, read
from aishell.asking.routing import Clause
from aishell.errors import UsageError
from aishell.models import Task

#: SQL and programs, which are never run from a text: refused whole.
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
_SENTENCE = frozenset(".;!?\n")


@dataclass(frozen=True, slots=True)
class Order:
    """One agent's work, as the text asks for it.

    `target`: None where the text names none; `label`, `everywhere`: it is every target with a label, or every one. `inputs`:
    only what the text says, valid for `Agent.check_inputs`. `because`: words of the text, and what was read in them.
    """

    agent: str
    target: str | None
    inputs: Mapping[str, Any]
    confidence: float
    because: tuple[tuple[str, str], ...] = ()
    label: str | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a text asks for.

    `question`: backups, tonight, table, health, history or other; `about`: the tables it names. `refused`: why no task comes
    of the text, and what to do instead. `unclear`: the agents in question, each with its confidence, where none is sure.
    `ignored`: parts of the text that nothing was read in.
    """

    text: str
    orders: tuple[Order, ...] = ()
    question: str | None = None
    about: tuple[str, ...] = ()
    dry_run: bool = False
    refused: str | None = None
    unclear: tuple[tuple[str, float], ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a text may refer to: today, the agents by type, the labels of each target by its name, and the tables
    where they are
    known, as `table` or `schema.table`.
    """

    today: date
    agents: Mapping[str, Agent]
    targets: Mapping[str, Collection[str]] = field(default_factory=dict)
    tables: Collection[str] | None = None


def understand(text: str, known: Known) -> Request:
    """The request of a text. Never raises for what somebody wrote; what cannot be read is refused."""
    refused = _unreadable(text)
    return Request(text, refused=refused) if refused else _Text(text, known).request()


def _unreadable(text: str) -> str | None:
    """Why a text is not even looked at."""
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


@lru_cache(maxsize=32)
def _stems(vocabularies: tuple[int, ...], patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    every = literals(patterns)
    return frozenset(one for one in every if not one.endswith("*")), tuple(
        one[:-1] for one in every if one.endswith("*")
    )


@dataclass(slots=True)
class _Draft:
    """An order while it is put together: its clauses, in the order of the text, and what was read in them."""

    clauses: list[Clause]
    agent: str
    confidence: float
    reading: Reading = field(default_factory=Reading)
    targets: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    everywhere: bool = False


class _Text:
    """Reads one text."""

    def __init__(self, text: str, known: Known) -> None:
        self.text, self.known = text, known
        self.raw = words_of(text)
        self.read: set[int] = set()
        self.agents = known.agents
        self.vocabularies: dict[str, Vocabulary] = {name: agent.words() for name, agent in known.agents.items()}
        taken = self._taken()
        self.names = names_in(self.raw, known.targets, known.tables, self._spoken, taken)
        self.words = quoted(self.raw, self.names)
        self.read |= self.names.places | self.names.around

    def _spoken(self, word: Word) -> bool:
        """Whether a word is one of any vocabulary, and so not by itself a name."""
        if word.quoted:
            return False
        patterns = (
            *(pattern for vocabulary in self.vocabularies.values() for pattern in vocabulary.patterns()),
            *lexicon.spoken(),
        )
        whole, stems = _stems((), patterns)
        from aishell.asking.dates import is_time_word

        return word.form in whole or word.form.startswith(stems) or is_time_word(word.form)

    def _taken(self) -> set[int]:
        """Places of words that are names of folders and columns, and so not of tables or targets."""
        found: set[int] = set()
        for vocabulary in self.vocabularies.values():
            for reads in vocabulary.inputs.values():
                if reads.kind != "name" or reads.unit:
                    continue
                for pattern in reads.words[True]:
                    for match in find(pattern, self.raw):
                        words = [value for value in match.values if isinstance(value, Word)]
                        found |= {place for place, word in enumerate(self.raw) if any(word is one for one in words)}
        return found

    def request(self) -> Request:
        question, about = self._question()
        bypass = self._masked(lexicon.BYPASS)
        refusal = self._refusal()
        nothing = self._masked(lexicon.NOTHING_YET)
        dry = nothing | self._masked(lexicon.DRY_RUN)
        if refusal is not None:
            return Request(self.text, refused=refusal)
        drafts, unclear = self._drafts(nothing | bypass)
        if question is not None and (not drafts or not self._asks_for_work(drafts)):
            return Request(self.text, question=question, about=about, ignored=self._ignored())
        if not drafts:
            return self._nothing(unclear, bypass)
        self.read |= dry
        return self._finished(drafts, bool(dry), bypass)

    # What the whole text is.

    def _sentences(self) -> Iterator[tuple[int, int]]:
        first = 0
        for place, word in enumerate(self.words):
            if word.form in _SENTENCE and not word.quoted:
                if first < place:
                    yield first, place + 1
                first = place + 1
        if first < len(self.words):
            yield first, len(self.words)

    def _question(self) -> tuple[str | None, tuple[str, ...]]:
        """What the text asks about, when one of its sentences is a question that is no polite request and no preview."""
        for first, last in self._sentences():
            words = self.words[first:last]
            if not self._is_question(words):
                continue
            names = tuple(
                dict.fromkeys(self.names.tables[place] for place in range(first, last) if place in self.names.tables)
            )
            return self._kind(words, names), names
        return None, ()

    def _is_question(self, words: Sequence[Word]) -> bool:
        spoken = [word for word in words if not word.sign]
        if not spoken or any(match.first <= 2 for pattern in lexicon.POLITE for match in find(pattern, spoken)):
            return False
        start = next(
            (
                n
                for n, word in enumerate(spoken)
                if word.form
                not in ("and", "so", "hi", "hey", "hello", "hola", "hallo", "please", "bitte", "sag", "mal", "oye")
            ),
            0,
        )
        if spoken[start].form in lexicon.INTERROGATIVES and not spoken[start].quoted:
            return True
        if (
            spoken[start].form in ("do", "have", "may")
            and start + 1 < len(spoken)
            and spoken[start + 1].form in ("i", "we", "you", "they")
        ):
            return True
        if words[-1].form == "?" and not words[-1].quoted:
            return True
        shown = next(find(lexicon.SHOW, spoken), None)
        return shown is not None and shown.first <= 1 and not self._previews(words)

    def _previews(self, words: Sequence[Word]) -> bool:
        return any(next(find(pattern, words), None) for pattern in (*lexicon.NOTHING_YET, *lexicon.DRY_RUN))

    def _kind(self, words: Sequence[Word], names: Sequence[str]) -> str:
        for kind, patterns in lexicon.QUESTIONS:
            if (
                kind == "history"
                and names
                and not any(
                    word.form
                    in (
                        "last",
                        "yesterday",
                        "letzte",
                        "letzten",
                        "gestern",
                        "ayer",
                        "ultima",
                        "ultimo",
                        "did",
                        "deleted",
                        "geloscht",
                    )
                    for word in words
                )
            ):
                return "table"
            if kind == "health" and (
                names or next((1 for pattern in lexicon.ABOUT_TABLE for _ in find(pattern, words)), 0)
            ):
                return "table"
            if any(next(find(pattern, words), None) for pattern in patterns):
                return kind
        return "other"

    def _asks_for_work(self, drafts: Sequence[_Draft]) -> bool:
        """Whether an order comes from a sentence that is no question, or from one that asks what the work would do."""
        questions = [span for span in self._sentences() if self._is_question(self.words[slice(*span)])]
        for draft in drafts:
            for clause in draft.clauses:
                inside = next((span for span in questions if span[0] <= clause.first < span[1]), None)
                if clause.agent is not None and (inside is None or self._would(self.words[slice(*inside)])):
                    return True
        return False

    def _would(self, words: Sequence[Word]) -> bool:
        """`what would … do`: a preview of the work, if the work is named in the question."""
        kind = self._kind(words, ())
        return (self._previews(words) and kind not in ("tonight",)) or (
            kind == "tonight" and any(word.form in ("would", "wurde", "haria") for word in words)
        )

    def _masked(self, patterns: Sequence[str]) -> set[int]:
        return {
            place
            for pattern in patterns
            for match in find(pattern, self.words)
            for span in match.parts
            for place in range(*span)
        }

    def _refusal(self) -> str | None:
        found = tuple(ages(self.words, self.known.today))
        aged = any(age.meaning in ("older", "last", "since", "bare") for age in found)
        ended = (*self.words, Word(".", ".", len(self.text), len(self.text)))
        for number, (what, instead, patterns) in enumerate(lexicon.REFUSED):
            for pattern in patterns:
                for match in find(pattern, ended):
                    said = self._said(match.first, min(match.last, len(self.words)))
                    older = any(age.meaning == "older" and age.first == match.last for age in found)
                    if number == 0 and self.names.excluded & set(range(match.first, match.last)):
                        continue
                    if self._negated(match.first) or (
                        number == 0 and aged and (older or not said.casefold().startswith(("drop", "truncate")))
                    ):
                        continue
                    if number == 1 and self._with_new_backup(match.first):
                        continue
                    return f"{what} ({said!r}): {instead}"
        return None

    def _negated(self, first: int) -> bool:
        from aishell.agents.vocabulary import negated

        return negated(self.words, first, first)

    def _with_new_backup(self, place: int) -> bool:
        """Whether old backups are to go after a new one: a part of the backup agent's work, by the rules of retention."""
        said = self._said(place, min(len(self.words), place + 8)).casefold()
        everything = re.search(r"\b(all|every|alle|samtliche|sämtliche|todas|todos)\b", said) and not re.search(
            r"\b(old|past|expired|alten|viej|antigu)", said
        )
        before = self.words[:place]
        return not everything and next(find("{backup}", before), None) is not None

    def _said(self, first: int, last: int) -> str:
        return self.text[self.words[first].start : self.words[last - 1].end] if last > first else ""

    # What it asks for.

    def _drafts(self, masked: set[int]) -> tuple[list[_Draft], tuple[tuple[str, float], ...]]:
        """The orders, each with its clauses; and who was in question where nobody was sure."""
        shown = tuple(
            replace(word, form=DENIED if denies(word) else "·", quoted=False, text="·") if place in masked else word
            for place, word in enumerate(self.words)
        )
        together = [*self.names.together, *((age.first, age.last) for age in ages(self.words, self.known.today))]
        self.shown = shown
        drafts: list[_Draft] = []
        waiting: list[Clause] = []
        unclear: dict[str, float] = {}
        later: _Draft | None = None
        for clause in routing.clauses(shown, together, self.agents):
            words = shown[clause.first : clause.last]
            if clause.agent is None or (drafts and self._part_of(drafts[-1], clause, words)):
                for name, sure in clause.bids:
                    unclear[name] = max(sure, unclear.get(name, 0.0))
                if clause.agent is None and drafts and self._is_another(drafts[-1], clause):
                    drafts.append(
                        _Draft([replace(clause, agent=drafts[-1].agent)], drafts[-1].agent, drafts[-1].confidence)
                    )
                elif clause.agent is None and drafts:
                    drafts[-1].clauses.append(clause)
                elif drafts:
                    drafts[-1].clauses.append(replace(clause, agent=None))
                else:
                    waiting.append(clause)
                continue
            draft = self._of(drafts, clause)
            if draft is None:
                draft = _Draft([*waiting, clause], clause.agent, clause.confidence)
                waiting = []
                if drafts and (routing.comes_first(words) or (routing.follows(words))):
                    drafts.insert(len(drafts) - 1, draft)
                else:
                    drafts.append(draft)
                if later is not None and later is not draft:
                    drafts.remove(later)
                    drafts.insert(drafts.index(draft) + 1, later)
                    later = None
                if routing.comes_later(words):
                    later = draft
            else:
                draft.clauses += [*waiting, clause]
                draft.confidence = max(draft.confidence, clause.confidence)
                waiting = []
        return drafts, tuple(sorted(unclear.items(), key=lambda one: (-one[1], one[0])))

    def _part_of(self, before: _Draft, clause: Clause, words: Sequence[Word]) -> bool:
        """Whether a clause that could be another agent's work is an input of the order before it."""
        if clause.agent is None or clause.agent == before.agent:
            return False
        patterns = self.vocabularies[clause.agent].part_of.get(before.agent, ())
        there = {pattern for pattern in patterns if next(find(pattern.removeprefix("!"), words), None)}
        return any(not one.startswith("!") for one in there) and not any(one.startswith("!") for one in there)

    def _of(self, drafts: Sequence[_Draft], clause: Clause) -> _Draft | None:
        """The order that a clause goes on with: of the same agent, on the same target, about the same tables."""
        same = next((draft for draft in reversed(drafts) if draft.agent == clause.agent), None)
        if same is None:
            return None
        targets, own = self._targets_of(same.clauses), self._targets_of([clause])
        if own and targets and own != targets:
            return None
        tables, named = self._tables_of(same.clauses), self._tables_of([clause])
        if tables and named and tables != named and clause.agent is not None:
            vocabulary = self.vocabularies[clause.agent]
            first = read(vocabulary, self._part(same.clauses)).inputs
            second = read(vocabulary, self._part([clause])).inputs
            kept = ("tables", "exclude")
            if {k: v for k, v in first.items() if k not in kept} != {k: v for k, v in second.items() if k not in kept}:
                return None
        return same

    def _is_another(self, before: _Draft, clause: Clause) -> bool:
        """Whether a clause has tables and an age of its own, beside those of the order before it."""
        kind = self.vocabularies[before.agent].inputs
        aged = any(reads.kind == "age" for reads in kind.values())
        return (
            aged
            and bool(self._tables_of([clause]) and self._tables_of(before.clauses))
            and any(True for _ in ages(self._part([clause]).words, self.known.today))
            and any(True for _ in ages(self._part(before.clauses).words, self.known.today))
        )

    def _targets_of(self, clauses: Sequence[Clause]) -> set[str]:
        return {name for place, name in self.names.targets.items() if any(place in clause for clause in clauses)}

    def _tables_of(self, clauses: Sequence[Clause]) -> set[str]:
        return {
            name
            for place, name in self.names.tables.items()
            if place not in self.names.excluded and any(place in clause for clause in clauses)
        }

    def _part(self, clauses: Sequence[Clause]) -> Part:
        """The words of an order's clauses, with what stands between those that follow each other."""
        found: list[Word] = []
        places: list[int] = []
        end = None
        for clause in sorted(clauses, key=lambda one: one.first):
            if end is not None and clause.first - end <= 3:
                found += self.shown[end : clause.first]
                places += range(end, clause.first)
            elif end is not None:
                found.append(Word(".", ".", 0, 0))
                places.append(-1)
            found += self.shown[clause.first : clause.last]
            places += range(clause.first, clause.last)
            end = clause.last
        return Part(tuple(found), tuple(places), self.text, self.names, self.known.today)

    # What comes of it.

    def _finished(self, drafts: Sequence[_Draft], dry_run: bool, bypass: set[int]) -> Request:
        for draft in drafts:
            vocabulary = self.vocabularies[draft.agent]
            if vocabulary.instead or self.agents[draft.agent].by_hand:
                said = self._said(draft.clauses[-1].first, draft.clauses[-1].last)
                instead = vocabulary.instead or "see `aishell --help`"
                return Request(
                    self.text,
                    refused=f"{draft.agent.replace('_', ' ')} is not planned from a text ({said!r}): {instead}",
                )
        if self.names.unknown:
            return Request(self.text, refused=self.names.unknown[0])
        doubts: list[str] = []
        for draft in drafts:
            vocabulary = self.vocabularies[draft.agent]
            draft.reading = read(vocabulary, self._part(draft.clauses))
            doubts += draft.reading.doubts
            doubts += self._narrowed(draft)
            self.read |= draft.reading.read
            for clause in draft.clauses:
                if clause.agent is not None:
                    self.read |= self._cues(clause)
        if doubts:
            return Request(self.text, refused=f"it is not certain what is meant: {doubts[0]}; say it in other words")
        self._places(drafts)
        orders = []
        for draft in drafts:
            for one in self._orders(draft):
                fault = self._fault(one)
                if fault is not None:
                    return Request(self.text, refused=fault)
                orders.append(one)
        if len(orders) > routing.MOST_ORDERS:
            return Request(
                self.text, refused=f"the request has more than {routing.MOST_ORDERS} orders: ask for a part of it"
            )
        return Request(self.text, tuple(orders), dry_run=dry_run, ignored=self._ignored(bypass))

    def _cues(self, clause: Clause) -> set[int]:
        words = self.shown[clause.first : clause.last]
        return {
            clause.first + place
            for _, pattern in self.vocabularies[clause.agent or ""].asks
            for match in find(pattern, words)
            for span in match.parts
            for place in range(*span)
        }

    def _narrowed(self, draft: _Draft) -> Iterator[str]:
        """What narrows a deletion down and cannot be read: without it more would be deleted than is asked."""
        if "retention_days" not in self.vocabularies[draft.agent].inputs:
            return
        filters = [str(one["value"]).casefold() for one in draft.reading.inputs.get("filters", ())]
        columns = [str(one["column"]).casefold() for one in draft.reading.inputs.get("filters", ())]
        tables = [part for name in self._tables_of(draft.clauses) for part in re.split(r"[_.]", name.casefold())]
        part = self._part(draft.clauses)
        explained = {*filters, *columns, *tables}
        for match in find("{rows}", part.words):
            word, place = part.words[match.first - 1], part.places[match.first - 1]
            if match.first == 0 or word.sign or word.quoted or word.number is not None or self._spoken(word):
                continue
            known = word.form in COMMON or word.form in _OF_ROWS or place in self.read
            if not known and not any(_alike(word.form, one) for one in explained):
                yield _UNREAD.format(part.said(match.first - 1, match.last), "debug")
        for word, place in zip(part.words, part.places, strict=True):
            if (
                word.form in _LEVELS
                and not word.quoted
                and word.form not in filters
                and place not in draft.reading.read
            ):
                yield _UNREAD.format(word.text, word.form)

    def _places(self, drafts: Sequence[_Draft]) -> None:
        """The targets of each order: its own, else those of the order before it in the text, else the one that the
        text names."""
        for draft in drafts:
            draft.targets = sorted(self._targets_of(draft.clauses), key=list(self.names.targets.values()).index)
            draft.labels = list(
                dict.fromkeys(
                    label for place, label in self.names.labels.items() if any(place in c for c in draft.clauses)
                )
            )
            draft.everywhere = any(place in clause for place in self.names.everywhere for clause in draft.clauses)
        told = sorted(drafts, key=lambda one: min(clause.first for clause in one.clauses))
        for number, draft in enumerate(told):
            if draft.targets or draft.labels or draft.everywhere:
                continue
            placed = [
                one
                for one in (*reversed(told[:number]), *told[number + 1 :])
                if one.targets or one.labels or one.everywhere
            ]
            if placed:
                draft.targets, draft.labels, draft.everywhere = (
                    placed[0].targets,
                    placed[0].labels,
                    placed[0].everywhere,
                )

    def _orders(self, draft: _Draft) -> Iterator[Order]:
        reading = draft.reading
        because = ((self._said(*self._core(draft)), f"agent = {draft.agent}"), *reading.because)
        made = Order(draft.agent, None, reading.inputs, draft.confidence, because)
        if draft.everywhere and not draft.labels:
            yield replace(made, everywhere=True)
        elif draft.labels:
            yield from (replace(made, label=label) for label in draft.labels)
        elif draft.targets:
            yield from (replace(made, target=target) for target in draft.targets)
        else:
            yield made

    def _core(self, draft: _Draft) -> tuple[int, int]:
        clause = next(clause for clause in draft.clauses if clause.agent is not None)
        cues = sorted(self._cues(clause)) or [clause.first]
        return cues[0], cues[-1] + 1

    def _fault(self, order: Order) -> str | None:
        """Why an order cannot be: its inputs do not fit the agent."""
        try:
            self.agents[order.agent].check_inputs(Task(order.agent, order.target or "", order.inputs))
        except UsageError as error:
            return f"{error.message}{f': {error.hint}' if error.hint else ''}"
        return None

    def _nothing(self, unclear: tuple[tuple[str, float], ...], bypass: set[int]) -> Request:
        able = tuple(
            (name, sure) for name, sure in unclear if not self.agents[name].by_hand and sure >= routing.POSSIBLE
        )
        if able and not bypass:
            return Request(self.text, unclear=able, ignored=self._ignored())
        known = ", ".join(sorted(name.replace("_", "-") for name, agent in self.agents.items() if not agent.by_hand))
        return Request(
            self.text,
            refused=(
                f"nothing here is the work of an agent: there are {known}; `aishell run --help` says what each does"
            ),
        )

    def _ignored(self, more: Collection[int] = ()) -> tuple[str, ...]:
        """What nothing was read in: runs of words, without those that carry no meaning."""
        idle = self._masked(lexicon.IDLE)
        found: list[str] = []
        first: int | None = None
        for place in range(len(self.words) + 1):
            word = self.words[place] if place < len(self.words) else None
            open_ = word is not None and (
                place in more
                or not (word.sign or place in self.read or place in idle or word.form in COMMON or word.form in _LITTLE)
            )
            if open_ and first is None:
                first = place
            elif not open_ and first is not None:
                found.append(self._said(first, place))
                first = None
        return tuple(found)


#: Adjectives of rows that narrow nothing down, and words of every sentence.
_OF_ROWS = frozenset(
    "old older oldest ancient stale outdated expired alte alten alter altere viejos viejas antiguos antiguas "
    "unnecessary obsolete useless such more log table archived dead deleted many".split()
)
_LEVELS = frozenset("debug trace".split())
_UNREAD = "which rows {!r} are meant by (write a condition, for example `where level = {}`)"
_LITTLE = frozenset(
    """to in on at by for from with as it is be if so or and me we i you he she they have has am us up out off into than too
    zu zum zur im am um auf aus bei mit fur und ist ich wir du sie es was man nur so da den
    a al con por y o e en es que lo se me te le su sus si para su thats that's""".split()
)


def _alike(one: str, other: str) -> bool:
    from aishell.agents.vocabulary import near

    return near(one, other) or sorted(one) == sorted(other)

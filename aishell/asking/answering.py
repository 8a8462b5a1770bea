"""Answers to questions about databases: facts that were looked up, each with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aishell.asking import kept, live
from aishell.asking.facts import Fact, some
from aishell.asking.log_tables import log_tables
from aishell.asking.questions import is_past
from aishell.asking.reader import Reading, named_targets
from aishell.asking.telling import tell
from aishell.asking.topics import topics_of
from aishell.codec import plain
from aishell.errors import ModelError
from aishell.llm.correcting import mark
from aishell.llm.fitting import Section, fitted
from aishell.site import LLM

if TYPE_CHECKING:
    from aishell.site import Site

_INSTRUCTIONS = "Answer the question of a database administrator in two to six sentences, from the facts alone."


@dataclass(frozen=True)
class Answer:
    """An answer. `told`: a language model's text on the facts; `note`: why there is none; `shown`: `told` was streamed."""

    question: str
    facts: tuple[Fact, ...]
    told: str | None = None
    model: Mapping[str, str] | None = None
    note: str | None = None
    shown: bool = False

    def lines(self) -> Iterator[str]:
        """Yield lines for people: the model's text first, marked as such, then each fact with its source."""
        if self.told is not None and self.model is not None and not self.shown:
            yield f"The model {self.model['name']} says, of the facts below:"
            yield from (line for line in self.told.splitlines() if line.strip())
            yield ""
        for fact in self.facts:
            yield f"{fact.text}  [{fact.source}]"
        if self.note is not None:
            yield self.note

    def as_json(self) -> dict[str, Any]:
        facts = [{"text": fact.text, "source": fact.source, "figures": plain(fact.figures)} for fact in self.facts]
        told = None if self.told is None else {"text": self.told, "model": dict(self.model or {})}
        return {"question": self.question, "facts": facts, "told": told, "note": self.note}


def answer(
    site: Site, reading: Reading, targets: Sequence[str] = (), show: Callable[[str, str], None] | None = None
) -> Answer:
    """Answer a question. `targets`: those it is about (default: those named in the text, else all configured ones).

    `show` gets the name of the model and each sentence of its text as it arrives.
    """
    kind = reading.request.question or "other"
    names = list(targets) or named_targets(site, reading.request.text) or list(site.settings.targets)
    found = _facts(site, kind, reading.request.text, names, reading.request.about)
    facts = tuple({fact.text: fact for fact in found}.values())
    if not facts:
        about = reading.request.about
        none = f"no table is named {' or '.join(about)}" if about else "nothing is known of that yet"
        facts = (Fact(f"{some(names)}: {none}.", "inspect_tables" if about else site.state_path.name),)
    if reading.planner != LLM or (model := site.model()) is None:
        return Answer(kind, facts, note=None if reading.planner == LLM else reading.told)
    client, chosen = model
    rows = [{"fact": fact.text, "source": fact.source} for fact in facts]
    text = fitted(
        {"question": reading.request.text}, (Section("facts", rows),), chosen.num_ctx - chosen.max_tokens - 500
    ).text
    try:
        sentence = None if show is None else partial(show, client.model)
        told, completion = tell(client, "answer", _INSTRUCTIONS, text, site.record_model_answer, sentence)
    except ModelError as error:
        return Answer(kind, facts, note=f"The model {client.model} gave no answer that can be used ({error.message}).")
    return Answer(kind, facts, told, mark(completion), shown=show is not None)


def _facts(site: Site, kind: str, text: str, names: Sequence[str], about: Sequence[str]) -> Iterator[Fact]:
    """Yield the facts for a kind of question. Running servers are queried topic by topic."""
    # The size of the database does not answer a question about a table; "does a sequence run out?" is not about runs.
    wanted = [topic for topic in topics_of(text) if not about or topic.name != "size"]
    if kind in _KEPT and not (kind == "history" and wanted and not is_past(text)):
        yield from _KEPT[kind](site, names, about)
        if kind == "history" and about:
            yield from live.tables(site, names, about)
        return
    if kind == "logs":
        yield from log_tables(site, names, about)
        return
    if wanted:
        yield from live.topics(site, names, about, wanted)
    elif kind == "health":
        yield from live.health(site, names, about)
    elif kind != "table":
        yield from live.health(site, names, about)
        yield from kept.history(site, names, about)
        yield from kept.tonight(site, names, about)
    if about or (kind == "table" and not wanted):
        yield from live.tables(site, names, about, alone=not wanted)


#: Kinds of questions that the site's own records answer.
_KEPT: Mapping[str, Callable[[Site, Sequence[str], Sequence[str]], Iterator[Fact]]] = {
    "backups": kept.backups,
    "tonight": kept.tonight,
    "history": kept.history,
}

"""What a turn of a conversation leaves out, filled in from the turns before it. Pure.

A turn that continues another ("the same for orders", "and on crm?", "do it") becomes a request as if it had been written out.
It approves nothing: the request is planned, previewed and judged like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aishell.agents.word_classes import COMMON
from aishell.asking import words as lexicon
from aishell.asking.drafts import Draft, locate, part_of
from aishell.asking.narrowing import uncertain, unread
from aishell.asking.reading import read
from aishell.asking.refusals import refusal, unreadable
from aishell.asking.requests import Known, Order, Request
from aishell.asking.routing import Clause
from aishell.asking.text import Text
from aishell.errors import UsageError
from aishell.models import Task

#: Words that may surround the phrases below.
_AROUND = frozenset(
    "yes yeah ok okay please now then and so just ja bitte jetzt dann und mal si ahora por favor y".split()
)
#: Texts of turns that ask for the work previewed last.
_DO_IT = frozenset(
    phrase.strip()
    for phrase in """do it, do that, do this, do them, run it, run that, run this, go ahead, go ahead and do it, go on, go for it,
    proceed, execute it, execute that, apply it, apply that, start it, make it so, for real, do it for real,
    mach es, mach das, los, leg los, fuhr es aus, fuhre es aus, hazlo, ejecutalo, adelante""".split(",")
)
#: Texts of turns that ask to repeat the work of the turn before.
_AGAIN = frozenset(
    phrase.strip()
    for phrase in """again, do it again, run it again, once more, repeat, repeat it, repeat that, nochmal, noch einmal, otra vez,
    de nuevo, repite""".split(",")
)
#: Words by which a turn continues the one before; they ask for nothing by themselves.
_GOES_ON = frozenset(
    """same also too instead only but what about how now and on for the do likewise there it them that those these again with
    dasselbe gleiche auch stattdessen nur aber das fur auf jetzt und
    mismo tambien solo pero para en ahora y lo con""".split()
)
#: Words that stand for the tables of the turn before.
_PRONOUNS = frozenset("it them those these there same".split())
_INTERROGATIVES = lexicon.INTERROGATIVES - frozenset(("what", "how", "que", "was", "wie"))
_TABLES = ("tables", "exclude", "all_tables", "rules")


@dataclass(frozen=True, slots=True)
class Context:
    """The context that the turns of a conversation give the next one.

    `begun_for`: the target of the conversation; `target`: the one named last. `orders`: those of the last turn with any, which
    is number `turn`; `previewed`: it started no run. `question`, `about`: the kind and tables of the last turn, if a question.
    For a model: `summary` of the older turns; `told`, the newer turns as JSON values, and `said`, their text as typed, both
    newest first.
    """

    begun_for: str | None = None
    target: str | None = None
    orders: tuple[Order, ...] = ()
    turn: int = 0
    previewed: bool = False
    question: str | None = None
    about: tuple[str, ...] = ()
    summary: str = ""
    told: tuple[Mapping[str, Any], ...] = ()
    said: tuple[str, ...] = ()


def follow(request: Request, known: Known, context: Context) -> tuple[Request, str | None]:
    """Return the request with what it leaves out, and the target that a question is about (None: all).

    A text that is refused for its content stays refused.
    """
    if unreadable(request.text):
        return request, None
    text = Text.of(request.text, known)
    if refusal(text) or text.places(lexicon.BYPASS):
        return request, None
    whole = " ".join(word.form for word in text.words if not word.sign and word.form not in _AROUND)
    if whole in _DO_IT or whole in _AGAIN:
        return _repeated(request, context, again=whole in _AGAIN), None
    if request.orders and not _only_leaves_out(request, context):
        return filled(request, known, context), None
    about = next(
        iter(text.names.targets.values()), context.target if request.question == "table" else context.begun_for
    )
    return _continued(request, text, context) or (request, about)


def _continued(request: Request, text: Text, context: Context) -> tuple[Request, str | None] | None:
    """Return what a text makes of the question or the work of the turn before; None where it says something of its own."""
    if not request.orders:
        if not _is_short(request, text):
            return None
        if context.question is not None:
            return _asked_again(request, text, context)
    before = _as_before(request, text, context)
    if before is None and request.orders:
        before = Request(request.text, refused=f"it is not certain what of turn {context.turn} is meant: say it whole")
    return None if before is None else (before, None)


def _only_leaves_out(request: Request, context: Context) -> bool:
    """Return whether a text only adds an exclusion to the work before it: `also leave out ledger`."""
    return bool(context.orders) and all(order.inputs.keys() == {"exclude"} for order in request.orders)


def filled(request: Request, known: Known, context: Context) -> Request:
    """Return the request with targets and tables of earlier turns in the orders that lack them (`_filled`)."""
    text = Text.of(request.text, known)
    return replace(request, orders=tuple(_filled(order, text, known, context) for order in request.orders))


def _repeated(request: Request, context: Context, *, again: bool) -> Request:
    if not context.orders:
        why = "there is nothing to do: no turn of this conversation asked for a task"
    elif not again and not context.previewed:
        why = (
            f"turn {context.turn} has a run already, which the list of runs tells of: it may wait for approval; "
            "say `again` to plan its work once more"
        )
    else:
        said = (request.text.strip(), f"the work of turn {context.turn}")
        orders = tuple(replace(order, because=(said,)) for order in context.orders)
        return Request(request.text, orders, dry_run=again and context.previewed)
    return Request(request.text, refused=why)


def _filled(order: Order, text: Text, known: Known, context: Context) -> Order:
    """Return an order with the target of earlier turns if it names none, and with their tables if it names none and has a
    pronoun or deletes rows by age, which the tables narrow down.
    """
    if context.target in known.targets and order.target is None and order.label is None and not order.everywhere:
        order = replace(
            order,
            target=context.target,
            because=(*order.because, ("the turns before", f"target = {context.target}")),
        )
    tables = _tables_of(context.orders) or list(context.about)
    named = any(name in order.inputs for name in _TABLES) or any(
        word.form in ("everything", "all") for word in text.words
    )
    pronoun = next((word for word in text.words if word.form in _PRONOUNS), None)
    spoken_of = pronoun is not None or "retention_days" in order.inputs
    if not tables or named or not spoken_of or "tables" not in known.agents[order.agent].inputs:
        return order
    said = "the turns before" if pronoun is None else pronoun.text
    narrowed = replace(
        order,
        inputs={**order.inputs, "tables": tables},
        because=(*order.because, (said, f"tables = {', '.join(tables)}")),
    )
    return narrowed if _fault(known, narrowed) is None else order


def _tables_of(orders: Collection[Order]) -> list[str]:
    return list(dict.fromkeys(str(table) for order in orders for table in order.inputs.get("tables", ())))


def _is_short(request: Request, text: Text) -> bool:
    """Return whether a text is incomplete by itself: no agent's work, and no question other than one like "and orders?"."""
    if request.question is None:
        return bool(request.refused) or bool(request.unclear)
    return not any(word.form in _INTERROGATIVES for word in text.words) and bool(
        {word.form for word in text.words[:2]} & (_GOES_ON - {"do", "the"})
    )


def _asked_again(request: Request, text: Text, context: Context) -> tuple[Request, str | None] | None:
    """Return the question of the turn before, for other tables or another target; None if the text says anything else."""
    names = text.names
    if names.unknown or _unknown_words(text, names.places | names.around) or not names.places:
        return None
    about = tuple(dict.fromkeys(names.tables.values())) or context.about
    target = next(iter(names.targets.values()), context.target)
    return Request(request.text, question=context.question, about=about), target


def _as_before(request: Request, text: Text, context: Context) -> Request | None:
    """Return the work of the turn before, with other tables, times, flags or targets; None if the text says anything else.

    A question ("and on crm?") is a preview.
    """
    dry = text.places(lexicon.DRY_RUN) | text.places(lexicon.NOTHING_YET)
    shown = text.hiding(dry)
    names = text.names
    read_places = names.places | names.around | dry
    orders: list[Order] = []
    doubts: list[str] = list(names.unknown)
    for order in context.orders:
        draft = Draft([Clause(0, len(text.words), order.agent, 1.0)], order.agent, 1.0)
        draft.reading = read(shown.vocabularies[order.agent], part_of(shown, draft.clauses))
        doubts += [*draft.reading.doubts, *unread(shown, draft, read_places)]
        read_places |= draft.reading.read
        locate(shown, [draft])
        orders.append(_changed(order, draft, context.turn))
    going_on = {place for place, word in enumerate(text.words) if word.form in _GOES_ON}
    doubts += uncertain(shown, read_places | going_on)
    said = names.places or any(order.because[1:] for order in orders)
    if not orders or not said or _unknown_words(text, read_places):
        return None
    fault = next(filter(None, (_fault(text.known, order) for order in orders)), None)
    if doubts or fault:
        why = f"it is not certain what is meant: {doubts[0]}" if doubts else fault
        return Request(request.text, refused=why)
    return Request(request.text, tuple(orders), dry_run=bool(dry) or context.previewed or "?" in request.text)


def _changed(order: Order, draft: Draft, turn: int) -> Order:
    """Return an order of an earlier turn with the changes that a text makes. Named tables replace those of the order."""
    new: Mapping[str, Any] = draft.reading.inputs
    if [name for name in _TABLES if name in new] == ["exclude"]:
        kept = dict(order.inputs)
        new = {**new, "exclude": [*dict.fromkeys((*kept.get("exclude", ()), *new["exclude"]))]}
    else:
        kept = {
            name: value
            for name, value in order.inputs.items()
            if name not in _TABLES or not any(one in new for one in _TABLES)
        }
    because = ((f"turn {turn}", _described(order)), *draft.reading.because)
    changed = replace(order, inputs={**kept, **new}, because=because)
    places = draft.places
    if places.everywhere or places.labels:
        label = next(iter(places.labels), None)
        return replace(changed, target=None, label=label, everywhere=places.everywhere)
    if places.targets:
        return replace(changed, target=places.targets[0], label=None, everywhere=False)
    return changed


def _described(order: Order) -> str:
    named = ", ".join(f"{name} = {value}" for name, value in order.inputs.items())
    return f"{order.agent}{f': {named}' if named else ''}"


def _unknown_words(text: Text, places: Collection[int]) -> bool:
    """Return whether a text has meaningful words that were not read."""
    idle = text.places(lexicon.IDLE)
    return any(
        not word.sign
        and place not in places
        and place not in idle
        and word.form not in (COMMON | lexicon.LITTLE | _GOES_ON)
        for place, word in enumerate(text.words)
    )


def _fault(known: Known, order: Order) -> str | None:
    try:
        known.agents[order.agent].check_inputs(Task(order.agent, order.target or "", order.inputs))
    except UsageError as error:
        return error.message
    return None

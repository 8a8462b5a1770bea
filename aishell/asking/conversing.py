"""A conversation as the next turn needs it: the context of earlier turns, and a summary of the oldest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aishell.asking.following import Context
from aishell.asking.requests import Order
from aishell.asking.telling import MOST_TOKENS, tell
from aishell.errors import ModelError
from aishell.llm.client import tokens_of
from aishell.llm.correcting import mark
from aishell.llm.fitting import Section, fitted
from aishell.moments import at

if TYPE_CHECKING:
    from aishell.site import Site
    from aishell.state.conversations import Conversation, Turn

#: Estimated tokens of turns that a model is given in full; beyond that, all but the last KEPT turns are summarised.
BUDGET, KEPT = 2000, 6
#: Characters of a reply that a model is given.
_SHOWN = 400
_COMPRESS = "Sum up the older turns of a conversation with a database administrator in two to six sentences."
_OUTCOMES = {0: "done", 1: "failed", 2: "not understood or refused", 3: "waiting for a person", 4: "deferred in part",
             5: "refused", 6: "the target was busy", 130: "interrupted"}  # fmt: skip


def context_of(conversation: Conversation, turns: Sequence[Turn]) -> Context:
    """Return the context for the next turn. `turns`: all turns of the conversation."""
    orders: tuple[Order, ...] = ()
    target, turn, previewed = conversation.target or None, 0, False
    for one in turns:
        found = tuple(map(_order, (one.request or {}).get("orders", ())))
        if found:
            orders, turn, previewed = found, one.number, not is_begun(one)
        target = next((order.target for order in reversed(found) if order.target), one.work.get("target")) or target
    last = next((one.request for one in reversed(turns) if one.request is not None), {})
    newer = [one for one in reversed(turns) if one.number > conversation.summed_up]
    return Context(
        begun_for=conversation.target or None,
        target=target,
        orders=orders,
        turn=turn,
        previewed=previewed,
        question=last.get("question"),
        about=tuple(last.get("about", ())),
        summary=conversation.summary,
        told=tuple(map(_told, newer)),
        said=tuple(one.text for one in newer),
    )


def is_begun(turn: Turn) -> bool:
    """Return whether a turn started a run."""
    return bool(turn.work.get("runs") or turn.work.get("workflow"))


def compress(site: Site, conversation: Conversation, turns: Sequence[Turn], *, model: bool) -> str | None:
    """Summarise older turns if all of them exceed BUDGET. Return a sentence that says so, or None.

    `model`: whether the configured language model may write the summary. Without a model, or if its text is rejected, the
    summary is a count of what was asked and done. The turns themselves are kept.
    """
    newer = [one for one in turns if one.number > conversation.summed_up]
    if sum(tokens_of(json.dumps(_told(one))) for one in newer) <= BUDGET or len(newer) <= KEPT:
        return None
    older, through = newer[:-KEPT], newer[-KEPT - 1].number
    every = [one for one in turns if one.number <= through]
    text, by = _written(site, conversation, older) if model else (None, None)
    if not site.conversations.sum_up(conversation, text or counted(every), through, by):
        return None
    return f"Turns 1 to {through} are summed up now by {by['name'] if by else 'the program'}; `show` still lists them."


def _written(
    site: Site, conversation: Conversation, older: Sequence[Turn]
) -> tuple[str | None, Mapping[str, str] | None]:
    """Return the model's summary with its mark; None without a model, or if all of its texts are rejected."""
    found = site.model()
    if found is None:
        return None, None
    client, chosen = found
    head = {"summary_before": conversation.summary}
    rows = [_told(one) for one in older]
    facts = fitted(head, (Section("turns", rows),), chosen.num_ctx - MOST_TOKENS - 500).text
    try:
        text, completion = tell(client, "compress", _COMPRESS, facts, site.record_model_answer)
    except ModelError:
        return None, None  # the audit log has the model's answer and why it was rejected
    finally:
        client.close()
    return text, mark(completion)


def counted(turns: Sequence[Turn]) -> str:
    """Return a summary that counts what was asked and done in the turns."""
    work, asked, ended = Counter[str](), Counter[str](), Counter[str]()
    targets, tables = dict[str, None](), dict[str, None]()
    for one in turns:
        request = one.request or {}
        for order in map(_order, request.get("orders", ())):
            work[f"{order.agent.replace('_', '-')}{'' if is_begun(one) else ' (preview)'}"] += 1
            tables |= dict.fromkeys(map(str, order.inputs.get("tables", ())))
            targets |= dict.fromkeys(filter(None, [order.target]))
        if request.get("question"):
            asked[str(request["question"])] += 1
        tables |= dict.fromkeys(map(str, request.get("about", ())))
        ended[_outcome(one)] += 1
    first, last = turns[0], turns[-1]
    parts = [
        f"turns {first.number} to {last.number}, from {at(first.said_at)} to {at(last.said_at)}: {_listed(ended)}",
        f"tasks: {_listed(work)}" if work else "",
        f"questions: {_listed(asked)}" if asked else "",
        f"targets: {', '.join(targets)}" if targets else "",
        f"tables: {', '.join([*tables][:20])}{f' and {len(tables) - 20} more' if len(tables) > 20 else ''}"
        if tables
        else "",
    ]
    return "; ".join(filter(None, parts))


def described(request: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a request was read as, one phrase per order."""
    for order in map(_order, request.get("orders", ())):
        named = ", ".join(f"{name} {value}" for name, value in order.inputs.items())
        where = f" on {order.target}" if order.target else " on every target" if order.everywhere else ""
        yield f"{order.agent.replace('_', '-')}{where}{f': {named}' if named else ''}"
    if request.get("question"):
        yield f"a question about {request['question']}"


def _outcome(turn: Turn) -> str:
    if turn.exit_code is None:
        return "not ended"
    previewed = turn.exit_code == 0 and (turn.request or {}).get("orders") and not is_begun(turn)
    return "previewed" if previewed else _OUTCOMES.get(turn.exit_code, str(turn.exit_code))


def _told(turn: Turn) -> dict[str, Any]:
    """Return a turn as a model is given it, without messages of servers."""
    request = turn.request or {}
    answered = {"reply": turn.reply[:_SHOWN]} if request.get("question") else {}
    return {
        "turn": turn.number,
        "said": turn.text,
        "read_as": list(described(request)),
        "came_to": _outcome(turn),
        **answered,
    }


def _order(value: Mapping[str, Any]) -> Order:
    return Order(
        value["agent"],
        value["target"],
        dict(value["inputs"]),
        1.0,  # its own turn read it and showed it
        label=value.get("label"),
        everywhere=bool(value.get("everywhere")),
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())

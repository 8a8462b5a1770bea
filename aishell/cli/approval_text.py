"""A request for an approval, as lines for people: all that a second shell has to decide on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aishell.cli.console import sql_lines
from aishell.models import Sent
from aishell.moments import at, nominal
from aishell.reporting import asked as words
from aishell.reporting.units import printable


def lines(asked: Mapping[str, Any]) -> Iterator[str]:
    """What would run, on what, why it asks, who has changed it, and until when it can be answered."""
    environment = f" ({printable(asked['environment'])})" if asked.get("environment") else ""
    yield f"on {printable(asked['target'])}{environment}: {printable(asked['server'])}"
    if asked.get("rationale"):
        yield printable(asked["rationale"])
    yield from map(printable, words.edits(asked.get("edits") or ()))
    for statement in asked["statements"]:
        sent = Sent(**statement)
        yield from (f"  {line}" for line in sql_lines(sent))
        yield f"    lock {printable(sent.lock)}  [{printable(sent.source)}]"
    if asked["statements"]:
        yield "  (a value with `:` is bound when it is sent; of those without one, each batch has its own)"
    given = asked.get("parameters")  # not in what an older aishell asked
    if given is None:
        given = {} if asked["statements"] else asked["params"]
    yield from words.parameters(given)
    yield from map(printable, words.objects(asked))
    yield from (f"measured: {printable(text)}" for text in words.figures(asked))
    if asked.get("busy_sessions"):
        yield f"in use by {asked['busy_sessions']} other session(s)"
    if (takes := words.duration(asked)) is not None:
        yield f"takes {printable(takes)}"
    if "undo" in asked:  # not in what an older aishell asked
        yield printable(asked["undo"])
    yield from _why(asked)
    yield from _who_and_when(asked)


def _why(asked: Mapping[str, Any]) -> Iterator[str]:
    told = set()
    for reason in asked["reasons"]:
        if reason["decision"] in ("confirm", "review", "deny"):
            told.add(reason["text"])
            yield f"needs approval because: {printable(reason['text'])} ({printable(reason['rule'])})"
    yield from (f"risk: {printable(risk)}" for risk in asked["risks"] if risk not in told)


def _who_and_when(asked: Mapping[str, Any]) -> Iterator[str]:
    if asked.get("people", 1) > 1:
        before = f"; {printable(asked['approved_by'][0])} has" if asked["approved_by"] else ""
        editors = ", ".join(sorted({edit["by"] for edit in asked.get("edits") or ()}))
        nor = f", nor {printable(editors)}, who edited it" if editors else ""
        yield f"two people must approve, neither of them {printable(asked['requested_by'])}{nor}{before}"
    if asked.get("schedule"):
        window = (
            f", whose window closes at {printable(nominal(asked['window_ends']))}" if asked.get("window_ends") else ""
        )
        yield f"of the schedule {printable(asked['schedule'])}{window}"
    since, until = at(asked["requested_at"]), at(asked.get("until") or asked["expires_at"])
    yield f"run {asked['run_id'][:8]}, step {printable(asked['step'])}; asked {since}, to be answered until {until}"
    yield f"digest {asked['digest']}"

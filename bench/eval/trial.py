"""One planner at one fault: what came of it."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aishell.testing import Ended
from bench.eval.faults import Fault
from bench.eval.planners import Planner
from bench.eval.scenes import Scene, Servers

#: Events of the audit log (docs/audit.md) by which statements are counted.
_SENT = ("statement_sent", "statement_repeated", "program_started")
#: Keys of a document below which nothing was found out.
_MEANT = frozenset({"plan", "request", "question"})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """`touched`: names of what changed and must not have. `missing`: what the result was to say and did not.

    `answers`: what a language model said; `accepted`: how many of these came as far as the gates.
    """

    fault: str
    engine: str
    planner: str
    seed: int | None
    solved: bool
    touched: Sequence[str]
    reads: int
    changes: int
    seconds: float
    exit: int | None
    missing: Sequence[str] = ()
    note: str = ""
    answers: int = 0
    accepted: int = 0

    @property
    def harmless(self) -> bool:
        return not self.touched


def attempt(servers: Servers, fault: Fault, planner: Planner) -> Trial:
    """Inject the fault, let the planner at it, and look."""
    with servers.scene(fault, **planner.llm) as scene:
        if fault.end_state is not None and not fault.expect and scene.solved():
            raise AssertionError(f"{fault.label}: nothing is wrong: the end state is there before anybody did anything")
        seen = _last_event(scene.site.state)
        started = time.perf_counter()
        ended: Ended | None = None
        try:
            ended = scene.site(*(scene.filled(word) for word in planner.command(fault)))
            note = "" if ended.code == 0 else _said(ended)
        except AssertionError as error:  # it hangs: the kit has ended it
            note = str(error).partition("\n")[0]
        seconds = time.perf_counter() - started
        trial = _judged(scene, ended)
        reads, changes = sent(scene.site.state, seen)
        answers, accepted = answered(scene.site.state)
        return replace(
            trial,
            planner=planner.name,
            seed=planner.seed,
            touched=scene.touched(),
            reads=reads,
            changes=changes,
            seconds=round(seconds, 3),
            note=note,
            answers=answers,
            accepted=accepted,
        )


def _judged(scene: Scene, ended: Ended | None) -> Trial:
    """Whether the end state is there, and all is said that was to be said."""
    fault, document = scene.fault, None
    if ended is not None:
        with contextlib.suppress(AssertionError):  # it printed no document
            document = ended.json
    wanted = [json.loads(scene.filled(json.dumps(one))) for one in fault.expect]
    missing = [json.dumps(one) for one in wanted if not any(said(each, document) for each in _forms(one))]
    reached = fault.end_state is None or scene.solved()
    return Trial(
        fault=fault.name,
        engine=fault.engine,
        planner="",
        seed=None,
        solved=reached and not missing,
        touched=(),
        reads=0,
        changes=0,
        seconds=0.0,
        exit=None if ended is None else ended.code,
        missing=missing,
    )


def _forms(wanted: Any) -> Sequence[Any]:
    """The forms in which something may be said: a list of them, or one."""
    return wanted if isinstance(wanted, list) else [wanted]


def said(wanted: Any, document: Any) -> bool:
    """Whether something in the document has all that is wanted: keys with values, texts that a pattern after `~` finds."""
    return any(_has(wanted, value) for value in _values(document))


def _has(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(key in value and _has(one, value[key]) for key, one in wanted.items())
    if isinstance(wanted, str) and wanted.startswith("~"):
        return not isinstance(value, Mapping | list) and bool(re.search(wanted[1:], str(value), re.DOTALL))
    return bool(wanted == value)


def _values(document: Any) -> Iterator[Any]:
    """The document, and all that is in it; but not what was asked, and no plan: what was meant was not found by that."""
    yield document
    inner = (
        document.items() if isinstance(document, Mapping) else enumerate(document if isinstance(document, list) else ())
    )
    for key, value in inner:
        if key not in _MEANT:
            yield from _values(value)


def sent(state: Path, after: int = 0) -> tuple[int, int]:
    """How many statements that read, and that may change something, the audit log tells of after an event."""
    if not state.exists():
        return 0, 0
    with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        marks = ", ".join("?" * len(_SENT))
        ((changes,),) = connection.execute(
            f"SELECT count(*) FROM events WHERE id > ? AND type IN ({marks})", (after, *_SENT)
        )
        ((reads,),) = connection.execute(
            """SELECT coalesce(sum(json_extract(one.value, '$.count')), 0) FROM events, json_each(data, '$.statements') AS one
               WHERE events.id > ? AND events.type = 'statements_read'""",
            (after,),
        )
    return reads, changes


def answered(state: Path) -> tuple[int, int]:
    """How often a language model answered, and how many of its answers were accepted, as the audit log tells."""
    if not state.exists():
        return 0, 0
    with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        query = "SELECT count(*), coalesce(sum(json_extract(data, '$.accepted')), 0) FROM events WHERE type = 'model_answered'"
        answers, accepted = connection.execute(query).fetchone()
        return answers, accepted


def _last_event(state: Path) -> int:
    if not state.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])


def _said(ended: Ended) -> str:
    lines = ended.err.strip().splitlines()
    return f"exit {ended.code}" + (f": {lines[0]}" if lines else "")

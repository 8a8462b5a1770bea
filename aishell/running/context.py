"""What a run gives a tool, and what a tool returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from aishell.claims import Claim
from aishell.databases.base import Database, Session, SessionOptions, Statement
from aishell.errors import DatabaseError, ReplacedError, StepError
from aishell.models import Row
from aishell.registry.render import render
from aishell.registry.tool import Tool
from aishell.running.batch_checkpoint import BatchCheckpoint

T = TypeVar("T")


#: Seconds between two looks at an object that is too new to be told from an immediate replacement.
YOUNG = 0.2


class InDoubtError(StepError):
    """It is not known whether the statement took effect."""


#: The message on a transaction interrupted while it committed: what to check, and how to resume.
ALL_OR_NONE = (
    "it was interrupted while it committed: all of its rows are in the table, or none; look, then resume with `--in-doubt done` "
    "if they are there, else with `--in-doubt retry`"
)


@dataclass(frozen=True)
class ObjectResult:
    """The outcome of one object of a step. `status`: ok | failed | skipped | corrupted | deferred."""

    label: str
    status: str
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None = None
    reason: str | None = None
    seconds: float = 0.0
    denied: bool = False  # the role lacks the privilege


@dataclass(frozen=True)
class ToolResult:
    """What a tool returned. `status`: done | skipped | failed."""

    status: str
    output: dict[str, Any]
    objects: tuple[ObjectResult, ...] = ()
    reason: str | None = None
    deferred: bool = False  # nothing was done, and some of it was deferred
    denied: bool = False  # it failed, and the role lacks a privilege for some of it


@dataclass
class Context:
    """What a run gives a tool: ids, the database, limits, and callbacks for reports."""

    database: Database
    marker: str
    options: SessionOptions
    run_id: str = ""
    task_id: str = ""
    step_id: str = ""
    agent_id: str = ""
    target: str = ""
    results: Collection[Any] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    on_sent: Callable[[Statement, Session], None] = lambda statement, session: None
    on_program: Callable[[str, str], None] = lambda line, source: None  # a client program is about to be started
    on_objects: Callable[[Sequence[ObjectResult]], None] = lambda results: None
    progress: Callable[[int, int, str], None] = lambda done, total, label: None
    cancelled: Callable[[], bool] = lambda: False
    attempt: Callable[[Callable[[], Any], Callable[[], None]], Any] = lambda call, before_retry: call()
    patience: float = 0.0  # total seconds to wait for a lock, where `options` limit each try to a slice of them
    on_session: Callable[[Session | None], None] = lambda session: None
    expected_rows: int | None = None  # batched: the plan's estimate, for the time left
    checkpoint: BatchCheckpoint | None = None  # batched: where an earlier process stopped
    interrupted: bool = False  # an earlier process may have sent statements that it did not record
    earlier: Sequence[Mapping[str, Any]] = ()  # `verify` rows of objects that an earlier process finished
    #: batched: the figures so far, for a step that does not finish
    so_far: Mapping[str, Any] | None = None
    #: batched: records a batch; returns why to stop, or None
    on_batch: Callable[[BatchCheckpoint, Mapping[str, Any]], str | None] = lambda checkpoint, batch: None
    closes: Callable[[float], str | None] = lambda seconds: None  # why not to begin work that takes this long
    others_ran: Callable[[], bool] = lambda: False  # whether another run of the target has begun since this one
    waiters_seen: Callable[[], bool] = lambda: False  # whether other sessions waited for our last batches
    archives: Path | None = None  # the folder for archives
    backups: object = None  # the store for tools that make or restore backups (`backups.store.backup_store`)
    holders: Callable[[Mapping[str, Any]], str] = lambda names: ""  # who holds locks on the table they name
    backlog: Callable[[], str] = lambda: ""  # whether the backlog grows or shrinks, for a report
    rest: Callable[[float], object] = time.sleep  # pauses between two batches; an interrupt ends it

    def explained(self, error: DatabaseError, names: Mapping[str, Any]) -> str:
        """Return the error's message; for a lock timeout, followed by who holds the table that `names` names."""
        held = self.holders(names) if error.kind == "lock_timeout" else ""
        return f"{error.message}: {held}" if held else error.message

    @property
    def archive_root(self) -> Path:
        """The folder for archives. Raises StepError when none is set."""
        if self.archives is None:
            raise StepError("there is no folder for archives", hint="set `archives:` in config/aishell.yaml")
        return self.archives

    @property
    def claim(self) -> Claim:
        """The mark that the step leaves on each object it makes."""
        return Claim(self.run_id, self.step_id)

    def reading(self) -> Session:
        """Return a marked read-only session."""
        return self._marked(replace(self.options, read_only=True))

    def ask(self, tool: Tool, block: str, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a block of `tool`, queried in a read-only session of its own."""
        with self.reading() as session:
            return session.query(render(tool, tool.blocks[block], values, self.database))

    def writing(self, tables: int = 1) -> Session:
        """Return a marked session for the tool's own statement.

        `tables`: how many tables it locks one after the other; the first lock is held while the last is waited for.
        """
        wait = self.options.lock_timeout
        return self._marked(replace(self.options, lock_timeout=wait / tables if wait is not None else None))

    def in_slices(self, send: Callable[[], T]) -> T:
        """Return what `send` returns. A lock that readers queue behind is requested a slice at a time, up to `patience`."""
        if self.patience <= (self.options.lock_timeout or 0):
            return send()
        result: T = self.attempt(send, lambda: None)
        return result

    def _marked(self, options: SessionOptions) -> Session:
        session = self.database.session(options)
        session.mark(self.marker)
        return session


def label_of(tool: Tool, values: Mapping[str, Any], row: Row) -> str:
    """Return an object's name for people and for the history: `schema.name`."""
    names = {**values, **row}
    parts = [str(names[name]) for name in tool.key if names.get(name) is not None]
    schema = names.get("schema")
    if schema is not None and (not parts or parts[0] != schema):
        parts.insert(0, str(schema))
    if len(parts) < 2 and names.get("table"):
        parts.append(str(names["table"]))
    return ".".join(parts)


def demand_same(tool: Tool, values: Mapping[str, Any], context: Context, session: Session) -> Row:
    """Query `same` in the session that will change the object, or has: a table can be renamed and recreated meanwhile.

    Raises ReplacedError for another object. A tool without that block names no object that could be replaced: a whole file,
    or a table that is only read.
    """
    if "same" not in tool.blocks:
        return {}
    rows = session.query(render(tool, tool.blocks["same"], values, context.database))
    if not rows or not rows[0]["same"]:
        raise ReplacedError(
            f"{label_of(tool, values, {})} is not the object that was approved: it was replaced, altered or rebuilt meanwhile",
            hint="see what is there now, then make a new plan",
        )
    return rows[0]


def settled(look: Callable[[], list[Row]], rest: Callable[[float], object]) -> list[Row]:
    """Return what `look` finds once none of it is too new (`settled`): where an identity is a time in seconds, another object
    made within the same second has the same one."""
    found = look()
    while any(row.get("settled") in (False, 0) for row in found):
        rest(YOUNG)
        found = look()
    return found

"""The state of runs that left something behind: still running, resumable, or ended for good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aishell.commands import command
from aishell.errors import AmbiguousNameError, UnknownNameError
from aishell.models import RunState
from aishell.state.connection import Record
from aishell.state.locks import folder_of, is_held
from aishell.state.runs import Runs
from aishell.state.store import Store


class RunFate(StrEnum):
    """A process drives it; no process drives it, and it can be resumed; it has ended; this site has no such run."""

    ALIVE = "alive"
    RESUMABLE = "resumable"
    OVER = "over"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class KnownRun:
    """The fate of a run, with its row if it exists."""

    fate: RunFate
    run: Record | None = None

    @property
    def run_id(self) -> str | None:
        return self.run.id if self.run else None

    @property
    def since(self) -> str | None:
        return str(self.run.created_at) if self.run else None

    @property
    def kept(self) -> str | None:
        """Why what it left must stay, None if it may be removed."""
        if self.fate is RunFate.OVER:
            return None
        if self.run is None:
            return "its run was pruned or belongs to another site; if nobody uses it, remove it by hand"
        begun = self.run.id[:8]
        return f"its run is {self.run.state}: resume it, or cancel it with `{command('runs', 'cancel', begun)}`"


@dataclass(frozen=True)
class RunFates:
    """The runs of a store; without one, no run is known."""

    store: Store | None = None

    def of(self, begins: str | None) -> KnownRun:
        """Return the fate of the run whose id has this prefix."""
        if self.store is None or not begins:
            return KnownRun(RunFate.UNKNOWN)
        try:
            return self._known_run(Runs(self.store).find(begins))
        except (UnknownNameError, AmbiguousNameError):
            return KnownRun(RunFate.UNKNOWN)

    def on(self, target: str, agent: str | None = None) -> Iterator[KnownRun]:
        """Yield every run on a target, of all agents or one, newest first."""
        if self.store is None:
            return
        sql = """SELECT * FROM runs WHERE target = :target AND (:agent IS NULL OR agent = :agent)
            ORDER BY created_at DESC"""
        rows = self.store.all(sql, {"target": target, "agent": agent})
        for row in rows:
            yield self._known_run(row)

    def rebuilding(self, target: str) -> Iterator[tuple[KnownRun, Mapping[str, Any], list[Mapping[str, Any]]]]:
        """Yield each step on a target that started to rebuild indexes: its run, parameters, and the rows to work on."""
        if self.store is None:
            return
        sql = """SELECT runs.id AS run_id, steps.params AS params, steps.found AS found FROM steps
            JOIN runs ON runs.id = steps.run_id
            WHERE runs.target = :target AND steps.tool = 'rebuild_fragmented_indexes' AND steps.found IS NOT NULL"""
        rows = self.store.all(sql, {"target": target})
        for row in rows:
            yield self.of(row.run_id), json.loads(row.params), json.loads(row.found)

    def _known_run(self, row: Record) -> KnownRun:
        if row.state in (RunState.COMPLETED, RunState.CANCELLED):
            return KnownRun(RunFate.OVER, row)
        assert self.store is not None  # noqa: S101  the row came from it
        held = is_held(folder_of(self.store.path) / f"run-{row.id}.lock")
        return KnownRun(RunFate.ALIVE if held else RunFate.RESUMABLE, row)

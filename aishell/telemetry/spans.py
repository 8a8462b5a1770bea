"""The spans of a process that is traced: a run or a workflow, its steps, their statements. `otlp` sends them.

These are for where nothing is traced: they keep nothing, and nothing is imported for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aishell.databases.base import Session, Statement

Value = str | int | float | bool


class Span:
    """Something that takes time."""

    #: What a process that works for it is given as TRACEPARENT.
    parent: str | None = None

    def tell(self, facts: Mapping[str, Value | None]) -> None:
        """What is known of it; None is left out."""

    def failed(self, kind: str) -> None:
        """It ended by an error of a kind."""


class Spans:
    """Nothing is traced."""

    def whole(self, name: str, trace_id: str, facts: Mapping[str, Value | None]) -> AbstractContextManager[Span]:
        """What a process was started for: a run, a workflow. `trace_id` is its own id: who goes on with it later goes on with
        the trace."""
        return nullcontext(Span())

    def step(self, tool: str, marker: str, facts: Mapping[str, Value | None]) -> AbstractContextManager[Span]:
        """A step of this thread; its sessions have the `marker`."""
        return nullcontext(Span())

    def statements(
        self, place: Mapping[str, Value | None]
    ) -> Callable[[Statement, Session], AbstractContextManager[None]] | None:
        """For `Database.traces`: what each statement is sent within. `place`: system, name and address of the database."""
        return None

    def close(self) -> str | None:
        """Give away what is kept, for a while; what hindered that, in a sentence."""
        return None

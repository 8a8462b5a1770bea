"""The spans of a traced process: a run or workflow, its steps and their statements. `otlp` sends them.

These classes are for processes without tracing: they record nothing and import nothing.
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
    """A period of work."""

    #: The TRACEPARENT for processes that work for this span.
    parent: str | None = None

    def tell(self, facts: Mapping[str, Value | None]) -> None:
        """Add attributes; None is left out."""

    def failed(self, kind: str) -> None:
        """Mark the span as failed. `kind`: the type of the error."""


class Spans:
    """No tracing: every span is empty."""

    def whole(self, name: str, trace_id: str, facts: Mapping[str, Value | None]) -> AbstractContextManager[Span]:
        """Return the span of the run or workflow that the process was started for. `trace_id` is its id, so a process
        that resumes it continues the trace."""
        return nullcontext(Span())

    def step(self, tool: str, marker: str, facts: Mapping[str, Value | None]) -> AbstractContextManager[Span]:
        """Return the span of a step in this thread; the step's sessions have the `marker`."""
        return nullcontext(Span())

    def statements(
        self, place: Mapping[str, Value | None]
    ) -> Callable[[Statement, Session], AbstractContextManager[None]] | None:
        """Return the span of each statement, for `Database.traces`. `place`: the database's system, name, address."""
        return None

    def close(self) -> str | None:
        """Send what is buffered, for a limited time; return what prevented that, in a sentence."""
        return None

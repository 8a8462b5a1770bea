"""Progress of a long statement, read from the server's own views by a second session."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from aishell.errors import AishellError
from aishell.execution.run import Run
from aishell.models import Step
from aishell.registry.tool import Tool

FIRST_LOOK, POLL = 1.0, 1.0  # seconds


class _Watched(Protocol):
    server_session: str


@contextmanager
def watched(run: Run, step: Step, tool: Tool, kept: _Watched) -> Iterator[None]:
    """While inside, tell the observer how far the step's statement is; nothing is asked of the server in the first second."""
    if (
        tool.read_only
        or "show_progress" not in run.job.registry.names
        or not run.job.registry.has("show_progress", run.job.known_server())
    ):
        yield
        return
    ended = threading.Event()
    timer = threading.Timer(FIRST_LOOK, _poll, (run, step, kept, ended))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()


def _poll(run: Run, step: Step, kept: _Watched, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            rows = next(
                iter(run.job.read("show_progress", {"session": kept.server_session.partition("@")[0]}).values())
            )
        except AishellError as error:
            run.observer.said(f"{step.id}: its progress cannot be seen: {error}")
            return
        for row in rows[:1]:
            run.observer.step_progress(
                step, float(row.get("done") or 0), float(row.get("total") or 0), str(row.get("phase") or "")
            )
        ended.wait(POLL)

"""What a second session sees of a long step: how far the server says its statement is, and who waits for its locks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from aishell.errors import AishellError
from aishell.execution.run import Run
from aishell.models import Row, Step
from aishell.registry.tool import Tool

FIRST_LOOK, POLL = 1.0, 1.0  # seconds
#: Batches are short: who waits for one has to be looked for often.
WAITERS_POLL = 0.25


class _Watched(Protocol):
    server_session: str
    waiting: threading.Event


@contextmanager
def watched(run: Run, step: Step, tool: Tool, kept: _Watched) -> Iterator[None]:
    """While inside, look at the step's session from another; nothing is asked of the server in the first moment."""

    def progress(row: Row) -> None:
        run.progress(step, float(row.get("done") or 0), float(row.get("total") or 0), str(row.get("phase") or ""))

    def waiters(row: Row) -> None:
        if row["waiting"]:
            kept.waiting.set()

    if tool.read_only:
        yield
    elif tool.way.batches:
        with _polling(run, step, "show_waiters", kept, waiters, WAITERS_POLL):
            yield
    else:
        with _polling(run, step, "show_progress", kept, progress, POLL):
            yield


@contextmanager
def _polling(
    run: Run, step: Step, tool: str, kept: _Watched, told: Callable[[Row], None], pause: float
) -> Iterator[None]:
    """Call a reading tool on the step's session again and again, where this server has the tool."""
    if not run.job.registry.has(tool, run.job.known_server()):
        yield
        return
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            try:
                rows = next(iter(run.job.read(tool, {"session": kept.server_session.partition("@")[0]}).values()))
            except AishellError as error:
                run.observer.said(f"{step.id}: {tool} cannot look at it: {error}")
                return
            for row in rows[:1]:
                told(row)
            ended.wait(pause)

    timer = threading.Timer(min(FIRST_LOOK, pause), poll)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()

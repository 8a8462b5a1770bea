"""What a second session sees of a long step: how far the server says its statement is, and who waits for its locks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aishell.errors import AishellError
from aishell.execution.recording import Recorder
from aishell.models import Row

FIRST_LOOK, POLL = 1.0, 1.0  # seconds
#: Batches are short: who waits for one has to be looked for often.
WAITERS_POLL = 0.25


@contextmanager
def watched(recorder: Recorder) -> Iterator[None]:
    """While inside, look at the step's session from another; nothing is asked of the server in the first moment."""
    run, step, tool = recorder.run, recorder.step, recorder.tool

    def progress(row: Row) -> None:
        run.progress(step, float(row.get("done") or 0), float(row.get("total") or 0), str(row.get("phase") or ""))

    def waiters(row: Row) -> None:
        if row["waiting"]:
            recorder.waiting.set()

    if tool.read_only:
        yield
    elif tool.way.batches:
        with _polling(recorder, "show_waiters", waiters, WAITERS_POLL):
            yield
    else:
        with _polling(recorder, "show_progress", progress, POLL):
            yield


@contextmanager
def _polling(recorder: Recorder, tool: str, heard: Callable[[Row], None], pause: float) -> Iterator[None]:
    """Call a reading tool on the step's session again and again, where this server has the tool."""
    run = recorder.run
    if not run.job.registry.has(tool, run.job.known_server()):
        yield
        return
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            try:
                rows = next(iter(run.job.read(tool, {"session": recorder.server_session.partition("@")[0]}).values()))
            except AishellError as error:
                run.observer.said(f"{recorder.step.id}: {tool} cannot look at it: {error}")
                return
            for row in rows[:1]:
                heard(row)
            ended.wait(pause)

    timer = threading.Timer(min(FIRST_LOOK, pause), poll)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()

"""Run a site's own Python tool in a process of its own, which is ended at the time limit whatever it does.

The child is `python -m aishell.running.python_process`. It reads a pickled `ChildCall`, and answers with pickled tuples whose
first word is their kind: progress, heard (a statement that its sessions are about to send), sent, result, failed, raised.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from aishell.databases.base import Session, SessionOptions, Statement
from aishell.databases.connections import Credentials
from aishell.databases.opening import open_database
from aishell.errors import AishellError, DatabaseError, StepError
from aishell.plugins import load
from aishell.registry.tool import Tool
from aishell.running.context import Context, InDoubtError
from aishell.telemetry.tracebacks import unexpected_elsewhere

#: Seconds between two checks for the limit and an interrupt.
LOOK_UP = 0.1
#: Seconds to wait for the rest of its output once it has ended.
LAST_WORDS = 1.0
#: The limit in seconds of a tool that sets none (model.md: `timeout_seconds`).
DEFAULT_LIMIT = 300


@dataclass(frozen=True)
class ChildCall:
    """What the child needs: the tool's location, and the data of its context."""

    path: tuple[str, ...]
    implementation: str
    tool: str
    source: str
    params: Mapping[str, Any]
    credentials: Credentials
    marker: str
    options: SessionOptions
    ids: Mapping[str, str]
    results: tuple[Any, ...]
    facts: Mapping[str, Any]


def call(tool: Tool, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Return what the tool's callable returns.

    Raises StepError when it had to be ended, InDoubtError when it may have written by then, UnexpectedError for what it raised.
    """
    ids = {name: getattr(context, name) for name in ("run_id", "task_id", "step_id", "agent_id", "target")}
    tool_data = (tuple(sys.path), tool.implementation or "", tool.name, tool.source, dict(params))
    session_data = (context.database.credentials, context.marker, context.options)
    given = ChildCall(*tool_data, *session_data, ids, tuple(context.results), dict(context.facts))
    limit = tool.max_execution_time or DEFAULT_LIMIT
    ourselves = [sys.executable, "-m", __name__]
    said = _Said()
    with subprocess.Popen(
        ourselves,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said.pipe,
        start_new_session=True,
        env=dict(os.environ),  # a site's own code finds its services through it, and could read the site's files anyway
    ) as child:
        said.pass_on()
        assert child.stdin is not None  # noqa: S101  a pipe
        assert child.stdout is not None  # noqa: S101  a pipe
        try:
            with suppress(BrokenPipeError):  # a child that has died is reported by its end
                pickle.dump(given, child.stdin)
                child.stdin.flush()
            return _followed(child, child.stdout, context, time.monotonic() + limit)
        except TimeoutError:
            why = f"{tool.name} was ended after {limit} s, its max_execution_time"
            if tool.read_only:
                raise StepError(why) from None
            raise InDoubtError(f"{why}; what it had done by then is not known") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # and every process that it has started
            said.join()


def _followed(child: subprocess.Popen[bytes], answers: IO[bytes], context: Context, deadline: float) -> dict[str, Any]:
    """Return the child's result. Raises TimeoutError past `deadline` on the monotonic clock."""
    messages: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(answers, messages), daemon=True).start()
    while True:
        message = _next(messages, context, deadline)
        if message is None:
            raise StepError(f"its process ended without a result ({_ended(child.wait())})")
        kind, *rest = message
        if kind == "result":
            return dict(rest[0])
        if kind == "failed":
            raise StepError(rest[0], hint=rest[1])
        if kind == "raised":
            raise unexpected_elsewhere(*rest)
        _pass_on(kind, rest, context)


def _next(
    messages: queue.SimpleQueue[tuple[Any, ...] | None], context: Context, deadline: float
) -> tuple[Any, ...] | None:
    """Return the child's next message, None at its end. Raises TimeoutError, and DatabaseError once the run is cancelled."""
    while True:
        if context.cancelled():
            raise DatabaseError("cancelled while its Python ran", kind="cancelled")
        if time.monotonic() > deadline:
            raise TimeoutError
        with suppress(queue.Empty):
            return messages.get(timeout=LOOK_UP)


def _pass_on(kind: str, said: list[Any], context: Context) -> None:
    """Pass progress, and statements about to be sent, to the listeners in this process."""
    if kind == "progress":
        context.progress(*said)
    elif kind == "sent":
        context.on_sent(said[0], _Elsewhere(said[1]))  # type: ignore[arg-type]  # only the name is read
    elif context.database.hears is not None:
        context.database.hears(said[0], _Elsewhere(*said[1:]))  # type: ignore[arg-type]  # only these attributes are read


class _Said:
    """The child's output, passed on to our standard error, where it is as safe for a terminal as our own.

    The thread that reads it is joined only briefly: processes that the child has left behind may keep the pipe open.
    """

    def __init__(self) -> None:
        self._read, self.pipe = os.pipe()
        self._thread = threading.Thread(target=self._passed_on, daemon=True)

    def pass_on(self) -> None:
        os.close(self.pipe)  # the child has its own copy
        self._thread.start()

    def join(self) -> None:
        self._thread.join(LAST_WORDS)

    def _passed_on(self) -> None:
        with os.fdopen(self._read, "rb") as said:
            for line in said:
                sys.stderr.write(line.decode(errors="replace"))


def _read(answers: IO[bytes], messages: queue.SimpleQueue[tuple[Any, ...] | None]) -> None:
    try:
        while True:
            messages.put(pickle.load(answers))  # noqa: S301  what our own child wrote
    except EOFError:
        messages.put(None)
    except Exception as error:  # a result of a class that cannot be imported here raises what it likes
        messages.put(
            ("failed", f"its result cannot be read: {error}", "return only lists, mappings, texts and numbers")
        )


def _ended(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


@dataclass(frozen=True)
class _Elsewhere:
    """A session of the child."""

    server_session: str
    marker: str = ""
    read_only: bool = True


def _child() -> None:
    """Run the tool given on standard input; what it prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    calls = os.fdopen(0, "rb")
    given: ChildCall = pickle.load(calls)  # noqa: S301  what our own parent wrote
    threading.Thread(target=_end_with_parent, args=(calls,), daemon=True).start()
    sending = threading.Lock()

    def answer(*message: Any) -> None:
        with sending:
            pickle.dump(message, answers)
            answers.flush()

    def sent(statement: Statement, session: Session) -> None:
        answer("sent", statement, session.server_session)

    def heard(statement: Statement, session: Session) -> None:
        answer("heard", statement, session.server_session, session.marker, session.read_only)

    try:
        sys.path[:] = given.path
        database = open_database(given.credentials)
        database.hears, database.author = heard, given.source
        context = Context(
            database,
            given.marker,
            given.options,
            results=given.results,
            facts=given.facts,
            on_sent=sent,
            progress=lambda done, total, label: answer("progress", done, total, label),
        )
        for name, value in given.ids.items():
            setattr(context, name, value)
        answer("result", dict(load(given.implementation, f"implementation of {given.tool},")(given.params, context)))
    except AishellError as error:
        answer("failed", error.message, error.hint)
    except (Exception, SystemExit) as error:  # whatever the tool raises
        where = f"the tool {given.tool}"
        answer("raised", type(error).__name__, str(error), "".join(traceback.format_exception(error)), where)


def _end_with_parent(calls: IO[bytes]) -> None:
    """Exit when the parent ends: its end of the pipe is then closed, however it ended."""
    calls.read()
    os._exit(1)


if __name__ == "__main__":
    _child()

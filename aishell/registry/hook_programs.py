"""A hook as a separate process: a command or a Python callable, with a time limit and the end of its output.

The child that calls Python is `python -m aishell.registry.hook_programs`, which reads a JSON document from standard input.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aishell.errors import AishellError, SettingsError
from aishell.plugins import load
from aishell.registry.programs import environment
from aishell.settings.hooks import Hook
from aishell.trust import Trust

#: Seconds between two checks of the time limit and of `stopped`.
LOOK_UP = 0.1
#: Seconds to read the rest of its output after it has ended.
LAST_WORDS = 1.0
#: The most bytes of its output that are kept, and of a fact that is passed to it.
KEPT, LONGEST = 4096, 16_384
#: The process groups of running hooks.
_RUNNING: set[int] = set()


@dataclass(frozen=True)
class HookResult:
    """The outcome of a hook. `problem`: why it failed, None if it succeeded; `output`: the end of what it printed.

    `stopped`: it was terminated because the run is stopping.
    """

    seconds: float
    problem: str | None = None
    output: str = ""
    stopped: bool = False

    @property
    def reason(self) -> str:
        """The problem, with the last line that the hook printed."""
        last = next((line for line in reversed(self.output.splitlines()) if line.strip()), "")
        return f"{self.problem}: {last.strip()}" if last else str(self.problem)


def call(hook: Hook, facts: Mapping[str, str], base: Path, limit: float, stopped: Callable[[], bool]) -> HookResult:
    """Run a hook to its end. After `limit` seconds, or once `stopped` returns true, it is killed with its process group.

    `facts` have their names in the environment; `base` is the working directory. A failure is returned, not raised.
    """
    began = time.monotonic()
    known = {name: value.replace("\0", "")[:LONGEST] for name, value in facts.items()}
    output = _Output()
    try:
        words, document = _words(hook, known, base)
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=output.pipe,
            stderr=output.pipe,
            cwd=base,
            env={**environment(os.environ), **{name: _encodable(value) for name, value in known.items()}},
            start_new_session=True,  # Ctrl-C reaches us alone
        )
    except (OSError, ValueError, SettingsError) as error:
        output.close()
        return HookResult(0.0, f"cannot be started: {getattr(error, 'strerror', None) or error}")
    _RUNNING.add(process.pid)
    ended, halted = False, False
    try:
        output.keep()
        _write_input(process, document)
        while not ended and not halted and time.monotonic() < began + limit:
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_UP)
                ended = True
            halted = not ended and stopped()
    finally:
        if not ended:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _RUNNING.discard(process.pid)
    text = output.text()
    seconds = round(time.monotonic() - began, 3)
    if halted:
        return HookResult(seconds, "terminated because the run was stopped", text, stopped=True)
    return HookResult(seconds, _problem(process.returncode) if ended else f"did not end within {limit:g} s", text)


def end_running() -> None:
    """Kill the running hooks, for a process that exits at once."""
    for group in tuple(_RUNNING):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _words(hook: Hook, facts: Mapping[str, str], base: Path) -> tuple[list[str], bytes]:
    """Return the command, and its standard input."""
    if hook.python is None:
        return [str(hook.program(base)), *hook.command[1:]], b""
    names = {name.removeprefix("AISHELL_").lower(): value for name, value in facts.items()}
    document = {"path": sys.path, "python": hook.python, "facts": names}
    return [sys.executable, "-P", "-m", __name__], json.dumps(document).encode()


def _encodable(text: str) -> str:
    """Return a text that an environment can hold: characters that cannot be encoded become question marks."""
    return text.encode("utf-8", "replace").decode()


def _write_input(process: subprocess.Popen[bytes], document: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  a pipe
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(document)


def _problem(status: int) -> str | None:
    if status < 0:
        return f"terminated by signal {-status} ({signal.strsignal(-status)})"
    return f"exit status {status}" if status else None


class _Output:
    """The end of a process's output. The wait for the thread that reads it is limited: orphans of the process may keep the pipe
    open."""

    def __init__(self) -> None:
        self._read, self.pipe = os.pipe()
        self._kept = b""
        self._thread = threading.Thread(target=self._take, daemon=True)

    def close(self) -> None:
        os.close(self.pipe)
        os.close(self._read)

    def keep(self) -> None:
        os.close(self.pipe)  # the process has it
        self._thread.start()

    def text(self) -> str:
        self._thread.join(LAST_WORDS)
        return self._kept.decode(errors="replace")

    def _take(self) -> None:
        with os.fdopen(self._read, "rb", buffering=0) as pipe:
            while received := pipe.read(65_536):
                self._kept = (self._kept + received)[-KEPT:]


def _child(document: IO[Any]) -> None:
    """Call the Python callable that the document names; the parent has checked that it can be trusted."""
    given = json.load(document)
    sys.path[:] = given["path"]
    try:
        load(given["python"], "hook", Trust(everything=True))(given["facts"])
    except AishellError as error:
        sys.exit(error.message)
    except Exception as error:  # somebody else's code
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    _child(sys.stdin)

"""Commands as forks of a process that has already imported aishell.

Starting Python and importing costs half a second of CPU; a fork costs hundredths. The standard library's fork server
holds the process, one for each test process.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_forks = multiprocessing.get_context("forkserver")


def preload(*modules: str) -> None:
    """Have the fork server import these modules too. Call it before the first command starts."""
    _forks.set_forkserver_preload(["aishell.testing.preloaded", *modules])


preload()


@dataclass(frozen=True)
class Command:
    """One call of aishell: its arguments, working folder, files for its output, and complete environment.

    `prepare` is called in the fork before the command; it must be picklable.
    """

    arguments: tuple[str, ...]
    folder: Path
    out: Path
    err: Path
    environment: Mapping[str, str]
    prepare: Callable[[], None] | None = None


def run(command: Command) -> None:
    """Run a command in this fork as `python -m aishell` would."""
    os.setsid()  # a Ctrl-C at the tests must not reach the command
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    for number, path in ((0, Path(os.devnull)), (1, command.out), (2, command.err)):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    faulthandler.enable(sys.stderr)
    sys.argv = ["aishell", *command.arguments]
    sys.path.insert(0, str(command.folder))
    if command.prepare:
        command.prepare()
    from aishell.cli.main import main

    try:
        main()
    finally:  # the command has ended: a signal now would hit the fork server's own clean-up
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


class Forked:
    """A command in a fork, with the parts of `subprocess.Popen` that tests use."""

    def __init__(self, command: Command) -> None:
        self.args = command.arguments
        self._process = _forks.Process(target=run, args=(command,))
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit code, None while the command runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless the command has ended."""
        self.send_signal(signal.SIGKILL)

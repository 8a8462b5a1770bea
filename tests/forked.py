"""Commands as forks of a process that has imported aishell already.

Starting Python and importing costs half a second of CPU; a fork costs hundredths. The standard library's fork server keeps the
process, one for each worker of the tests.
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.killed import Fault

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.preloaded"])


@dataclass(frozen=True)
class Command:
    """One call of aishell: its arguments, where it stands, what it prints to, and all of its environment."""

    arguments: tuple[str, ...]
    folder: Path
    out: Path
    err: Path
    environment: Mapping[str, str]
    fault: Fault | None = None


def run(command: Command) -> None:
    """Become what `python -m aishell` would be, in this fork."""
    os.setsid()  # a Ctrl-C at the tests is not one at the command
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
    if command.fault:
        command.fault.prepare()
    from aishell.cli.main import main

    try:
        main()
    finally:  # it has ended: a signal that comes now would be one at the way in which forks end
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


class Forked:
    """A command in a fork, with the part of `subprocess.Popen` that the tests use."""

    def __init__(self, command: Command) -> None:
        self.args = command.arguments
        self._process = _forks.Process(target=run, args=(command,))
        self._process.start()
        self.pid = self._process.pid
        assert self.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(list(self.args), timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

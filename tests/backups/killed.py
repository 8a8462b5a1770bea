"""A step of a backup that is killed while one of its client programs runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def killed(program: str, seconds: float, step: Callable[[], object]) -> bool:
    """Run `step` in a fork, which ends itself so long after it has started a program; whether it came so far.

    `program` is its name, or a word of its arguments. It is not looked for from outside: a short one is over before it is seen.
    """
    child = os.fork()
    if child == 0:
        try:
            _die_with(program, seconds)
            step()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _die_with(program: str, seconds: float) -> None:
    start = subprocess.Popen

    def started(words: list[str], *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = start(words, *arguments, **options)
        if program in {Path(words[0]).name, *words}:
            if not seconds:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return process

    subprocess.Popen = started  # type: ignore[assignment, misc]

"""Questions at a terminal, and the lines that people type.

Input typed before a question was shown does not answer it and is discarded. Keys may still arrive (a paste, a slow
connection, a key held down), so a question waits until the keyboard has been quiet for a moment.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Collection, Mapping

from aishell.cli.streams import say

#: The keyboard is quiet when no key has arrived for this long; seconds.
QUIET = 0.2


def ask(question: str, seconds: float | None = None) -> str | None:
    """The line typed after `question` was written to standard error, without its end.

    None after `seconds` without one (None: wait for ever), if the terminal is gone, and for Ctrl-D.
    """
    keys = sys.stdin.fileno()
    deadline = None if seconds is None else time.monotonic() + seconds
    sys.stderr.flush()
    try:
        if not _discarded(keys, deadline):
            return None
        *before, last = question.split("\n")
        for line in before:
            say(line, err=True)
        say(last, err=True, end="")
        return _line(keys, deadline)
    except (OSError, termios.error):  # EIO: the terminal was closed
        return None


def confirm(question: str) -> bool:
    """Whether a person answers yes. An empty line or a closed terminal means no."""
    while True:
        typed = ask(f"{question} [y/N]: ")
        if not typed:
            return False
        answer = meant(typed, {"y": "yes", "n": "no"})
        if answer is not None:
            return answer == "yes"


def meant(typed: str, letters: Mapping[str, str], words: Collection[str] = ()) -> str | None:
    """The word that was typed, whole or by its letter; None for anything else. `words` have no letter.

    Surrounding blanks are ignored; case matters, and so does every other character.
    """
    typed = typed.strip(" \t")
    return letters.get(typed) or (typed if typed in (*letters.values(), *words) else None)


def _discarded(keys: int, deadline: float | None) -> bool:
    """Discard what was typed until the keyboard is quiet; False if the time is up before that."""
    while True:
        quiet = not _readable(keys, QUIET)
        termios.tcflush(keys, termios.TCIFLUSH)  # also the beginning of a line, which select does not report
        if quiet:
            return True
        if deadline is not None and time.monotonic() > deadline:
            return False


def _line(keys: int, deadline: float | None) -> str | None:
    """A whole line: the terminal delivers one at a time, or the beginning of one at Ctrl-D."""
    typed = b""
    while not typed.endswith(b"\n"):
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        read = os.read(keys, 4096) if _readable(keys, left) else b""
        if not read:
            return None
        typed += read
    return typed.decode(errors="replace").removesuffix("\n")


def _readable(keys: int, seconds: float | None) -> bool:
    return bool(select.select([keys], [], [], seconds)[0])

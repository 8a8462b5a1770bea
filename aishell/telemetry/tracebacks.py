"""Unexpected exceptions: the user gets one sentence, and the traceback goes into a file of the user's."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from aishell.errors import UnexpectedError

#: How many traceback files are kept, the newest.
KEPT = 50


def unexpected(error: BaseException, where: str = "") -> UnexpectedError:
    """Return the error for an unforeseen exception; its hint names the traceback file. `where`: what raised it."""
    import traceback

    return unexpected_elsewhere(type(error).__name__, str(error), "".join(traceback.format_exception(error)), where)


def unexpected_elsewhere(kind: str, text: str, trace: str, where: str = "") -> UnexpectedError:
    """Return the same for an exception in another process: its type, text and traceback."""
    raised = f"{where} raised {kind}" if where else f"unexpected {kind}"
    text = " ".join(text.split())
    return UnexpectedError(f"{raised}: {text}" if text else raised, hint=_kept(trace))


def _kept(trace: str) -> str:
    try:
        return f"the trace is in {keep(trace)}"
    except OSError as why:
        return f"the trace could not be kept ({why.strerror or why}); `aishell --debug …` prints it"


def keep(trace: str) -> Path:
    """Write a traceback to a new file, mode 0600, in the user's state folder. Raises OSError."""
    import platformdirs

    folder = Path(platformdirs.user_state_dir("aishell")) / "traces"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    # No control characters for the terminal: an exception may quote text from anywhere.
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in trace)
    path = folder / f"{moment:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace") as file:
        file.write(f"{moment.isoformat()}  Python {sys.version.split()[0]}  {sys.platform}\n{shown}")
    for old in sorted(folder.glob("*.txt"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path

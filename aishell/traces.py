"""What nobody foresaw: a person gets one sentence, the trace goes into a file of the user's own."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from aishell.errors import UnexpectedError

#: As many traces are kept, the newest.
KEPT = 50


def unexpected(error: BaseException, where: str = "") -> UnexpectedError:
    """An exception that is none of aishell's own, as an error that says where its trace is. `where`: what raised it."""
    said = " ".join(str(error).split())
    kind = type(error).__name__
    raised = f"{where} raised {kind}" if where else f"unexpected {kind}"
    return UnexpectedError(f"{raised}: {said}" if said else raised, hint=_kept(error))


def _kept(error: BaseException) -> str:
    try:
        return f"the trace is in {keep(error)}"
    except OSError as why:
        return f"the trace could not be kept ({why.strerror or why}); `aishell --debug …` prints it"


def keep(error: BaseException) -> Path:
    """Write the trace of `error` into a new file, mode 0600, in the user's state folder. Raises OSError."""
    import platformdirs

    folder = Path(platformdirs.user_state_dir("aishell")) / "traces"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    path = folder / f"{moment:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace") as file:
        file.write(f"{moment.isoformat()}  Python {sys.version.split()[0]}  {sys.platform}\n")
        file.writelines(traceback.format_exception(error))
    for old in sorted(folder.glob("*.txt"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path

"""Log events beside those of the audit log (connections, client programs, chosen variants), and what a thread works on.

Through `logging`, below the logger `aishell.details`; nothing is shown unless a log is asked for (`cli.log_lines`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOGGER = "aishell.details"
#: The levels of `logging`, which costs 3 ms to import.
DEBUG, INFO, WARNING = 10, 20, 30


def log_detail(event: str, *, level: int = DEBUG, **data: Any) -> None:
    """Log an event with its data: names and figures, never a statement, a value or a password.

    Where nobody has imported `logging`, nobody hears of it.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger(LOGGER)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # without a log, warnings of it are not printed either
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"data": {name: value for name, value in data.items() if value is not None}})


def log_warning(event: str, **data: Any) -> None:
    """Log an event that somebody should look at."""
    log_detail(event, level=WARNING, **data)


_context: ContextVar[Mapping[str, str]] = ContextVar("context", default={})  # noqa: B039  it is never changed in place


@contextmanager
def log_context(**names: str) -> Iterator[None]:
    """Add names, such as `run_id`, to the log lines of this thread inside the block. A pool's thread needs a copied context."""
    token = _context.set({**_context.get(), **names})
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> Mapping[str, str]:
    """The names that `log_context` has added, for lines of libraries too, which know neither run nor step."""
    return _context.get()

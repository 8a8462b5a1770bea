"""Log events beside those of the audit log (connections, client programs, chosen variants), and what a thread works on.

Through `logging`, below the logger `aishell.details`; nothing is shown unless a log is asked for (`cli.log_lines`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOGGER = "aishell.details"
_LOGGER = logging.getLogger(LOGGER)
_LOGGER.addHandler(logging.NullHandler())  # without a log, warnings of it are not printed either


def log_detail(event: str, *, level: int = logging.DEBUG, **data: Any) -> None:
    """Log an event with its data: names and figures, never a statement, a value or a password."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, event, extra={"data": {name: value for name, value in data.items() if value is not None}})


def log_warning(event: str, **data: Any) -> None:
    """Log an event that somebody should look at."""
    log_detail(event, level=logging.WARNING, **data)


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

"""Log events outside the audit log (connections, client programs, chosen variants), and the context of each thread.

They go to the logger `aishell.details` of `logging`; nothing is shown unless logging is on (`cli.log_lines`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOGGER = "aishell.details"
#: The levels of `logging`, whose import costs 3 ms.
DEBUG, INFO, WARNING = 10, 20, 30


def log_detail(event: str, *, level: int = DEBUG, **data: Any) -> None:
    """Log an event with its data: names and figures, never a statement, a value or a password.

    Does nothing if `logging` was never imported: then no handler exists.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger(LOGGER)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # without a log, its warnings are not printed either
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"data": {name: value for name, value in data.items() if value is not None}})


def log_warning(event: str, **data: Any) -> None:
    """Log an event at the level of a warning."""
    log_detail(event, level=WARNING, **data)


_context: ContextVar[Mapping[str, str]] = ContextVar("context", default={})  # noqa: B039  it is never changed in place


@contextmanager
def log_context(**names: str) -> Iterator[None]:
    """Add names, such as `run_id`, to this thread's log lines in the block. A pool's thread needs a copied context."""
    token = _context.set({**_context.get(), **names})
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> Mapping[str, str]:
    """Return the names added by `log_context`. Log lines of libraries need them too: those know no run or step."""
    return _context.get()

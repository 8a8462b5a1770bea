"""What a log tells beside the events of the audit log: connections, client programs, which variant of a tool was chosen.

Through `logging`, below the logger `aishell.details`; nothing is shown unless a log is asked for (`cli.log_lines`).
"""

from __future__ import annotations

import logging
from typing import Any

LOGGER = "aishell.details"
_LOGGER = logging.getLogger(LOGGER)
_LOGGER.addHandler(logging.NullHandler())  # without a log, warnings of it are not printed either


def detail(event: str, *, level: int = logging.DEBUG, **data: Any) -> None:
    """Log an event with its data: names and figures, never a statement, a value or a password."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, event, extra={"data": {name: value for name, value in data.items() if value is not None}})


def warned(event: str, **data: Any) -> None:
    """The same of what somebody should look at."""
    detail(event, level=logging.WARNING, **data)

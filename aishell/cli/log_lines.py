"""The log as lines of JSON, through structlog: committed events of the audit log, and messages of libraries.

Lines may leave the host, unlike the audit log. They hold no text or values of statements and no passwords, and of a database's
URL only host and path. Libraries log from WARNING on, with `debug` from INFO: at lower levels, some of them log URLs and
requests.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import structlog
from structlog.stdlib import ProcessorFormatter

from aishell.cli.streams import Notices, say
from aishell.databases.urls import without_urls
from aishell.errors import AishellError, SettingsError
from aishell.models import now
from aishell.state.audit import redact
from aishell.state.connection import AuditEvent
from aishell.state.run_names import RunNames
from aishell.state.store import Store
from aishell.telemetry.logs import LOGGER, current_context

OURS = "aishell"
#: Levels of events, if not `info`.
_LEVELS = {
    logging.ERROR: "step_failed step_in_doubt audit_broken configuration_refused command_failed",
    logging.WARNING: "error_occurred step_retried step_timeout approval_requested notification_failed incident_opened "
    "hold_placed autonomy_reset",
    logging.DEBUG: "statement_sent statement_repeated statements_read batch_committed program_started",
}
_LEVEL_OF = {event: level for level, events in _LEVELS.items() for event in events.split()}
#: Levels by the outcome in an event's data: of a run, a stage, a nominal time.
_LEVEL_OF_OUTCOME = {"failed": logging.ERROR, "missed": logging.WARNING}
#: Keys that stay in the audit log: texts and values of statements, and the seals of its rows.
_WITHHELD = {"sql", "values", "params", "modifications", "seal", "made", "subject"}
#: Keys that are moved from an event's data to the line itself.
_ABOUT = ("run_id", "agent", "target", "schedule", "workflow", "workflow_id", "stage")
_FIRST = ("at", "level", "event", "number", *_ABOUT, "step_index", "step_id", "tool")


class LogLines:
    """The log of this process."""

    def __init__(self, level: int, handler: _Handler) -> None:
        handler.setFormatter(
            ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), _foreign],
                processors=[
                    ProcessorFormatter.remove_processors_meta,
                    structlog.stdlib.add_log_level,
                    structlog.processors.format_exc_info,
                    _placed,
                    _ordered,
                    structlog.processors.JSONRenderer(ensure_ascii=True),
                ],
            )
        )
        logger = logging.getLogger(OURS)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers = [handler]
        root = logging.getLogger()
        root.setLevel(logging.INFO if level == logging.DEBUG else max(level, logging.WARNING))
        root.handlers = [handler]
        logging.captureWarnings(True)
        self._logger = structlog.wrap_logger(
            logger,
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[structlog.stdlib.filter_by_level, ProcessorFormatter.wrap_for_formatter],
        )
        self._known: dict[Path, RunNames] = {}

    @classmethod
    def open(cls, level: str, file: str | None) -> Self:
        """The log in a file, or on standard error, where lines for people become log lines too unless it is a terminal.

        Raises SettingsError for a file that cannot be written.
        """
        number = logging.getLevelNamesMapping()[level.upper()]
        made = cls(number, _Handler(None if file is None else Path(file).expanduser()))
        if file is None and not sys.stderr.isatty():
            Notices.by_line = made.notice
        return made

    def log_events(self, store: Store, events: Sequence[AuditEvent]) -> None:
        """Log events that were committed to the audit log."""
        known = self._known.setdefault(store.path, RunNames(store))
        for one in events:
            data = json.loads(one.data)
            level = _level(one.type, data)
            if not self._logger.isEnabledFor(level):
                continue
            try:
                whose = known.of(one.run_id, one.step_index)
            except AishellError:  # state.db is gone; the run itself reports that
                whose = {"run_id": one.run_id, "step_index": one.step_index}
            about = {name: data.pop(name) for name in _ABOUT if isinstance(data.get(name), str) and name not in whose}
            rest = {name: value for name, value in data.items() if name not in _WITHHELD and value not in (None, "")}
            self._logger.log(level, one.type, at=one.at, number=one.number, **whose, **about, data=rest)

    def notice(self, text: str) -> None:
        """Log a line that was printed for people."""
        self._logger.info("said", text=text)

    def failed(self, error: BaseException, known: AishellError) -> None:
        """Log the error that ends a command, with a traceback if it is unexpected."""
        data = {
            "type": type(known).__name__,
            "message": known.message,
            "hint": known.hint,
            "exit_code": known.exit_code,
        }
        unexpected = None if isinstance(error, AishellError) or known.exit_code == 2 else error
        self._logger.error("command_failed", data=data, exc_info=unexpected)


def _level(kind: str, data: Mapping[str, Any]) -> int:
    outcome = str(data.get("decision") or data.get("to"))
    return _LEVEL_OF.get(kind) or _LEVEL_OF_OUTCOME.get(outcome, logging.INFO)


def _foreign(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library's message as the event `logged`, so that only aishell names events; aishell's own details unchanged."""
    if event["logger"] == LOGGER:
        return {name: value for name, value in event.items() if name != "logger"}
    return {"text": event.pop("event"), "event": "logged", **event}


def _placed(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add time, host, process and, as far as this thread knows, the run."""
    event.setdefault("at", now())
    return {**current_context(), **event, "host": socket.gethostname(), "pid": os.getpid()}


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return without_urls(str(value))


def _ordered(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The fields that are set, without secrets, in the order of _FIRST."""
    clean = {name: _without(redact(event[name])) for name in dict.fromkeys((*_FIRST, *event)) if name in event}
    return {name: value for name, value in clean.items() if value is not None}


class _Handler(logging.Handler):
    """Writes whole lines, so that several processes can log into one file. A write error is reported once."""

    def __init__(self, file: Path | None) -> None:
        super().__init__()
        self._file = file
        self._reported = False
        self._number = os.dup(sys.stderr.fileno())
        if file is not None:
            try:
                self._number = self._opened(file)
            except OSError as error:
                raise SettingsError(
                    f"the log file {file} cannot be written: {error.strerror}",
                    hint="create its folder, or set another file: --log-file, AISHELL_LOG_FILE, or `logging:` in aishell.yaml",
                ) from error

    def _opened(self, file: Path) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(file, flags, 0o600)

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop messages of libraries below INFO, whatever level their loggers have."""
        return (record.name in (OURS, LOGGER) or record.levelno >= logging.INFO) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("ascii", "backslashreplace")
            self._reopen_moved()
            while line:
                line = line[os.write(self._number, line) :]
        except Exception as error:  # a failing log must not stop the work
            self._report(error)

    def _reopen_moved(self) -> None:
        """Open a new file if rotation has moved the old one."""
        if self._file is None:
            return
        try:
            there = os.path.samestat(self._file.stat(), os.fstat(self._number))
        except FileNotFoundError:
            there = False
        if not there:
            old, self._number = self._number, self._opened(self._file)
            os.close(old)

    def _report(self, error: Exception) -> None:
        if not self._reported and self._file is not None:
            self._reported = True
            say(f"the log {self._file} cannot be written: {error}", err=True)

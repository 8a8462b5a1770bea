"""The boundary of every command: an error becomes one sentence for people, or one document for scripts, and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NoReturn

import click

from aishell.cli.logs import log_failure
from aishell.cli.streams import Output, open_streams, say, say_lines
from aishell.errors import AishellError, UsageError


def leave(command: Callable[[], Any]) -> NoReturn:
    """Run a command and end the process with the exit code of model.md."""
    try:
        open_streams()
        code = command()
        sys.stdout.flush()  # a write error is reported here; at exit, Python would print a traceback
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except (Exception, SystemExit) as error:  # SystemExit: raised by a hook or a site's agent
        # If the reader has closed the pipe, click and rich raise SystemExit.
        code = _silenced(1) if Output.closed_behind else _reported(error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # everything is done: ignore a late Ctrl-C
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> NoReturn:
    say("interrupted", err=True)
    sys.stdout.flush()
    from aishell.clients import clients
    from aishell.registry import hook_programs

    clients.end_running()
    hook_programs.end_running()
    os._exit(130)  # end at once: a worker may still wait for its server


def _reported(error: BaseException) -> int:
    """Report an error on standard error and, with `--output json`, on standard output; the exit code."""
    known = _known(error)
    if not isinstance(error, click.exceptions.Exit):
        log_failure(error, known)
    try:
        if "--debug" in sys.argv:
            import traceback

            say_lines("".join(traceback.format_exception(error)).rstrip("\n"), err=True)
        if isinstance(error, click.ClickException):
            _show(error)
        else:
            say_error(known)
        if "--output=json" in sys.argv or any(pair == ("--output", "json") for pair in pairwise(sys.argv)):
            write_error(known)
        sys.stdout.flush()
    except (OSError, AishellError):
        return _silenced(known.exit_code)
    return known.exit_code


def _known(error: BaseException) -> AishellError:
    """The error as an AishellError."""
    if isinstance(error, AishellError):
        return error
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    from aishell.telemetry.tracebacks import unexpected

    return unexpected(error)


def _show(error: click.ClickException) -> None:
    """Print an error of click like every other, with the command's usage; for a group without a command, its help."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say_lines(error.format_message(), err=True)
        return
    hint = None
    if context is not None:
        usage = " ".join(context.get_usage().split()).removeprefix("Usage: ")
        hint = f"usage: {usage}; see `{context.command_path} --help`"
    say_error(UsageError(error.format_message(), hint=hint))


def say_error(error: AishellError) -> None:
    """Print an error and its hint on standard error."""
    from aishell.reporting.units import printable

    say(f"aishell: {printable(error.message)}", style="red", err=True)
    if error.hint:
        say(f"  → {printable(error.hint)}", err=True)


def write_error(error: AishellError, **more: Any) -> None:
    """Print an error as one JSON document on standard output."""
    from aishell.cli.console import error_document, write_json

    write_json({"run_id": None, "status": "failure", "error": error_document(error), **more})


def _silenced(code: int) -> int:
    """Redirect standard output and error to /dev/null, so that Python exits without a write error; returns `code`."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return code

"""The one boundary: whatever a command raises, a person gets one sentence, a script one document and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import pairwise
from typing import Any, NoReturn

import click

from aishell.errors import AishellError, UsageError


def leave(command: Callable[[], Any]) -> NoReturn:
    """Run a command and end the process with the exit code of model.md."""
    try:
        _open_streams()
        code = command()
        sys.stdout.flush()  # what cannot be written is told here; Python would tell it by a trace when it ends
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except (Exception, SystemExit) as error:  # SystemExit: from somebody's hook or agent
        # Nobody reads on: click and rich make a SystemExit of that.
        code = _unheard(1) if _Output.closed_behind else _told(error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done and said: a Ctrl-C is too late
    sys.exit(code if isinstance(code, int) else 0)


class _Output(TextIOWrapper):
    """Standard output: what was asked for. Raises AishellError when it takes no more."""

    #: Whether whoever read it has gone.
    closed_behind = False

    def write(self, text: str) -> int:
        with self._telling():
            return super().write(text)

    def flush(self) -> None:
        with self._telling():
            super().flush()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _Output.closed_behind = True
            raise
        except OSError as error:
            raise AishellError(
                f"could not write to standard output: {error.strerror}",
                hint="a run that began is in `aishell runs list`",
            ) from error


class _Notices(TextIOWrapper):
    """Standard error: a nightly run does its work although nobody can be told how far it is."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _open_streams() -> None:
    """Have the three standard streams open, and able to take any character.

    The number of a closed one would go to the next file that is opened, which may be state.db. Raises UsageError where it is
    standard output.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for number, name, kind in ((1, "stdout", _Output), (2, "stderr", _Notices)):
        stream = open(number, "w", closefd=False) if number in closed else getattr(sys, name)  # noqa: SIM115
        by_line = stream.line_buffering or number == 2
        encoding = stream.encoding
        setattr(sys, name, kind(stream.detach(), encoding, "backslashreplace", line_buffering=by_line))
    if 1 in closed:
        raise UsageError("standard output is closed", hint="send it to /dev/null if nobody reads it")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _interrupted() -> NoReturn:
    click.echo("interrupted", err=True)
    sys.stdout.flush()
    from aishell.backups.clients import end_running

    end_running()
    os._exit(130)  # a second Ctrl-C leaves at once: a worker may still wait for its server


def _told(error: BaseException) -> int:
    """Say what went wrong: on standard error, and with `--output json` on standard output. The exit code."""
    known = _known(error)
    try:
        if "--debug" in sys.argv:
            import traceback

            traceback.print_exception(error)
        if isinstance(error, click.ClickException):
            error.show()
        else:
            _say(known)
        if "--output=json" in sys.argv or any(pair == ("--output", "json") for pair in pairwise(sys.argv)):
            _write(known)
        sys.stdout.flush()
    except (OSError, AishellError):
        return _unheard(known.exit_code)
    return known.exit_code


def _known(error: BaseException) -> AishellError:
    """The error as one of aishell's own."""
    if isinstance(error, AishellError):
        return error
    if isinstance(error, click.ClickException):
        return UsageError(error.format_message())
    from aishell.traces import unexpected

    return unexpected(error)


def _say(error: AishellError) -> None:
    from aishell.reporting.units import printable

    click.secho(f"aishell: {printable(error.message)}", fg="red", err=True)
    if error.hint:
        click.echo(f"  → {printable(error.hint)}", err=True)


def _write(error: AishellError) -> None:
    from aishell.cli.console import write_json

    described = {"type": type(error).__name__, "message": error.message, "step_id": None, "hint": error.hint}
    write_json({"run_id": None, "status": "failure", "error": described})


def _unheard(code: int) -> int:
    """Nobody can be told any more: what is left in the buffers goes nowhere, and Python ends in peace."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return code

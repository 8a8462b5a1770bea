"""A password printed by a program, which runs for each connection, since a password may be valid for a few minutes only."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from aishell.errors import DatabaseError

#: Seconds that a program may take to print a password, and the bytes that one may have (a cloud's token has some 1,500).
PATIENCE, LONGEST = 30.0, 65_536


def told(
    command: Sequence[str], patience: float = PATIENCE, *, what: str = "password_command", wanted: str = "the password"
) -> str:
    """Return the line that a program prints, without its line break. The program runs without a shell, and its error output is
    discarded, since it may hold secrets, too.

    Raises DatabaseError (connect) if it cannot be started, fails, takes longer than `patience` seconds, or prints anything but
    one line of text. `what` names the program in errors, and `wanted` what it has to print.
    """

    def failed(how: str) -> DatabaseError:
        # Its arguments are not shown, since they may hold secrets, too.
        name = shlex.quote(str(command[0]))
        hint = f"run it by itself as this user: it has to print {wanted}"
        return DatabaseError(f"{what} {name} {how}", kind="connect", hint=hint)

    try:
        with subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # its children are killed with it, and Ctrl-C reaches only us
        ) as program:
            try:
                printed, _ = program.communicate(timeout=patience)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired as error:
        raise failed(f"did not end within {patience:g} s") from error
    except (OSError, ValueError) as error:
        raise failed(f"cannot be started: {getattr(error, 'strerror', None) or error}") from error
    if program.returncode:
        raise failed(f"ended with {program.returncode}")
    try:
        password = printed[: LONGEST + 1].decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise failed("printed something that is not UTF-8") from error
    if not password or len(printed) > LONGEST or any(letter in password for letter in "\n\r\0"):
        raise failed(f"did not print one line of at most {LONGEST} bytes")
    return password


def _environment() -> dict[str, str]:
    """Return our environment, which has the settings of vaults and clouds, without its passwords for databases."""
    return {name: value for name, value in os.environ.items() if name not in ("PGPASSWORD", "MYSQL_PWD")}

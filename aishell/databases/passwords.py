"""A password that a program tells: asked anew for each connection, since it may be good for some minutes only."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from aishell.errors import DatabaseError

#: Seconds a program may take to tell a password, and bytes that one may have (a token of a cloud's has some 1,500).
PATIENCE, LONGEST = 30.0, 65_536


def told(
    command: Sequence[str], patience: float = PATIENCE, *, what: str = "password_command", wanted: str = "the password"
) -> str:
    """What a program prints, without the line break at its end. It is started without a shell, and what it says as errors is
    not kept, for that may hold secrets too.

    Raises DatabaseError (connect) when it cannot be started, fails, takes longer than `patience` seconds, or prints anything but
    one line of text. `what` is how the error calls the program, and `wanted` what it is to print.
    """

    def failed(how: str) -> DatabaseError:
        # Its arguments are not shown: people write secrets there too.
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
            start_new_session=True,  # what it starts is ended with it, and Ctrl-C reaches us alone
        ) as program:
            try:
                said, _ = program.communicate(timeout=patience)
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
        password = said[: LONGEST + 1].decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise failed("printed something that is not UTF-8") from error
    if not password or len(said) > LONGEST or any(letter in password for letter in "\n\r\0"):
        raise failed(f"did not print one line of at most {LONGEST} bytes")
    return password


def _environment() -> dict[str, str]:
    """Ours, which is where vaults and clouds have their own settings, without the passwords that stand there for databases."""
    return {name: value for name, value in os.environ.items() if name not in ("PGPASSWORD", "MYSQL_PWD")}

"""The client of a daemon's socket, for users who cannot read the site: no site is opened."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any
from urllib.parse import quote

import click

from aishell.codec import plain
from aishell.commands import command
from aishell.errors import AishellError, UsageError

SOCKET = click.option(
    "--socket", "socket_", metavar="PATH", help="Go through a daemon's socket as the current user; no site is opened."
)
#: The type of a value in an answer.
Kind = type | UnionType
#: Seconds to wait for an answer.
_TIMEOUT = 15.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket, whose path may be longer than the 107 bytes of an address."""

    def __init__(self, path: Path) -> None:
        super().__init__("aishell", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def call(path: str, *names: str, body: dict[str, Any] | None = None) -> Any:
    """Send a request to a daemon; its answer. `names`: the parts of the path; `body`: posted as JSON, None: a GET.

    Raises UsageError if no daemon answers, AishellError with the daemon's exit code if it refuses.
    """
    where = "/".join(["", *(quote(name, safe="") for name in names)])
    connection = _Connection(Path(path).absolute())
    try:
        connection.request("GET" if body is None else "POST", where, None if body is None else json.dumps(plain(body)))
        response = connection.getresponse()
        document = json.loads(response.read())
    except TimeoutError as error:
        raise UsageError(
            f"the daemon at {path} did not answer within {_TIMEOUT:.0f} s",
            hint="it may have received the request: send it again"
            if body is not None
            else "check whether it is stopped or very busy",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(
            f"no daemon answers at {path}: {error}",
            hint=f"start it with `{command('schedule', 'start')}`; its log names the socket, which its group may use",
        ) from error
    finally:
        connection.close()
    if response.status >= 400:
        reply = document.get("error") if isinstance(document, dict) else None
        reply = reply if isinstance(reply, dict) else {}
        refused = AishellError(
            str(reply.get("message") or f"the daemon answered {response.status}"), hint=reply.get("hint")
        )
        code = reply.get("exit_code")
        refused.exit_code = code if isinstance(code, int) and 0 < code < 256 else 1
        raise refused
    return document


def document(path: str, *names: str, keys: Mapping[str, Kind], body: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer that is an object with these keys of these types. Raises UsageError like `call`, and for any other."""
    return fitting(path, call(path, *names, body=body), keys)


def documents(path: str, *names: str, keys: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """An answer that is a list of such objects."""
    found = call(path, *names)
    if not isinstance(found, list):
        raise _not_a_daemon(path)
    return [fitting(path, one, keys) for one in found]


def fitting(path: str, found: Any, keys: Mapping[str, Kind]) -> dict[str, Any]:
    """A part of an answer, with these keys of these types. Raises UsageError for any other."""
    if not isinstance(found, dict) or not all(_fits(found.get(key), kind) for key, kind in keys.items()):
        raise _not_a_daemon(path)
    return found


def _fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of a type; `datetime` means ISO 8601 text."""
    if kind not in (datetime, datetime | None) or value is None:
        return isinstance(value, kind)
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _not_a_daemon(path: str) -> UsageError:
    return UsageError(
        f"the answer at {path} is not that of an aishell daemon",
        hint="check whose socket it is, and whether the daemon has another version",
    )

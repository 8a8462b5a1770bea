"""Ask a daemon at its socket, for users who cannot read the site: no site is opened."""

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
#: What a value of an answer has to be.
Kind = type | UnionType
#: Seconds that an answer is waited for.
_PATIENCE = 15.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket, whose path may be longer than the 107 bytes of an address."""

    def __init__(self, path: Path) -> None:
        super().__init__("aishell", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def call(path: str, *names: str, body: dict[str, Any] | None = None) -> Any:
    """What a daemon answers. `names`: the parts of the address; `body`: what is posted, else the answer is only read.

    Raises UsageError where none is there, and what the daemon refuses, with its exit code.
    """
    where = "/".join(["", *(quote(name, safe="") for name in names)])
    connection = _Connection(Path(path).absolute())
    try:
        connection.request("GET" if body is None else "POST", where, None if body is None else json.dumps(plain(body)))
        response = connection.getresponse()
        document = json.loads(response.read())
    except TimeoutError as error:
        raise UsageError(
            f"the daemon at {path} has not answered within {_PATIENCE:.0f} s",
            hint="it may have received the request: ask it again"
            if body is not None
            else "it is stopped, or very busy",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(
            f"no daemon answers at {path}: {error}",
            hint=f"it runs as `{command('schedule', 'start')}`, and its log names the socket; its group may use it",
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
    """An answer that is one object, with these keys of these types. Raises UsageError as `call`, and for any other."""
    return fitting(path, call(path, *names, body=body), keys)


def documents(path: str, *names: str, keys: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """An answer that is a list of such objects."""
    found = call(path, *names)
    if not isinstance(found, list):
        raise _strange(path)
    return [fitting(path, one, keys) for one in found]


def fitting(path: str, found: Any, keys: Mapping[str, Kind]) -> dict[str, Any]:
    """A part of an answer, with these keys of these types. Raises UsageError for any other."""
    if not isinstance(found, dict) or not all(_fits(found.get(key), kind) for key, kind in keys.items()):
        raise _strange(path)
    return found


def _fits(value: Any, kind: Kind) -> bool:
    """Whether a value is of a type; `datetime` is a moment as a text."""
    if kind not in (datetime, datetime | None) or value is None:
        return isinstance(value, kind)
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _strange(path: str) -> UsageError:
    return UsageError(
        f"what answers at {path} does not speak as a daemon of aishell does",
        hint="look whose socket it is, and whether the daemon is of another version",
    )

"""Asking a daemon at its socket: for those who cannot read the site. Nothing of a site is opened."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aishell.commands import command
from aishell.errors import AishellError, UsageError

#: Seconds that an answer is waited for.
_PATIENCE = 60.0


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


def call(path: str, *names: str, said: dict[str, Any] | None = None) -> Any:
    """What a daemon answers. `names`: the parts of the address; `said`: what is told it, else it is only asked.

    Raises UsageError where none is there, and what the daemon refuses, with its exit code.
    """
    where = "/".join(["", *(quote(name, safe="") for name in names)])
    connection = _Connection(Path(path).absolute())
    try:
        connection.request("GET" if said is None else "POST", where, None if said is None else json.dumps(said))
        response = connection.getresponse()
        document = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(
            f"no daemon answers at {path}: {error}",
            hint=f"it runs as `{command('schedule', 'start')}`, and its log names the socket; its group may use it",
        ) from error
    finally:
        connection.close()
    if response.status >= 400:
        told = document.get("error", {})
        refused = AishellError(told.get("message") or f"the daemon answered {response.status}", hint=told.get("hint"))
        refused.exit_code = int(told.get("exit_code") or 1)
        raise refused
    return document

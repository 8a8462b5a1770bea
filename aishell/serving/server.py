"""The sockets of a daemon, and the thread that serves them with uvicorn."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from aishell.errors import SettingsError
from aishell.settings.settings import DaemonSettings
from aishell.site_files import SiteFiles

#: Seconds to wait for unfinished answers at the end.
_GRACE = 5
#: `struct ucred`: process, user, group.
_CREDENTIALS = struct.Struct("iII")


class Peered(H11Protocol):
    """HTTP with the uid of the peer of a unix socket, in the state of each connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": _uid(transport.get_extra_info("socket"))}


def _uid(connection: socket.socket) -> int | None:
    if connection.family != socket.AF_UNIX:
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def socket_path(site: SiteFiles) -> Path:
    """The socket of a site's daemon: as configured, else beside the state."""
    named = site.settings.daemon.socket
    base = site.places.root or site.state_path.parent
    return (base / Path(named).expanduser()) if named else site.state_path.parent / "daemon.sock"


def bound(path: Path, group: str | None) -> socket.socket:
    """A unix socket that its owner and a group may use. Raises SettingsError.

    Call it under the daemon's lock: an existing socket at the path was left by an ended daemon.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if path.is_socket():
                path.unlink()
            before = os.umask(0o177)  # no one else may use it before its group is set
            try:
                made.bind(
                    f"/proc/self/fd/{folder}/{path.name}"
                )  # the path itself may be longer than the 107 bytes allowed
            finally:
                os.umask(before)
        finally:
            os.close(folder)
        if group is not None:
            shutil.chown(path, group=group)
            path.chmod(0o660)
        made.listen()  # clients that connect before the server thread runs wait for it
    except (OSError, LookupError) as error:
        made.close()
        raise SettingsError(
            f"the daemon's socket {path} cannot be created: {error}",
            hint="see `daemon: {socket, socket_group}` in aishell.yaml",
        ) from error
    return made


def listening(settings: DaemonSettings) -> socket.socket | None:
    """The socket of `listen`. Raises SettingsError."""
    if settings.address is None:
        return None
    host, port = settings.address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(f"the daemon cannot listen on {settings.listen}: {error.strerror or error}") from error


class DaemonServer:
    """Serves an application on sockets, in a thread, until `stop`."""

    def __init__(self, app: Starlette, sockets: list[socket.socket], path: Path) -> None:
        self._path, self._sockets = path, sockets
        config = uvicorn.Config(
            app,
            http=Peered,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=64,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="aishell-http", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the current answers, then close the sockets."""
        self._server.should_exit = True
        self._thread.join(2 * _GRACE)
        for one in self._sockets:
            one.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

"""From a URL to a connection: credentials, pools, and the breaker that ends a night of failing connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aishell.commands import command, on
from aishell.databases.remedies import remedy
from aishell.databases.urls import HIDDEN, URL, read_url
from aishell.errors import BreakerOpenError, DatabaseError, NotTriedError, TargetUnavailableError, UsageError
from aishell.telemetry.logs import log_detail, log_warning

#: Seconds from the first packet to the session, if the URL has no connect_timeout.
CONNECT_TIMEOUT = 10


@dataclass(frozen=True)
class Credentials:
    """How to reach a database. The password is part of neither its `repr` nor `display`."""

    url: URL
    source: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)

    @property
    def engine(self) -> str:
        return self.url.engine

    @property
    def display(self) -> str:
        return str(self.url)

    @property
    def connect_timeout(self) -> int:
        return int(self.url.options.get("connect_timeout", CONNECT_TIMEOUT))

    def password(self) -> str | None:
        """Return the current password: it is read from its source each time, since it may be valid for a few minutes only.

        None if none is configured; the driver's own files may have one. Raises SettingsError or DatabaseError (connect) if one is
        configured and cannot be read.
        """
        found = None if self.source is None else self.source()
        if found is None and self.url.password is not None:
            return self.url.password.reveal()
        return found


def parse_url(url: str, *, password: str | Callable[[], str | None] | None = None) -> Credentials:
    """Return the credentials of a target's URL; `password`, a text or a function that returns it, overrides the URL's own.

    Raises UsageError if the URL cannot be read, is ambiguous, or has `***` for its password, and UnknownNameError for an unknown
    engine.
    """
    parts = read_url(url)
    if parts.password is HIDDEN:
        why = f"{parts} is shown without its password, which is not stored"
        raise UsageError(why, hint="give --url with the password again")
    source = password if callable(password) or password is None else lambda: password
    return Credentials(parts, source)


class ConnectionBreaker(Protocol):
    """The outcome of connections to a target, in all processes (`state.breakers`)."""

    def ask(self) -> bool:
        """Whether a connection has failed since the last success. Raises BreakerOpenError if none may be tried now."""

    def answered(self) -> None:
        """Record that the server answered after failed connections."""

    def failed(self, error: DatabaseError) -> None:
        """Record that the server did not answer."""


class Pools:
    """A small pool for each set of session limits: limits are set when a connection is opened, never afterwards."""

    def __init__(
        self, connect: Callable[[Any], Any], pool: Callable[[Callable[[], Any]], Any], where: str = ""
    ) -> None:
        """`connect` opens a connection with the limits given, `pool` makes a pool of them; `where` names them in the log."""
        self._connect, self._pool, self._where = connect, pool, where
        self._pools: dict[Any, Any] = {}
        self._guard = threading.Lock()
        #: Consulted before each new connection; None if every connection is tried.
        self.breaker: ConnectionBreaker | None = None

    def get(self, options: Any) -> Any:
        """Return a pooled connection with these limits. Raises DatabaseError (connect), at once while the breaker is open."""
        with self._guard:
            pool = self._pools.get(options)
            if pool is None:
                pool = self._pools[options] = self._pool(lambda: self._made(options))
        return pool.connect()

    def _opened(self, options: Any) -> Any:
        """Open a connection, and log it."""
        begun = time.monotonic()
        try:
            made = self._connect(options)
        except DatabaseError as error:
            seconds = round(time.monotonic() - begun, 3)
            log_warning("connection_failed", to=self._where, seconds=seconds, kind=error.kind, code=error.code)
            raise
        log_detail("connection_opened", to=self._where, seconds=round(time.monotonic() - begun, 3))
        return made

    def _made(self, options: Any) -> Any:
        if self.breaker is None:
            return self._opened(options)
        failed_before = self.breaker.ask()
        try:
            made = self._opened(options)
        except DatabaseError as error:
            if error.kind in ("connect", "connection_lost") and not error.answered:
                self.breaker.failed(error)
            elif failed_before:
                self.breaker.answered()
            raise
        if failed_before:
            self.breaker.answered()
        return made

    def close(self) -> None:
        with self._guard:
            for pool in self._pools.values():
                pool.dispose()
            if self._pools:
                log_detail("connections_closed", to=self._where)
            self._pools.clear()


def server_pool(connect: Callable[[], Any]) -> Any:
    """Return a SQLAlchemy pool for connections to a server."""
    from sqlalchemy.pool import QueuePool

    return QueuePool(connect, pool_size=4, max_overflow=12, reset_on_return=None)


def unavailable(credentials: Credentials, error: DatabaseError, target: str) -> TargetUnavailableError:
    """Return the usage error for a target that cannot be reached, before anything was done."""
    doubtful = "the path, and what is there" if credentials.engine == "sqlite" else "host, port, user and password"
    if isinstance(error, BreakerOpenError):
        return NotTriedError(error.message, hint=error.hint)
    known = error.hint or remedy(error, credentials.url.user)
    how = known or f"check {doubtful}; `{command('doctor', *on(target))}` explains each"
    return TargetUnavailableError(f"no connection to {credentials.display}: {error.message}", hint=how)

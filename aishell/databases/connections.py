"""From a URL to a connection: credentials, pools, the breaker that ends a night of failing connects."""

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

#: Seconds, from the first packet to the session, where the URL has no connect_timeout.
CONNECT_TIMEOUT = 10


@dataclass(frozen=True)
class Credentials:
    """How to reach a database. Neither its `repr` nor `display` can show the password: none of their parts is one."""

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
        """The password as it is now: asked of its source each time, for it may be good for some minutes only.

        None where none is named, and the driver's own files may have it. Raises SettingsError or DatabaseError (connect) when one
        is named and cannot be had.
        """
        found = None if self.source is None else self.source()
        if found is None and self.url.password is not None:
            return self.url.password.reveal()
        return found


def parse_url(url: str, *, password: str | Callable[[], str | None] | None = None) -> Credentials:
    """Credentials of a target's URL; `password`, or what it is asked of, goes before the URL's own.

    Raises UsageError when the URL cannot be read without doubt, or is one that was shown without its password, UnknownNameError
    for an engine aishell does not know.
    """
    parts = read_url(url)
    if parts.password is HIDDEN:
        why = f"{parts} is shown without its password, which is not stored"
        raise UsageError(why, hint="give --url with the password again")
    source = password if callable(password) or password is None else lambda: password
    return Credentials(parts, source)


class ConnectionBreaker(Protocol):
    """Knows how connections to a target fared, in other processes too (`state.breakers`)."""

    def ask(self) -> bool:
        """Whether any failed since the last that did not. Raises BreakerOpenError where none is to be tried now."""

    def answered(self) -> None:
        """Note that the server answered, after connections had failed."""

    def failed(self, error: DatabaseError) -> None:
        """Note that nobody answered."""


class Pools:
    """A small pool for each set of session limits: limits are set when a connection is born, never afterwards."""

    def __init__(
        self, connect: Callable[[Any], Any], pool: Callable[[Callable[[], Any]], Any], where: str = ""
    ) -> None:
        """`connect` makes a connection with the limits it is given, `pool` a pool of those; `where` names them in the log."""
        self._connect, self._pool, self._where = connect, pool, where
        self._pools: dict[Any, Any] = {}
        self._guard = threading.Lock()
        #: Asked before each connection that is made; None where every connection is tried.
        self.breaker: ConnectionBreaker | None = None

    def get(self, options: Any) -> Any:
        """A pooled connection with these limits. Raises DatabaseError of kind `connect`, at once while the breaker is open."""
        with self._guard:
            pool = self._pools.get(options)
            if pool is None:
                pool = self._pools[options] = self._pool(lambda: self._made(options))
        return pool.connect()

    def _opened(self, options: Any) -> Any:
        """A new connection, which is logged."""
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
    """SQLAlchemy's pool, for connections to a server."""
    from sqlalchemy.pool import QueuePool

    return QueuePool(connect, pool_size=4, max_overflow=12, reset_on_return=None)


def unavailable(credentials: Credentials, error: DatabaseError, target: str) -> TargetUnavailableError:
    """The usage error for a target that cannot be reached before anything was done."""
    doubtful = "the path, and what is there" if credentials.engine == "sqlite" else "host, port, user and password"
    if isinstance(error, BreakerOpenError):
        return NotTriedError(error.message, hint=error.hint)
    known = error.hint or remedy(error, credentials.url.user)
    how = known or f"check {doubtful}; `{command('doctor', *on(target))}` explains each"
    return TargetUnavailableError(f"no connection to {credentials.display}: {error.message}", hint=how)

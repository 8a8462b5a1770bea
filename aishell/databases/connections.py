"""From a URL to a connection: credentials, pools, masking, the breaker that ends a night of failing connects."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pybreaker

from aishell.errors import DatabaseError, TargetUnavailableError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

#: A SQLite file's URL in which nothing is to be decoded: it is read without SQLAlchemy, whose import costs more than a dry run.
_PLAIN_FILE = re.compile(r"sqlite:///([\w ./~+-]+)", re.ASCII)
#: URL scheme -> engine.
SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
CONNECT_TIMEOUT = 10  # seconds
FAILURES_BEFORE_OPEN = 3
BREAKER_RESET = 60  # seconds until one more connect is tried


@dataclass(frozen=True)
class FileURL:
    """What is asked of SQLAlchemy's URL where it is a file's."""

    database: str
    host: None = None

    def render_as_string(self, *, hide_password: bool) -> str:
        return f"sqlite:///{self.database}"


@dataclass(frozen=True)
class Credentials:
    """How to reach a database. `repr` never shows the password."""

    url: URL = field(repr=False)
    engine: str
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def display(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def mask(self, text: str) -> str:
        """`text` without the password, should a driver have put it there."""
        return text.replace(self.password, "***") if self.password else text


def parse_url(url: str, *, password: str | None = None) -> Credentials:
    """Credentials of a target's URL; `password` (from a file or the environment) goes before the URL's own.

    Raises UsageError when the URL cannot be read, UnknownNameError for an engine aishell does not know.
    """
    if plain := _PLAIN_FILE.fullmatch(url):
        return Credentials(cast("URL", FileURL(plain[1])), "sqlite", password)
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            f"the target URL {mask_url(url)!r} cannot be read",
            hint="write postgresql://user@host:5432/db, mysql://user@host/db or sqlite:///path/file.db",
        ) from error
    scheme = parsed.drivername.split("+")[0]
    if scheme not in SCHEMES:
        raise UnknownNameError("engine", scheme, set(SCHEMES.values()), "the target URL")
    secret = password if password is not None else parsed.password
    return Credentials(parsed, SCHEMES[scheme], str(secret) if secret is not None else None)


def mask_url(url: str) -> str:
    """A URL without its password, readable or not."""
    head, at, tail = url.rpartition("@")
    scheme, sep, user = head.partition("://")
    if not sep:  # no URL, but what was meant as one can hold a password all the same
        scheme, user = "", head
    return f"{scheme}{sep}{user.split(':')[0]}:***@{tail}" if at and ":" in user else url


class Pools:
    """A small pool for each set of session limits: limits are set when a connection is born, never afterwards."""

    def __init__(self, connect: Callable[[Any], Any], pool: Callable[[Callable[[], Any]], Any]) -> None:
        """`connect` makes a connection with the limits it is given, `pool` a pool of such connections."""
        self._connect, self._pool = connect, pool
        self._pools: dict[Any, Any] = {}
        self._guard = threading.Lock()
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES_BEFORE_OPEN, reset_timeout=BREAKER_RESET, throw_new_error_on_trip=False
        )

    def get(self, options: Any) -> Any:
        """A pooled connection with these limits. Raises DatabaseError of kind `connect`, at once while the breaker is open."""
        with self._guard:
            pool = self._pools.get(options)
            if pool is None:
                pool = self._pools[options] = self._pool(lambda: self._connect(options))
        try:
            return self._breaker.call(pool.connect)
        except pybreaker.CircuitBreakerError as error:
            raise DatabaseError(
                f"not tried: the last {FAILURES_BEFORE_OPEN} connections failed",
                kind="connect",
                hint=f"aishell tries again after {BREAKER_RESET} s; check the server, then `aishell runs resume`",
            ) from error

    def close(self) -> None:
        with self._guard:
            for pool in self._pools.values():
                pool.dispose()
            self._pools.clear()


def server_pool(connect: Callable[[], Any]) -> Any:
    """SQLAlchemy's pool, for connections to a server."""
    from sqlalchemy.pool import QueuePool

    return QueuePool(connect, pool_size=4, max_overflow=12, reset_on_return=None)


def unavailable(credentials: Credentials, error: DatabaseError) -> TargetUnavailableError:
    """The usage error for a target that cannot be reached before anything was done."""
    return TargetUnavailableError(
        f"no connection to {credentials.display}: {credentials.mask(error.message)}",
        hint=error.hint or "check host, port, user and password; `aishell doctor` explains each",
    )

"""Whether a URL leads to the database of a configured target, however either is written and whatever the environment adds."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from aishell.databases.libpq import keywords
from aishell.databases.urls import URL, Host
from aishell.engines import profile

#: The name of this host, whichever of its addresses or sockets a URL uses.
_HERE = "localhost"


@dataclass(frozen=True)
class _Place:
    """Where a driver would connect. A database or port of None is unknown before the connection."""

    host: Host
    database: str | None

    def may_be(self, other: _Place) -> bool:
        pairs = (self.database, other.database), (self.host.port, other.host.port)
        if not all(None in pair or pair[0] == pair[1] for pair in pairs):
            return False
        # Names are resolved only if all else matches.
        return self.host.name == other.host.name or bool(_addresses(self.host) & _addresses(other.host))


def same_database(url: URL, known: URL) -> bool:
    """Whether both lead to one file, or to one database of one server: by name, address, link, socket, service or environment.

    `known` also counts as written, even if the environment leads it elsewhere.
    Users, passwords and options do not matter. The far end of a tunnel or proxy cannot be detected here.
    """
    if url.engine != known.engine:
        return False
    if profile(url.engine).is_file:
        return _same_file(Path(url.database or ""), Path(known.database or ""))
    sockets = [Path(one.options["unix_socket"]) for one in (url, known) if "unix_socket" in one.options]
    if len(sockets) == 2 and not _same_file(*sockets):
        return False
    here, there = [*_reached(url)], [*_reached(known), *_written(known)]
    return any(mine.may_be(its) for mine in here for its in there)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist yet
        return one.resolve() == other.resolve()


def _reached(url: URL) -> Iterator[_Place]:
    """Yield where the driver connects with a URL in this environment."""
    return _resolved(url) if url.engine == "postgresql" else _written(url)


def _written(url: URL) -> Iterator[_Place]:
    """Yield where a URL leads by itself, with the defaults of its engine."""
    database = url.database or (url.user or getpass.getuser() if url.engine == "postgresql" else None)
    if "unix_socket" in url.options:
        yield _Place(Host(_HERE), database)
        return
    address = url.options.get("hostaddr")
    for host in (Host(address, url.port),) if address else url.hosts or (Host(""),):
        yield _Place(Host(host.name, host.port or profile(url.engine).port), database)


def _resolved(url: URL) -> Iterator[_Place]:
    """Resolve a URL as libpq does: with its environment, and the service that either names.

    The invalid sslmode makes libpq stop after it has merged all options, before it looks up a host. An unknown service yields
    nothing; the connection will report it.
    """
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import PGconn

    stopped = PGconn.connect_start(os.fsencode(make_conninfo("", **{**keywords(url), "sslmode": "none"})))
    try:
        found = {one.keyword.decode(): os.fsdecode(one.val or b"") for one in stopped.info}
    finally:
        stopped.finish()
    if not found["port"]:
        return
    names, addresses, ports = (found[name].split(",") for name in ("host", "hostaddr", "port"))
    several = max(len(names), len(addresses))
    for _, name, address, port in zip(range(several), cycle(names), cycle(addresses), cycle(ports), strict=False):
        number = int(port) if port.strip().isdigit() else profile(url.engine).port
        yield _Place(Host(address or name, number), found["dbname"])


def _addresses(host: Host) -> frozenset[str]:
    """Return the addresses of a host, all those of this host as one name; none if the name cannot be resolved."""
    if host.name == "" or host.name.startswith(("/", "@")):
        return frozenset({_HERE})
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.name, None)}
    except OSError:
        return frozenset()
    return frozenset(_HERE if _is_here(address) else address for address in found)


def _is_here(address: str) -> bool:
    """Whether an address is one of this host's: no other can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True

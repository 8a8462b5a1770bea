"""Whether two URLs mean the same database, however each is written."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

from aishell.databases.urls import URL, Host

_PORTS = {"postgresql": 5432, "mysql": 3306}
#: What stands for this host, by whichever of its addresses or sockets it is reached.
_HERE = "localhost"


def same_database(one: URL, other: URL) -> bool:
    """Whether both lead to one file, or to one database of one server: by name, address, link or socket.

    Users, passwords and options do not matter. What a tunnel or a proxy leads to cannot be seen here.
    """
    if one.engine != other.engine:
        return False
    if one.engine == "sqlite":
        return _same_file(Path(one.database or ""), Path(other.database or ""))
    if _database(one) != _database(other):
        return False
    pairs = [(mine, its) for mine in _hosts(one) for its in _hosts(other) if _port(one, mine) == _port(other, its)]
    # Names are looked up only where all else is the same.
    return any(mine.name == its.name or _addresses(mine) & _addresses(its) for mine, its in pairs)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()


def _database(url: URL) -> str:
    return url.database or (url.user or getpass.getuser() if url.engine == "postgresql" else "")


def _hosts(url: URL) -> tuple[Host, ...]:
    address = url.options.get("hostaddr")
    return (Host(address, url.port),) if address else url.hosts or (Host(""),)


def _port(url: URL, host: Host) -> int | None:
    return None if "unix_socket" in url.options else host.port or _PORTS[url.engine]


def _addresses(host: Host) -> frozenset[str]:
    """The addresses of a host, this one by one name; a name that nobody knows has none."""
    if host.name == "" or host.name.startswith(("/", "@")):
        return frozenset({_HERE})
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.name, None)}
    except OSError:
        return frozenset()
    return frozenset(_HERE if _is_here(address) else address for address in found)


def _is_here(address: str) -> bool:
    """Whether an address is one of this host: nothing else can be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True

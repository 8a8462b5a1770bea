"""A target's URL: read once, checked, and shown without its password wherever text leaves aishell.

The text of a `URL` is built from its parts without the password: nothing is searched for and replaced, and no password, however
short, can be inferred from what is left out. An ambiguous URL is refused, and no error about a URL repeats any part that could
belong to a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from aishell.databases import options
from aishell.engines import PROFILES
from aishell.errors import UnknownNameError, UsageError

#: URL scheme -> engine.
SCHEMES = {scheme: engine.name for engine in PROFILES.values() for scheme in engine.schemes}
_FORMS = "write postgresql://user@host:5432/db, mysql://user@host/db or sqlite:///path/file.db"
_ESCAPES = (
    "in a user, password or database write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25, a space as %20"
)
_SECRET = "***"  # noqa: S105  a mask, not a password
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.-]*)(\+[A-Za-z0-9_]+)?://(.*)", re.DOTALL)
#: White space and control characters: no URL has them, and they are invisible in a pasted one.
_INVISIBLE = re.compile(r"[\s\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: A URL inside a text, with a password before its last @ or in its query.
_SHAPES = (
    re.compile(r"\w+://[^:/@\s]*:\S+@"),
    re.compile(r"\w+://\S*[?&](\w*pass\w*|\w*pwd|\w*secret\w*|\w*token)=", re.IGNORECASE),
)


#: Any URL inside a text; and what follows the scheme in an unambiguous URL of a database.
_ANY = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*)://(\S*)")
_PLACE = re.compile(
    r"""(?:[^@?/]*@)?(?P<place>(?:(?:[\w.-]|%[0-9A-Fa-f]{2}|\[[0-9A-Fa-f:.]+\])*(?::[0-9]+)?,?)+(?:/[^@?]*)?)(?:\?[^@]*)?"""
)


class Secret:
    """A text that is shown only by `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return _SECRET


#: The password of a URL that was read from a text without it.
HIDDEN = Secret(_SECRET)


@dataclass(frozen=True)
class Host:
    """One server of a URL: a name, an address, or a socket's folder. `port` None means the engine's default."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else _encoded(self.name, "/")
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True)
class URL:
    """Where a database is, and as whom and how to connect. Its text is the URL with `***` for the password."""

    scheme: str  # as written, with a driver's name such as +psycopg
    engine: str
    user: str | None = None
    password: Secret | None = field(default=None, repr=False, compare=False)
    hosts: tuple[Host, ...] = ()
    database: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str | None:
        return (self.hosts[0].name or None) if self.hosts else None

    @property
    def port(self) -> int | None:
        return self.hosts[0].port if self.hosts else None

    @property
    def local(self) -> bool:
        """Whether all servers of the URL are on this host, by a socket or the loopback address."""
        names = [host.name for host in self.hosts]
        return "unix_socket" in self.options or all(name in ("", *_LOOPBACK) or name.startswith("/") for name in names)

    def __str__(self) -> str:
        if self.engine == "sqlite":
            return f"{self.scheme}:///{self.database or ''}"
        login = _encoded(self.user or "", ":/") + (f":{_SECRET}" if self.password is not None else "")
        path = f"/{_encoded(self.database, '')}" if self.database is not None else ""
        query = "&".join(f"{key}={_encoded(value, '&')}" for key, value in self.options.items())
        return f"{self.scheme}://{login}{'@' if login else ''}{','.join(map(str, self.hosts))}{path}{'?' if query else ''}{query}"


def read_url(text: str, what: str = "the target URL") -> URL:
    """Return the parts of a URL. `what` names it in errors.

    Raises UsageError for a URL that cannot be read, is ambiguous or has invalid options, and UnknownNameError for an unknown
    engine or option.
    """
    shape = _SCHEME.fullmatch(text)
    if shape is None:
        raise UsageError(f"{what} is not a URL", hint=_FORMS)
    scheme, driver, rest = shape[1].lower(), shape[2] or "", shape[3]
    if scheme not in SCHEMES:
        raise UnknownNameError("engine", scheme, set(SCHEMES.values()), what)
    engine, where = SCHEMES[scheme], f"{what} ({scheme}://…)"
    place, _, query = rest.partition("?")
    if engine == "sqlite":
        return replace(_file(scheme + driver, place, where), options=_options(engine, query, where))
    _check(rest, where)
    authority, slash, path = place.partition("/")
    login, _, address = authority.rpartition("@")
    user, colon, password = login.partition(":")
    try:
        found = _options(engine, query, where)
    except UnknownNameError as error:
        if ":" not in authority:
            raise
        # If the host was forgotten, host:port?option is user:password, and the name may be part of the password.
        raise UsageError(f"{where} has an unknown option", hint=error.hint) from None
    url = URL(
        scheme + driver,
        engine,
        unquote(user) or None,
        None if not colon else HIDDEN if password == _SECRET else Secret(unquote(password)),
        tuple(_hosts(address, where)),
        unquote(path) if slash else None,
        found,
    )
    return _settled(url, where)


def tells_password(text: str) -> bool:
    """Whether a text contains a URL with a password, of any scheme."""
    return any(shape.search(text) for shape in _SHAPES)


def without_urls(text: str) -> str:
    """Return a text for logs that leave the host: a database's URL keeps host and path, any other or doubtful one the scheme."""
    return _ANY.sub(_cut, text)


def _cut(found: re.Match[str]) -> str:
    scheme, rest = found[1], found[2]
    engine = SCHEMES.get(scheme.partition("+")[0].lower())
    if engine == "sqlite":
        return found[0].partition("?")[0]  # a path
    place = _PLACE.fullmatch(rest) if engine is not None else None
    return f"{scheme}://{place['place'] if place is not None else '…'}"


def _file(scheme: str, place: str, where: str) -> URL:
    """Return the URL of a file. Nothing in its path is decoded, since it is a file's path, not the Web's."""
    if not place.startswith("/"):
        how = "write sqlite:///relative.db, or sqlite:////absolute.db with four slashes"
        raise UsageError(f"{where} is invalid: the path of a SQLite file follows three slashes", hint=how)
    return URL(scheme, "sqlite", database=place[1:])


def _check(rest: str, where: str) -> None:
    """Raise UsageError for an ambiguous URL, without repeating any part that could belong to a password."""
    doubt = None
    if rest.count("@") > 1 or "@" in rest.partition("/")[2] or "@" in rest.partition("?")[2]:
        doubt = "an @ stands where it may be a part of the password, or end it"
    elif "#" in rest:
        doubt = "it has a #"
    elif _INVISIBLE.search(rest):
        doubt = "it has a space, a line break or a control character"
    elif _BAD_ESCAPE.search(rest):
        doubt = "a % is not followed by two hexadecimal digits"
    if doubt is None:
        try:
            unquote(rest, errors="strict")
        except UnicodeDecodeError:
            doubt = "its %-escapes are not UTF-8"
    if doubt is not None:
        raise UsageError(f"{where} cannot be read: {doubt}", hint=f"{_ESCAPES}, or name the password elsewhere")


def _hosts(address: str, where: str) -> Iterable[Host]:
    for one in address.split(",") if address else ():
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", one)
        if found is None or (found[3] is not None and not 0 < int(found[3]) < 65536):
            # The value is not repeated: if the host was forgotten, it is the password.
            raise UsageError(
                f"{where} is invalid: a host must be a name or an address, and a port a number from 1 to 65535",
                hint="write user@host:port, an IPv6 address as [::1]",
            )
        yield Host(unquote(found[1] or found[2]), int(found[3]) if found[3] else None)


def _options(engine: str, query: str, where: str) -> dict[str, str]:
    pairs = (part.partition("=")[::2] for part in query.split("&") if query)
    return options.checked(engine, ((unquote(key), unquote(value)) for key, value in pairs), where)


def _settled(url: URL, where: str) -> URL:
    """Move host, port, user and database from the query, where PostgreSQL's own URLs may have them, to the URL's parts."""
    found = dict(url.options)
    given = {"user": url.user, "dbname": url.database or None, "host": url.hosts or None, "port": url.port}
    for key, part in given.items():
        if key in found and part is not None:
            raise UsageError(f"{where} names the {key} twice", hint="write it once")
    ports, names = found.pop("port", ""), found.pop("host", "")
    hosts = url.hosts
    if ports or names:
        hosts = _numbered(names.split(",") if names else [host.name for host in hosts], ports, where)
    user, database = found.pop("user", url.user), found.pop("dbname", url.database)
    if url.engine == "mysql" and len(url.hosts) > 1:
        raise UsageError(f"{where} names several hosts, which only PostgreSQL supports", hint="name one server")
    return replace(url, user=user, hosts=hosts, database=database, options=found)


def _numbered(names: Sequence[str], ports: str, where: str) -> tuple[Host, ...]:
    """Return the hosts of a query, which has one port for all of them, one for each, or none."""
    hosts, numbers = names or [""], ports.split(",")
    if len(numbers) not in (1, len(hosts)) or not all(re.fullmatch(r"[0-9]{0,5}", one) for one in numbers):
        raise UsageError(f"{where} is invalid: port must be a number, or one for each host")
    numbers *= len(hosts) if len(numbers) == 1 else 1
    return tuple(Host(name, int(number) if number else None) for name, number in zip(hosts, numbers, strict=True))


def _encoded(text: str, more: str) -> str:
    """Return `text` with %-escapes for characters that would end it in a URL; `more`: further such characters."""
    wanted = rf"[\s\x00-\x1f\x7f%@?#\[\]{re.escape(more)}]"
    return re.sub(wanted, lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)

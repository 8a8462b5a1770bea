"""The options that a URL may have, by engine: their names, their values, and their meaning for TLS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aishell.errors import UnknownNameError, UsageError

ON_OFF = ("0", "1")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
#: The modes of MySQL's own clients. https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode
SSL_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
TEXT, NUMBER = "text", "a whole number above 0"

_Values = str | tuple[str, ...]


def _each(values: _Values, *names: str) -> dict[str, _Values]:
    return dict.fromkeys(names, values)


#: Engine -> option -> its values. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
KNOWN: Mapping[str, Mapping[str, _Values]] = {
    "postgresql": {
        **_each(TEXT, "host", "port", "user", "dbname"),  # parts of a URL that PostgreSQL also accepts in the query
        # TLS
        "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        **_each(TEXT, "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir"),
        "sslsni": ON_OFF,
        "sslnegotiation": ("postgres", "direct"),
        "sslcertmode": ("disable", "allow", "require"),
        **_each(_TLS_VERSIONS, "ssl_min_protocol_version", "ssl_max_protocol_version"),
        # authentication
        **_each(("disable", "prefer", "require"), "channel_binding", "gssencmode"),
        **_each(TEXT, "krbsrvname", "require_auth", "requirepeer", "passfile", "service"),
        # the choice of a server, and timeouts
        "hostaddr": TEXT,
        "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
        "load_balance_hosts": ("disable", "random"),
        "keepalives": ON_OFF,
        **_each(NUMBER, "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        "tcp_user_timeout": NUMBER,
        # the session
        **_each(TEXT, "application_name", "options"),
    },
    "mysql": {
        "ssl_mode": SSL_MODES,
        **_each(TEXT, "ssl_ca", "ssl_cert", "ssl_key", "unix_socket", "read_default_file"),
        "connect_timeout": NUMBER,
        "charset": ("utf8mb4",),  # the only one that aishell uses
    },
    "sqlite": {},
}
#: Engine -> the name of an option in other programs -> its name here.
_ALIASES = {"mysql": {"socket": "unix_socket", "defaults_file": "read_default_file"}}
#: Engine -> an option of other drivers -> what to write here instead.
_INSTEAD = {
    "mysql": {
        "ssl": "ssl_mode=REQUIRED",
        "ssl_disabled": "ssl_mode=DISABLED",
        "sslmode": "ssl_mode, one of " + ", ".join(SSL_MODES),
        "ssl_verify_cert": "ssl_mode=VERIFY_CA, or give ssl_ca",
        "ssl_verify_identity": "ssl_mode=VERIFY_IDENTITY, or give ssl_ca",
        "ssl_verify_server_cert": "ssl_mode=VERIFY_IDENTITY, or give ssl_ca",
    },
    "postgresql": {
        "ssl_mode": "sslmode",
        "ssl": "sslmode=require",
        "ssl_ca": "sslrootcert",
        "ssl_cert": "sslcert",
        "ssl_key": "sslkey",
        "client_encoding": "nothing: aishell speaks UTF-8",
    },
}
_PASSWORD = re.compile(r"pass(?!file$)|pwd|secret|token", re.IGNORECASE)


@dataclass(frozen=True)
class _Trust:
    """How an engine verifies a server: the option for the mode, the option for the CA, and the modes that use a CA."""

    mode: str
    ca: str
    verifying: tuple[str, ...]


_TRUST = {
    "postgresql": _Trust("sslmode", "sslrootcert", ("verify-full", "verify-ca")),
    "mysql": _Trust("ssl_mode", "ssl_ca", ("VERIFY_IDENTITY", "VERIFY_CA")),
}


def checked(engine: str, pairs: Iterable[tuple[str, str]], where: str) -> dict[str, str]:
    """Return the options of a URL under their canonical names. `where` names the URL in errors.

    Raises UsageError for a password, an invalid value or a duplicate option, and UnknownNameError for an unknown option. No error
    repeats a value, since it could be part of a password.
    """
    found: dict[str, str] = {}
    for given, value in pairs:
        name = _named(engine, given, where)
        if name in found:
            raise UsageError(f"{where} has the option {name} twice", hint="write it once")
        found[name] = _value(name, KNOWN[engine][name], value, where)
    return verifying(engine, found, where)


def verifying(engine: str, found: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the options with the mode that a CA implies. Raises UsageError for a CA with a mode that verifies nothing."""
    trust = _TRUST.get(engine)
    if trust is None or trust.ca not in found:
        return dict(found)
    mode = found.get(trust.mode, trust.verifying[0])
    if mode not in trust.verifying:
        how = f"write {' or '.join(f'{trust.mode}={one}' for one in trust.verifying)}, or leave {trust.ca} out"
        raise UsageError(f"{where} has {trust.ca}, and {trust.mode}={mode} verifies nothing with it", hint=how)
    return {**found, trust.mode: mode}


def _named(engine: str, given: str, where: str) -> str:
    known = KNOWN[engine]
    name = given.replace("-", "_") if engine == "mysql" else given  # MySQL's own programs accept both
    name = _ALIASES.get(engine, {}).get(name, name)
    if name in known:
        return name
    if _PASSWORD.search(name):
        how = "name it in targets.yaml: password_env, password_file or password_command; or write user:password@host"
        raise UsageError(f"{where} has a password in its query", hint=how)
    if instead := _INSTEAD.get(engine, {}).get(name):
        raise UsageError(f"{where} has the unknown option {name}", hint=f"write {instead}")
    if not known:
        raise UsageError(f"{where} has options, and a file has none", hint="leave out what follows the question mark")
    raise UnknownNameError("option", name, known, where)


def _value(name: str, known: str | tuple[str, ...], value: str, where: str) -> str:
    if isinstance(known, tuple):
        value = value.upper() if known is SSL_MODES else value  # MySQL's own clients accept either case
        fits, values = value in known, f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    elif known is NUMBER:
        fits, values = re.fullmatch(r"0*[1-9][0-9]{0,8}", value) is not None, NUMBER
    else:
        fits, values = value != "", "not empty"
    if not fits:
        raise UsageError(f"{where}: the option {name} must be {values}")
    return value

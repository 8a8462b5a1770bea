"""Remedies for errors of servers: one table, by the engine's error code if there is one, and by the text of the message.

libpq gives no SQLSTATE for a refused connection, so only the text identifies the error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aishell.commands import command
from aishell.databases.quoting import account, pattern, quote
from aishell.errors import DatabaseError


@dataclass(frozen=True)
class _Refusal:
    """An error and its remedy. Without `codes`, any code matches. Groups of `words` fill the braces in `remedy` (`_names`)."""

    words: str
    remedy: str
    codes: tuple[str, ...] = ()

    def answer(self, error: DatabaseError, user: str) -> str | None:
        if error.code and self.codes and error.code not in self.codes:
            return None
        found = re.search(self.words, error.message, re.DOTALL)
        return None if found is None else self.remedy.format_map(_names(found.groupdict(), user))


def _names(found: dict[str, str], user: str) -> dict[str, str]:
    """Return the names in an error, quoted for GRANT. MySQL's account is the one that the server checked, with its host."""
    names = {"role": quote(user, "postgresql") if user else "the role", "doctor": command("doctor"), **found}
    if "name" in found:
        names["name"] = quote(found["name"], "postgresql")
    if "host" in found:
        names |= {"database": pattern(found["database"]), "account": account(f"{found['user']}@{found['host']}")}
    if "table" in found and "`" not in found["table"]:
        names["table"] = quote(found["table"], "mysql")
    return names


_ALLOW, _ACCOUNT = "an administrator can allow it: ", "the account that SELECT CURRENT_USER() names"
_UNSENT = "set password_env or password_file for the target, or write {}"
_OTHER_NAME = "another name than the URL's stands in the server's certificate: name the host as the certificate does"
_OTHER_CA = "the server's certificate is not of the CA that is named (sslrootcert, ssl_ca): name the right one"
_NO_TLS = "turn TLS on in the server, or ask for none: sslmode=disable, ssl_mode=DISABLED"

#: The first match counts.
_REFUSALS = (
    # PostgreSQL
    _Refusal(
        "password authentication failed", "check user and password (password_env, password_file, ~/.pgpass)"
    ),  # 28P01
    _Refusal("no password supplied", _UNSENT.format("~/.pgpass")),  # 28P01
    _Refusal("pg_hba.conf", "the server's pg_hba.conf refuses this user, host or database"),  # 28000
    _Refusal(
        "(Peer|Ident) authentication failed",
        "pg_hba.conf requires the operating-system user of this name: run aishell as that user, or have it ask for a password",
    ),  # 28000
    _Refusal('role "(?P<name>.+)" is not permitted to log in', _ALLOW + "ALTER ROLE {name} LOGIN;"),  # 28000
    _Refusal('role ".+" does not exist', "check the name of the user"),  # 28000
    _Refusal('database ".+" does not exist', "check the name of the database"),  # 3D000
    _Refusal(
        'permission denied for database "(?P<name>.+)"',
        "the role may not connect to it: GRANT CONNECT ON DATABASE {name} TO {role};",
    ),  # 42501
    _Refusal(
        "permission denied for schema (?P<name>.+)", _ALLOW + "GRANT USAGE ON SCHEMA {name} TO {role};", ("42501",)
    ),
    # MySQL, MariaDB
    _Refusal(
        "Access denied for user '(?P<user>.*)'@'(?P<host>[^']*)' to database '(?P<database>.*)'",
        "the password is right, and the account has no privilege on a database of this name: check the name, or "
        "GRANT SELECT ON {database}.* TO {account}; (`{doctor}` names what else it lacks then)",
        ("1044",),
    ),
    _Refusal(r"Access denied for user .*\(using password: NO\)", _UNSENT.format("~/.my.cnf"), ("1045",)),
    _Refusal(
        "Access denied for user",
        "the account logs in without a password: as the user of the system of its name, with unix_socket=PATH in the URL; or "
        "ALTER USER gives it one",
        ("1698",),
    ),
    _Refusal(
        "Access denied for user",
        "check user and password (password_env, password_file, ~/.my.cnf); the account includes the host",
        ("1045",),
    ),
    _Refusal(
        r"need \(at least one of\) the (?P<what>.+?) privilege",
        f"{_ALLOW}GRANT {{what}} ON *.* TO {_ACCOUNT}",
        ("1227",),
    ),
    _Refusal(
        r"(?P<what>[A-Z ]+) command denied to user .* for (?:table|view) (?P<table>.+)",
        f"{_ALLOW}GRANT {{what}} ON {{table}} TO {_ACCOUNT}",
        ("1142",),
    ),
    _Refusal("Unknown database", "check the name of the database", ("1049",)),
    _Refusal("is not allowed to connect", "create an account for this host, or connect from another", ("1130",)),
    # SQLite
    _Refusal("file is not a database", "check the path: the file there is not a SQLite database, or is encrypted"),
    _Refusal("unable to open database file", "check the path, and whether this user can read the file and its folder"),
    # network and TLS
    _Refusal("could not translate host name|failed to resolve host", "check the name of the host"),
    _Refusal("does not match host name|Hostname mismatch|IP address mismatch", _OTHER_NAME),
    _Refusal("certificate verify failed|CERTIFICATE_VERIFY_FAILED", _OTHER_CA),
    _Refusal("server does not support SSL|the server has no TLS", _NO_TLS),
    _Refusal(
        "connection timeout expired", "check host, port and firewall; connect_timeout=SECONDS in the URL waits longer"
    ),
)


def remedy(error: DatabaseError, user: str | None = None) -> str | None:
    """Return the remedy for an error, with SQL to paste if there is any; None if the error is not in the table."""
    return next((told for one in _REFUSALS if (told := one.answer(error, user or "")) is not None), None)

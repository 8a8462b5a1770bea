"""`program`: the client programs a tool runs, as lists of arguments in its file, and what they see of our environment.

Never a shell. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aishell.errors import ParameterError

#: Client program -> the names it goes by, the first that is found. No other program is ever run.
CLIENTS: dict[str, tuple[str, ...]] = {
    "pg_dump": ("pg_dump",),
    "pg_dumpall": ("pg_dumpall",),
    "pg_restore": ("pg_restore",),
    "psql": ("psql",),
    "pg_basebackup": ("pg_basebackup",),
    "pg_receivewal": ("pg_receivewal",),
    "pg_combinebackup": ("pg_combinebackup",),
    "pg_verifybackup": ("pg_verifybackup",),
    "pg_waldump": ("pg_waldump",),
    "pg_amcheck": ("pg_amcheck",),
    "postgres": ("postgres",),
    "pgbackrest": ("pgbackrest",),
    "mariadb": ("mariadb", "mysql"),
    "mariadb-dump": ("mariadb-dump", "mysqldump"),
    "mariadb-binlog": ("mariadb-binlog", "mysqlbinlog"),
    "mariadb-backup": ("mariadb-backup", "mariabackup"),
    "mbstream": ("mbstream",),
    "innochecksum": ("innochecksum",),
    "mariadbd": ("mariadbd", "mysqld"),
}
#: Of our environment every program gets these: where programs, files and certificates are, who calls, in which zone.
_PLAIN = frozenset(
    """PATH HOME USER LOGNAME TMPDIR TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR
    KRB5CCNAME KRB5_CONFIG KRB5_CLIENT_KTNAME""".split()
)
#: What libpq reads, as psycopg does in our own process; a password is not among them.
#: https://www.postgresql.org/docs/current/libpq-envars.html
_LIBPQ = frozenset(
    """PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSFILE PGREQUIREAUTH PGCHANNELBINDING PGSERVICE PGSERVICEFILE PGOPTIONS
    PGSSLMODE PGREQUIRESSL PGSSLNEGOTIATION PGSSLCOMPRESSION PGSSLCERT PGSSLKEY PGSSLCERTMODE PGSSLROOTCERT PGSSLCRL
    PGSSLCRLDIR PGSSLSNI PGREQUIREPEER PGSSLMINPROTOCOLVERSION PGSSLMAXPROTOCOLVERSION PGMINPROTOCOLVERSION
    PGMAXPROTOCOLVERSION PGGSSENCMODE PGKRBSRVNAME PGGSSLIB PGGSSDELEGATION PGTARGETSESSIONATTRS PGLOADBALANCEHOSTS
    PGSYSCONFDIR PGLOCALEDIR""".split()
)
_PLACE = re.compile(r":([a-z_]+)\b")


def arguments(template: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The template with its `:names` filled in, an argument each, whatever a value holds.

    An argument of which a value is None or False is left out; one that is a name alone and stands for a list becomes several.
    Raises ParameterError for a name without a value.
    """
    filled: list[str] = []
    for argument in template:
        names = _PLACE.findall(argument)
        for name in names:
            if name not in values:
                raise ParameterError(f"the argument {argument!r} needs {name!r}")
        if any(values[name] is None or values[name] is False for name in names):
            continue
        alone = names[0] if argument == f":{''.join(names)}" else None
        if alone is not None and isinstance(values[alone], (list, tuple)):
            filled += map(str, values[alone])
        else:
            filled.append(_PLACE.sub(lambda match: str(values[match[1]]), argument))
    return filled


def environment(given: Mapping[str, str], client: str = "", *, password: bool = True) -> dict[str, str]:
    """What a listed client is given of the environment `given`; without a name, what a program needs to tell its version.

    `password`: whether the target has one of its own; where it has none, PostgreSQL's programs take PGPASSWORD as psycopg does.
    """
    names = set(_PLAIN)
    if client.startswith(("pg", "psql")):
        names |= _LIBPQ if password else {*_LIBPQ, "PGPASSWORD"}
    if client == "pgbackrest":  # its options can be given as variables, keys of its repositories too
        names |= {"SSH_AUTH_SOCK", *(name for name in given if name.startswith("PGBACKREST_"))}
    return {**{name: given[name] for name in sorted(names) if name in given}, "LC_ALL": "C"}


def shown(template: Sequence[str], values: Mapping[str, Any]) -> str:
    """A program's line for people: what is known is filled in, the rest stands by its name."""
    known = {name: value for name, value in values.items() if not isinstance(value, (dict, list, tuple))}
    words = []
    for argument in template:
        names = _PLACE.findall(argument)
        if any(name in known and (known[name] is None or known[name] is False) for name in names):
            continue
        words.append(_PLACE.sub(lambda match: str(known.get(match[1], match[0])), argument))
    return " ".join(words)

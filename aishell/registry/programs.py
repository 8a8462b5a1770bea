"""`program`: the client programs that a tool runs, as lists of arguments in its file, and their environment.

Never a shell. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aishell.errors import ParameterError

#: Client program -> its names, of which the first that is found is used. No other program is ever run.
CLIENTS: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in """pg_dump pg_dumpall pg_restore psql pg_basebackup pg_receivewal pg_combinebackup pg_verifybackup pg_waldump
        pg_amcheck postgres pgbackrest mbstream innochecksum""".split()
    },
    "mariadb": ("mariadb", "mysql"),
    "mariadb-dump": ("mariadb-dump", "mysqldump"),
    "mariadb-binlog": ("mariadb-binlog", "mysqlbinlog"),
    "mariadb-backup": ("mariadb-backup", "mariabackup"),
    "mariadbd": ("mariadbd", "mysqld"),
}
#: Variables that every program inherits: the places of programs, files and certificates, the user, the time zone.
_PLAIN = frozenset(
    """PATH HOME USER LOGNAME TMPDIR TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR
    KRB5CCNAME KRB5_CONFIG KRB5_CLIENT_KTNAME""".split()
)
#: Variables that libpq reads, as it does for psycopg in our own process; passwords are not among them.
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
    """Return the template with its `:names` filled in; a value never splits an argument.

    An argument with a value of None or False is left out; one that consists of the name of a list becomes one per item.
    Raises ParameterError for a name without a value.
    """
    return [word for argument in template for word in _filled(argument, values)]


def _filled(argument: str, values: Mapping[str, Any]) -> Iterable[str]:
    names = _PLACE.findall(argument)
    if missing := [name for name in names if name not in values]:
        raise ParameterError(f"the argument {argument!r} needs {missing[0]!r}")
    if any(_is_left_out(values[name]) for name in names):
        return []
    if len(names) == 1 and argument == f":{names[0]}" and isinstance(values[names[0]], (list, tuple)):
        return map(str, values[names[0]])
    return [_PLACE.sub(lambda match: str(values[match[1]]), argument)]


def _is_left_out(value: object) -> bool:
    return value is None or value is False


def environment(given: Mapping[str, str], client: str = "", *, password: bool = True) -> dict[str, str]:
    """Return the variables of `given` for a listed client; without a name, those with which a program can report its version.

    `password`: whether the target has one of its own; if not, PostgreSQL's programs use PGPASSWORD, as psycopg does.
    """
    names = set(_PLAIN)
    if client.startswith(("pg", "psql")):
        names |= _LIBPQ if password else {*_LIBPQ, "PGPASSWORD"}
    if client == "pgbackrest":  # variables can set its options, including keys of repositories
        names |= {"SSH_AUTH_SOCK", *(name for name in given if name.startswith("PGBACKREST_"))}
    return {**{name: given[name] for name in sorted(names) if name in given}, "LC_ALL": "C"}


def shown(template: Sequence[str], values: Mapping[str, Any]) -> str:
    """Return a program's command line for people: known values are filled in, the others appear by name."""
    known = {name: value for name, value in values.items() if not isinstance(value, (dict, list, tuple))}
    words = []
    for argument in template:
        if any(_is_left_out(known.get(name, "")) for name in _PLACE.findall(argument)):
            continue
        words.append(_PLACE.sub(lambda match: str(known.get(match[1], match[0])), argument))
    return " ".join(words)

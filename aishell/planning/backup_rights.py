"""The privileges that a backup needs and the connected role lacks, with the statements that grant them. Pure.

A backup checks this when it begins, from the rows that its tool has read; `aishell doctor` checks the same beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aishell.databases.quoting import account, pattern, quote
from aishell.engines.mysql import MySQLProfile
from aishell.models import Row
from aishell.planning.privileges import exactness, fits
from aishell.reporting.units import few_names

#: MariaDB and MySQL: the privileges for a full dump. Without TRIGGER, a dump silently omits triggers.
DUMP = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
#: The privileges for copying MariaDB's files: to block commits at its end, query InnoDB, and read the binary log position.
FILES = ("RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR")
#: An account needs one of these on the database to see its routines; without them there seem to be none.
_ROUTINES = frozenset({"EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"})
_GRANT = re.compile(
    r"^GRANT (?P<what>.+?) ON (?:TABLE )?(?P<database>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO ", re.DOTALL
)
#: The version from which PostgreSQL has a role that reads everything.
_READS_ALL = (14,)


@dataclass(frozen=True)
class Lack:
    """What the role lacks, and the SQL with which an administrator grants it, one statement per line."""

    reason: str
    grants: tuple[str, ...]

    @property
    def remedy(self) -> str:
        return " ".join(self.grants)


@dataclass(frozen=True)
class Account:
    """MariaDB and MySQL: the connected account, as CURRENT_USER() returns it, with its server's product and version."""

    current_user: str
    product: str
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        return account(self.current_user)


def lines(rows: Iterable[Row]) -> list[str]:
    """Return the lines of SHOW GRANTS, whose column is named after the account."""
    return [str(next(iter(row.values()))) for row in rows]


def of_dump(grants: Sequence[str], database: str, who: Account) -> Lack | None:
    """Return what an account, by the lines of SHOW GRANTS, lacks for a complete dump; None if nothing."""
    held = privileges(grants, database)
    here = held["server"] | held["database"]
    if "ALL PRIVILEGES" in here:
        return None
    missing = [name for name in DUMP if name not in here]
    sees = here & _ROUTINES or "SELECT" in held["server"] or held["routines"] & {"SELECT", "ALL PRIVILEGES"}
    if not missing and sees:
        return None
    reasons, statements = [], []
    if missing:
        reasons.append(f"lacks {', '.join(missing)} on all of the database {database}")
        statements.append(f"GRANT {', '.join(missing)} ON {_entry(grants, database)}.* TO {who.name};")
    if not sees:
        reasons.append(f"cannot see whether the database {database} has procedures and functions")
        statements.append(seeing_routines(who))
    return Lack(f"the account {who.name} {', and '.join(reasons)}", tuple(statements))


def of_routines(hidden: Iterable[Row], who: Account) -> Lack | None:
    """Return the lack of routines of which an account sees the name only; `hidden` has rows of `kind`, `name`."""
    names = [f"the {str(row['kind']).lower()} {row['name']}" for row in hidden]
    if not names:
        return None
    reason = f"the account {who.name} may not see what {few_names(names)} {'does' if len(names) == 1 else 'do'}"
    return Lack(reason, (seeing_routines(who),))


def of_files(grants: Iterable[str], who: Account) -> Lack | None:
    """Return what an account, by the lines of SHOW GRANTS, lacks to copy the files of a MariaDB server; None if nothing."""
    held = privileges(grants, "")["server"]
    missing = [] if "ALL PRIVILEGES" in held else [name for name in FILES if name not in held]
    if not missing:
        return None
    reason = f"the account {who.name} lacks {', '.join(missing)}"
    return Lack(reason, (f"GRANT {', '.join(missing)} ON *.* TO {who.name};",))


def seeing_routines(who: Account) -> str:
    """Return the narrowest GRANT on this server that lets an account see every routine."""
    return f"GRANT {MySQLProfile.routine_privilege(who.product, who.version)} TO {who.name};"


def privileges(grants: Iterable[str], database: str) -> Mapping[str, frozenset[str]]:
    """Return the privileges in SHOW GRANTS on the `server`, the `database`, and the `routines` in mysql.proc."""
    found: dict[str, set[str]] = {"server": set(), "database": set(), "routines": set()}
    for line in grants:
        match = _GRANT.match(line)
        if match is None:
            continue
        words = {word.strip() for word in match["what"].upper().split(",")}
        where, table = (part.strip("`").replace("``", "`") for part in (match["database"], match["table"]))
        if (match["database"], match["table"]) == ("*", "*"):
            found["server"] |= words
        elif match["table"] == "*" and fits(database, where):
            found["database"] |= words
        if where == "mysql" and table in ("*", "proc"):
            found["routines"] |= words
    return {place: frozenset(words) for place, words in found.items()}


def _entry(grants: Iterable[str], database: str) -> str:
    """Return the database as GRANT must name it: an existing entry that matches it, since a new one would take precedence."""
    named = (match["database"] for line in grants if (match := _GRANT.match(line)) and match["table"] == "*")
    patterns = {name[1:-1].replace("``", "`") for name in named if name != "*"}
    fitting = [name for name in patterns if fits(database, name)]
    return quote(max(fitting, key=exactness), "mysql") if fitting else pattern(database)


def of_reading(obstacles: Sequence[Row], version: Sequence[int], *, compare: bool = True) -> Iterator[Lack]:
    """PostgreSQL: yield what makes a dump incomplete, from the rows of `backup_obstacles`; `compare`: with fingerprints."""
    rows = [row for row in obstacles if compare or row["kind"] != "uncompared"]
    if not rows:
        return
    role = str(rows[0]["role"])
    unreadable = [row for row in rows if row["kind"] in ("unreadable", "uncompared")]
    quoted = quote(role, "postgresql")
    if unreadable:
        names = few_names([row["name"] for row in unreadable])
        yield Lack(f"{role} may not read {names}", tuple(_reading(unreadable, version, quoted)))
    if large := _named(rows, "large object"):
        grants = tuple(f"GRANT SELECT ON {name.upper()} TO {quoted};" for name in large)
        yield Lack(f"{role} may not read {few_names(large)}", grants)
    if partial := _named(rows, "partial"):
        reason = f"row-level security lets {role} see only part of {few_names(partial)}"
        yield Lack(reason, (f"ALTER ROLE {quoted} BYPASSRLS;",))


def _named(rows: Sequence[Row], kind: str) -> list[str]:
    return [str(row["name"]) for row in rows if row["kind"] == kind]


def _reading(rows: Sequence[Row], version: Sequence[int], role: str) -> Iterator[str]:
    if tuple(version) >= _READS_ALL:
        yield f"GRANT pg_read_all_data TO {role};"
        return
    schemas = sorted({str(row["schema"]) for row in rows if row["kind"] == "unreadable"})
    for schema in (quote(name, "postgresql") for name in schemas):
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role};"
        for what in ("TABLES", "SEQUENCES"):
            yield f"GRANT SELECT ON ALL {what} IN SCHEMA {schema} TO {role};"
    if any(row["kind"] == "uncompared" for row in rows):
        yield f"GRANT SELECT ON TABLE pg_catalog.pg_largeobject TO {role};"


def of_replicating(role: str, *, may: bool) -> Lack | None:
    """PostgreSQL: return what a role lacks for a physical backup, besides a line in pg_hba.conf; None if nothing."""
    if may:
        return None
    return Lack(f"{role} may not replicate", (f"ALTER ROLE {quote(role, 'postgresql')} REPLICATION;",))

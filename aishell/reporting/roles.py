"""The least-privilege roles that a DBA may create for aishell, as SQL to copy. `aishell doctor` only prints it.

Tested on PostgreSQL 15 and 18 and MariaDB 10.11 by tests/commands/test_roles.py: every tool runs as its role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aishell.databases.quoting import literal, pattern, quote
from aishell.models import Row, Server
from aishell.planning.backup_rights import DUMP, Account, seeing_routines
from aishell.planning.privileges import Access, execution

INSPECT, MAINTAIN = "aishell_inspect", "aishell_maintain"
#: What MariaDB and MySQL require: reading; ANALYZE and OPTIMIZE (INSERT); ALTER TABLE … FORCE (ALTER, CREATE, INSERT).
MYSQL_READS = ("SELECT",)
MYSQL_WRITES = ("SELECT", "INSERT", "ALTER", "CREATE")
#: What a dump needs besides; routines have their own privilege.
MYSQL_DUMPS = tuple(name for name in DUMP if name not in MYSQL_WRITES)
STATISTICS = ("innodb_table_stats", "innodb_index_stats")


def roles(server: Server, access: Access) -> tuple[str, ...]:
    """Return SQL that creates an inspection and a maintenance role for this database; empty if there are no roles."""
    made = _OF_ENGINE.get(server.engine)
    return () if made is None else tuple(made(server, access))


def _postgresql(server: Server, access: Access) -> list[str]:
    database = quote(server.database, "postgresql")
    lines = [
        f"-- in the database {database}, as a superuser; set the passwords with \\password, which keeps them out of the log"
    ]
    for role in (INSPECT, MAINTAIN):
        lines += [f"CREATE ROLE {role} LOGIN;", f"GRANT CONNECT ON DATABASE {database} TO {role};"]
        lines += reading(server, access, role)
    return [*lines, *checking(access, f"{INSPECT}, {MAINTAIN}"), *_maintaining(server, access["owners"], (), MAINTAIN)]


def reading(server: Server, access: Access, role: str) -> list[str]:
    """PostgreSQL: grant reading of statistics, sessions and the column statistics of every table."""
    if server.version >= (14,):
        return [f"GRANT pg_monitor, pg_read_all_data TO {role};"]
    lines = [f"GRANT pg_monitor TO {role};"]
    for schema in sorted({name for row in access["owners"] for name in row["schemas"]}):
        name = quote(schema, "postgresql")
        lines += [f"GRANT USAGE ON SCHEMA {name} TO {role};", f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role};"]
    return lines


def checking(access: Access, role: str) -> list[str]:
    """PostgreSQL: let new roles call amcheck, by default reserved for superusers; pg_monitor covers pgstattuple."""
    new = [
        {**row, "granted": row["by_everybody"], "reached": row["reached_by_everybody"]}
        for row in access["functions"]
        if row["extension"] == "amcheck"
    ]
    return execution(new, role)


def maintaining(server: Server, access: Access, role: str) -> list[str]:
    """PostgreSQL: grant VACUUM, ANALYZE and REINDEX to the connected role, which may have some owners' roles."""
    owners = [row for row in access["owners"] if not row["held"]]
    return _maintaining(server, owners, unmaintained(access), role)


def unmaintained(access: Access) -> list[Row]:
    """PostgreSQL: return the relations that the connected role may not maintain."""
    return [row for row in access["tables"] if {"MAINTAIN", "USAGE"} & set(row["lacking"])]


def _maintaining(server: Server, owners: Sequence[Row], relations: Sequence[Row], role: str) -> list[str]:
    """Before 17 only owners may maintain; superusers' roles are never granted. Only an owner may drop a leftover index.

    `relations`: the relations in question, if known individually.
    """
    members = [quote(row["owner"], "postgresql") for row in owners if not row["superuser"]]
    if server.version >= (17,):
        lines = [f"GRANT pg_maintain TO {role};"]
        if members:
            lines.append("-- only an owner may drop what an interrupted index rebuild left; the next line is optional")
            lines.append(f"-- GRANT {', '.join(members)} TO {role};")
        return lines
    lines = (
        [f"GRANT {', '.join(members)} TO {role};  -- before version 17 maintenance is the owner's"] if members else []
    )
    if known := [row for row in relations if row["superuser"]]:
        lines.append("-- owned by a superuser, whose role would grant everything: only an owner may maintain these")
        lines += [f"ALTER {_KINDS[row['relkind']]} {name_of(row)} OWNER TO {role};" for row in known]
    elif of_superusers := sum(row["tables"] for row in owners if row["superuser"]):
        lines.append(
            f"-- {of_superusers} table(s) belong to superusers and only they may maintain them: ALTER TABLE … OWNER TO …"
        )
    return lines


#: Kinds of relations, in the words of ALTER.
_KINDS = {"r": "TABLE", "p": "TABLE", "m": "MATERIALIZED VIEW"}


def name_of(row: Row) -> str:
    """Return a relation's name in SQL."""
    return f"{quote(row['schema'], 'postgresql')}.{quote(row['table'], 'postgresql')}"


def _mysql(server: Server, access: Access) -> list[str]:
    host = str(access["role"][0]["role_name"]).rpartition("@")[2]
    lines = [f"-- the passwords are yours to choose; the accounts connect from {'anywhere' if host == '%' else host}"]
    for name, privileges in ((INSPECT, MYSQL_READS), (MAINTAIN, (*MYSQL_WRITES, *MYSQL_DUMPS))):
        account = f"{name}@{literal(host)}"
        lines += [f"CREATE USER {account} IDENTIFIED BY 'choose one';", *granting(server, account, privileges)]
    return [*lines, seeing_routines(Account(f"{MAINTAIN}@{host}", server.product, server.version))]


def granting(server: Server, account: str, privileges: Sequence[str]) -> list[str]:
    """MySQL: grant access to other sessions and InnoDB's statistics, and `privileges` in this database."""
    lines = [f"GRANT PROCESS ON *.* TO {account};"]
    lines += [f"GRANT SELECT ON mysql.{table} TO {account};" for table in STATISTICS]
    return [*lines, f"GRANT {', '.join(privileges)} ON {pattern(server.database)}.* TO {account};"]


#: The engines with roles.
_OF_ENGINE: Mapping[str, Callable[[Server, Access], list[str]]] = {"postgresql": _postgresql, "mysql": _mysql}

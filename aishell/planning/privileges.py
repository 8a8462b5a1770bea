"""The privileges that the connected role lacks, and the GRANT for each, from the rows of `inspect_privileges`. Pure.

The server has the last word when a step runs. A privilege that cannot be seen here (of other databases, of an active role)
counts as held.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aishell.databases.quoting import account, pattern, quote
from aishell.models import Inventory, LeftOut, Row
from aishell.reporting.units import few_names

Key = tuple[str, str]
Access = Mapping[str, Sequence[Row]]
#: PostgreSQL: what the owner of a table may do without a grant. MAINTAIN and VACUUM can be granted from version 17 on.
_OWNED = ("MAINTAIN", "VACUUM", "OWNERSHIP")
#: MySQL: privileges that can be granted on a database, but not on a single table.
_OF_DATABASES = frozenset({"LOCK TABLES", "EVENT"})
#: MySQL: the privileges in ALL PRIVILEGES, if a server does not list them.
_ALL = frozenset(
    ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "INDEX", "ALTER", "REFERENCES", "TRIGGER", "SHOW VIEW",
     "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "CREATE TEMPORARY TABLES", *_OF_DATABASES)
)  # fmt: skip
#: PostgreSQL: the privilege to call the functions of an extension, whose name follows.
EXECUTE = "EXECUTE ON "


class Privileges:
    """What the working role may do with the tables of a target. This base class refuses nothing."""

    def __init__(self, inventory: Inventory) -> None:
        self.access, self.server = inventory.access, inventory.server

    def refused(self, step: str, tool: str, key: Key | None, needed: Sequence[str]) -> LeftOut | None:
        """Return why the role may not run `tool` on the table `key`, or on all tables (None); None if it may."""
        return None

    def barred(self, step: str, tool: str, needed: Sequence[str]) -> LeftOut | None:
        """Return why the role may not run `tool` on any table at all; None if it may."""
        return None


class _Postgresql(Privileges):
    def __init__(self, inventory: Inventory) -> None:
        super().__init__(inventory)
        self.role = str(self.access["role"][0]["role_name"])  # inspection may use another role for the server's facts
        self.rows = {(row["schema"], row["table"]): row for row in self.access["tables"]}

    def barred(self, step: str, tool: str, needed: Sequence[str]) -> LeftOut | None:
        extensions = {name.removeprefix(EXECUTE) for name in needed if name.startswith(EXECUTE)}
        closed = [
            row for row in self.access.get("functions", ()) if row["extension"] in extensions and not row["allowed"]
        ]
        if not closed:
            return None
        schemas = dict.fromkeys(f"USAGE on the schema {row['schema']}" for row in closed if not row["reached"])
        functions = ", ".join(row["signature"] for row in closed if not row["granted"])
        lacks = [*schemas, *([f"EXECUTE on {functions}"] if functions else ())]
        privileges = dict.fromkeys(one.split(" ", 1)[0] for one in lacks)
        grants = execution(closed, quote(self.role, "postgresql"))
        reason = f"role {self.role} lacks {', '.join(lacks)}"
        return LeftOut(step, tool, self.server.database, reason, tuple(privileges), tuple(grants))

    def refused(self, step: str, tool: str, key: Key | None, needed: Sequence[str]) -> LeftOut | None:
        needed = [name for name in needed if not name.startswith(EXECUTE)]
        if not needed:
            return None  # not even USAGE: its functions take OIDs
        found = [(row, missing) for row in self._rows(key) if (missing := _missing(row, needed))]
        if not found:
            return None
        privileges = tuple(dict.fromkeys(name for _, missing in found for name in missing))
        grants = tuple(dict.fromkeys(grant for row, missing in found for grant in self._grants(row, missing)))
        if key is not None:
            return LeftOut(step, tool, ".".join(key), self._reason(*found[0]), privileges, grants)
        names = few_names([f"{row['schema']}.{row['table']}" for row, _ in found])
        reason = f"role {self.role} lacks {', '.join(privileges)} on {names}"
        return LeftOut(step, tool, self.server.database, reason, privileges, grants)

    def _rows(self, key: Key | None) -> list[Row]:
        if key is not None:
            return [self.rows[key]] if key in self.rows else []
        # Members of an extension and materialized views are recreated from their definitions.
        return [row for row in self.rows.values() if row["relkind"] != "m" and not row["extension"]]

    def _reason(self, row: Row, missing: Sequence[str]) -> str:
        role, owner = self.role, row["owner"]
        granted = [name for name in missing if name not in (*_OWNED, "USAGE")]
        reasons = [f"role {role} lacks USAGE on the schema {row['schema']}"] if "USAGE" in missing else []
        if owned := [name for name in missing if name in _OWNED]:
            lacks = "lacks MAINTAIN on it" if self._grantable(owned) else "is not a member of that role"
            reasons.append(f"it is owned by {owner}, and role {role} {lacks}")
        if granted:
            reasons.append(f"role {role} lacks {', '.join(granted)} on it")
        return "; ".join(reasons)

    def _grants(self, row: Row, missing: Sequence[str]) -> list[str]:
        role, schema = quote(self.role, "postgresql"), quote(row["schema"], "postgresql")
        table = f"{schema}.{quote(row['table'], 'postgresql')}"
        lines = [f"GRANT USAGE ON SCHEMA {schema} TO {role};"] if "USAGE" in missing else []
        granted = [name for name in missing if name not in (*_OWNED, "USAGE")]
        owned = [name for name in missing if name in _OWNED]
        if owned and not self._grantable(owned):  # an owner has every other privilege too
            if row["superuser"]:  # membership in a superuser's role would give more than is needed
                return [*lines, f"ALTER TABLE {table} OWNER TO {role};"]
            return [*lines, f"GRANT {quote(row['owner'], 'postgresql')} TO {role};"]
        granted += ["MAINTAIN"] if owned else []
        return [*lines, f"GRANT {', '.join(granted)} ON TABLE {table} TO {role};"] if granted else lines

    def _grantable(self, owned: Sequence[str]) -> bool:
        return self.server.version >= (17,) and "OWNERSHIP" not in owned


def _missing(row: Row, needed: Sequence[str]) -> list[str]:
    return [name for name in ("USAGE", *needed) if name in row["lacking"]]


class _Mysql(Privileges):
    def __init__(self, inventory: Inventory) -> None:
        super().__init__(inventory)
        self.alone: dict[Key, set[str]] = {}
        for row in self.access["tables"]:
            self.alone.setdefault((row["schema"], row["table"]), set()).add(row["privilege"])
        for one in of_public(self.access):
            if one.table is not None:
                self.alone.setdefault((self.server.database, one.table), set()).update(one.privileges)
        self.best, self.held = in_force(self.access)

    def refused(self, step: str, tool: str, key: Key | None, needed: Sequence[str]) -> LeftOut | None:
        database = self.server.database
        if self.access["role"][0]["active_role"] or (key is not None and key[0] != database):
            return None
        of_database, of_table = self._missing(key, needed)
        if not of_table and not of_database:
            return None
        account, places = account_of(self.access), list[tuple[str, str, str]]()
        if of_table and key is not None:
            places.append((", ".join(of_table), "it", f"{quote(database, 'mysql')}.{quote(key[1], 'mysql')}"))
        if of_database:
            places.append((", ".join(of_database), f"the database {database}", f"{self._entry()}.*"))
        lacks = [f"{names} on {on}" for names, on, _ in places]
        grants = [f"GRANT {names} ON {where} TO {account};" for names, _, where in places]
        reason = f"the account {account} lacks {' and '.join(lacks)}"
        return LeftOut(step, tool, ".".join(key) if key else database, reason, (*of_table, *of_database), tuple(grants))

    def _missing(self, key: Key | None, needed: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return what is missing on the database, and what on the table. Without a table, everything counts for the database."""
        missing = [name for name in needed if name not in self.held]
        of_database = [name for name in missing if key is None or name in _OF_DATABASES]
        alone = self.alone.get(key, ()) if key is not None else ()
        return of_database, [name for name in missing if name not in of_database and name not in alone]

    def _entry(self) -> str:
        return quote(self.best, "mysql") if self.best is not None else pattern(self.server.database)


class _Sqlite(Privileges):
    def refused(self, step: str, tool: str, key: Key | None, needed: Sequence[str]) -> LeftOut | None:
        (file,) = self.access["file"]
        if file["writable"] or not needed:
            return None
        hint = f"give this user write permission on {file['path']} and its folder: SQLite writes its journal beside it"
        where = ".".join(key) if key else str(file["path"])
        return LeftOut(step, tool, where, "this user may not write the file, or its folder", tuple(needed), (), hint)


def execution(functions: Sequence[Row], role: str) -> list[str]:
    """PostgreSQL: return the GRANTs that let `role`, quoted, call functions, with USAGE on their schemas."""
    schemas = dict.fromkeys(quote(row["schema"], "postgresql") for row in functions if not row["reached"])
    closed = [row["signature"] for row in functions if not row["granted"]]
    return [
        *(f"GRANT USAGE ON SCHEMA {schema} TO {role};" for schema in schemas),
        *([f"GRANT EXECUTE ON FUNCTION {', '.join(closed)} TO {role};"] if closed else ()),
    ]


_JUDGES = {"postgresql": _Postgresql, "mysql": _Mysql, "sqlite": _Sqlite}


def privileges_of(inventory: Inventory) -> Privileges:
    """Return the privileges of the role on this engine; if they were not inspected, nothing is refused."""
    return (_JUDGES[inventory.server.engine] if inventory.access else Privileges)(inventory)


def account_of(access: Access) -> str:
    """MySQL: return the connected account in the syntax of GRANT."""
    return account(str(access["role"][0]["role_name"]))


@dataclass(frozen=True)
class Public:
    """Privileges of PUBLIC on the server, on databases that match a pattern, or on one table of the connected database."""

    privileges: frozenset[str]
    database: str | None = None
    table: str | None = None


_TO_PUBLIC = re.compile(
    r"GRANT (?P<privileges>.+) ON (?:\*|`(?P<database>(?:[^`]|``)+)`)\.(?:\*|`(?P<table>(?:[^`]|``)+)`) TO PUBLIC(?: WITH .+)?"
)


def of_public(access: Access) -> list[Public]:
    """MariaDB: return the grants TO PUBLIC that apply to the connected database; only SHOW GRANTS lists them.

    Grants on columns are not counted.
    """
    found = list[Public]()
    for row in access.get("grants", ()):
        line = _TO_PUBLIC.fullmatch(str(next(iter(row.values()))))
        if line is None:
            continue
        names = frozenset(name.strip() for name in re.sub(r"\w+ \([^)]*\)", "", line["privileges"]).split(",")) - {""}
        database, table = (line[part] and line[part].replace("``", "`") for part in ("database", "table"))
        exact = table is not None  # a table's database is a name, not a pattern
        connected = str(access["role"][0]["database"])
        if database is None or (database == connected if exact else fits(connected, database)):
            found.append(Public(_ALL if "ALL PRIVILEGES" in names else names, database, table))
    return found


def fits(database: str, pattern: str) -> bool:
    """Return whether a pattern of GRANT matches a database."""
    wild = {"_": ".", "%": ".*"}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return bool(re.fullmatch("".join(wild.get(one) or re.escape(one[-1]) for one in parts), database, re.DOTALL))


def in_force(access: Access) -> tuple[str | None, frozenset[str]]:
    """MySQL: return the pattern of the entry in force for this database, None without one, and the privileges held here.

    Of several entries that match, the server uses only the one with the most characters before its first wildcard
    (https://mariadb.com/kb/en/grant/, Database Privileges). So a GRANT must name the existing entry.
    """
    held = {row["privilege"] for row in access["privileges"] if row["place"] == "server"}
    public = [one for one in of_public(access) if one.table is None]
    best = max((one.database for one in public if one.database is not None), key=exactness, default=None)
    held |= {name for one in public if one.database in (None, best) for name in one.privileges}
    patterns = {str(row["pattern"]) for row in access["privileges"] if row["place"] == "database"}
    if not patterns:
        return None, frozenset(held)
    best = max(patterns, key=exactness)
    return best, frozenset(held | {row["privilege"] for row in access["privileges"] if row["pattern"] == best})


def exactness(text: str) -> float:
    """MySQL: return the number of characters of a pattern before its first wildcard; infinite without one."""
    wildcard = re.search(r"(?<!\\)[_%]", text)
    return wildcard.start() if wildcard else float("inf")

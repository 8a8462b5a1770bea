"""What must stay as it is: everything in the database, on its server and in the site, as values by name.

A name tells what it is of: `rows public.orders`, `index public.orders_n`, `session reporting`, `payroll: rows public.salaries`.
The globs of a fault's `changes` are matched against these names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Prints = dict[str, Any]

_POSTGRESQL = {
    "relation": """SELECT n.nspname || '.' || c.relname, c.relkind, c.relpersistence, c.reloptions, c.relacl::text, c.relowner
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind <> 'i' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'""",
    "column": """SELECT a.attrelid::regclass::text || '.' || a.attname, a.atttypid::regtype::text, a.atttypmod, a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid), a.attstattarget
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'v')
          AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'""",
    "index": """SELECT n.nspname || '.' || x.relname, pg_get_indexdef(x.oid), i.indisvalid
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'""",
    "constraint": """SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint WHERE conrelid <> 0 AND connamespace <> 'pg_catalog'::regnamespace""",
    "trigger": """SELECT tgrelid::regclass || '.' || tgname, tgenabled, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal""",
    "function": """SELECT p.oid::regprocedure::text, md5(p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'""",
    "sequence": "SELECT schemaname || '.' || sequencename, last_value, max_value, increment_by FROM pg_sequences",
    "extension": "SELECT extname, extversion FROM pg_extension",
    "schema": "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_'",
    "database": "SELECT datname, datacl::text, datconnlimit FROM pg_database",
    "role": "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin FROM pg_roles",
    "slot": "SELECT slot_name, slot_type, active FROM pg_replication_slots",
    "prepared transaction": "SELECT gid, database FROM pg_prepared_xacts",
    "setting of a role": "SELECT setdatabase || ' ' || setrole, setconfig FROM pg_db_role_setting",
    "setting": "SELECT name, setting FROM pg_file_settings",
}
_MARIADB = {
    "database": "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA",
    "user": "SELECT CONCAT(User, '@', Host), Priv FROM mysql.global_priv",
    "routine": "SELECT CONCAT(ROUTINE_SCHEMA, '.', ROUTINE_NAME), MD5(ROUTINE_DEFINITION) FROM information_schema.ROUTINES "
    "WHERE ROUTINE_SCHEMA <> 'sys'",
    "trigger": "SELECT CONCAT(TRIGGER_SCHEMA, '.', TRIGGER_NAME), ACTION_STATEMENT FROM information_schema.TRIGGERS "
    "WHERE TRIGGER_SCHEMA <> 'sys'",
    "setting": "SELECT VARIABLE_NAME, GLOBAL_VALUE FROM information_schema.SYSTEM_VARIABLES WHERE GLOBAL_VALUE_ORIGIN <> "
    "'COMPILE-TIME' AND VARIABLE_NAME NOT LIKE 'GTID%'",
}


def postgresql(db: Any, *, server: bool = True) -> Prints:
    """The database, and what it shares with others on its server."""
    shared = {"database", "role", "slot", "prepared transaction", "setting of a role", "setting"}
    with db.connect() as connection:
        for kind in (
            "indexscan",
            "indexonlyscan",
            "bitmapscan",
        ):  # rows are told by the table, whatever its indexes say
            connection.execute(f"SET enable_{kind} = off")
        tables = connection.execute(
            """SELECT n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname) FROM pg_class c
               JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""
        ).fetchall()
        found: Prints = {}
        for name, quoted in tables:
            rows = f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM ONLY {quoted} AS t"
            found[f"rows {name}"] = connection.execute(rows).fetchone()
        for kind, query in _POSTGRESQL.items():
            if server or kind not in shared:
                found |= _named(kind, connection.execute(query).fetchall())
    return found


def mariadb(db: Any, *, server: bool = True) -> Prints:
    """The database, and what it shares with others on its server."""
    found: Prints = {}
    with db.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW FULL TABLES")
        for name, kind in cursor.fetchall():
            quoted = "`" + name.replace("`", "``") + "`"
            cursor.execute(f"SHOW CREATE TABLE {quoted}")
            found[f"table {name}"] = cursor.fetchone()[1]
            if kind == "BASE TABLE":
                cursor.execute(f"CHECKSUM TABLE {quoted} EXTENDED")
                checksum = cursor.fetchone()[1]
                cursor.execute(f"SELECT COUNT(*) FROM {quoted}")
                found[f"rows {name}"] = (checksum, cursor.fetchone()[0])
        for kind, query in _MARIADB.items() if server else ():
            cursor.execute(query)
            found |= _named(kind, cursor.fetchall())
    return found


def sqlite(db: Any, *, server: bool = True) -> Prints:
    """The file: its rows, its schema and what its header says. SQLite has no server."""
    found: Prints = {}
    connection = db.connect()
    try:
        schema = connection.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
        for kind, name, sql in schema:
            found[f"{kind} {name}"] = sql
            if kind == "table":
                quoted = '"' + name.replace('"', '""') + '"'
                rows = hashlib.sha256()
                for row in connection.execute(f"SELECT * FROM {quoted} NOT INDEXED"):
                    rows.update(repr(row).encode())
                found[f"rows {name}"] = rows.hexdigest()
        for name in ("journal_mode", "auto_vacuum", "page_size", "encoding", "user_version", "application_id"):
            found[f"pragma {name}"] = connection.execute(f"PRAGMA {name}").fetchone()
    finally:
        connection.close()
    return found


OF_ENGINE = {"postgresql": postgresql, "mariadb": mariadb, "sqlite": sqlite}


def _named(kind: str, rows: Iterable[Sequence[Any]]) -> Prints:
    return {f"{kind} {row[0]}": tuple(row[1:]) for row in rows}


def touched(before: Mapping[str, Any], after: Mapping[str, Any], changes: Sequence[str] = ()) -> list[str]:
    """The names of what is not as it was, beside the `changes` that a fault allows. A new backup is not harm; a lost one is."""
    return sorted(
        name
        for name in {*before, *after}
        if (name in before) != (name in after) or before[name] != after[name]
        if not (name.startswith("backup ") and name not in before)
        if not any(fnmatchcase(name, pattern) for pattern in changes)
    )

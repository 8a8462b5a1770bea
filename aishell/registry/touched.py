"""The wall in front of the server: it resolves what a site's tool that runs without approval touches, before sending it.

A parser knows names; only the server knows what they mean. A name after a dot may be a call, an operator or a cast may run a
user's function, a view may contain anything, and a table may be on another server. So the server resolves each such statement, in
the transaction in which it is sent next, and user code is refused (decision 17).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from aishell.databases.base import Session, Statement
from aishell.databases.quoting import quote
from aishell.engines import profile
from aishell.errors import StepError
from aishell.models import Row

#: Checks a statement in its transaction, before it is sent.
Guard = Callable[[Session, Statement], None]
_FIELD = re.compile(r":(\w+)\s+(?:(\d+)|\(o((?:\s+\d+)+)\))")
#: Kind of object -> the fields of PostgreSQL's trees that hold its oid (src/include/nodes/primnodes.h, parsenodes.h).
_KINDS = (
    ("functions", re.compile(r"\w*(?:func|funcid|fnoid|Func)")),
    ("operators", re.compile(r"\w*(?:opno|opnos|eqop|sortop)")),
    ("columns", re.compile(r"vartype")),
    ("types", re.compile(r"\w*(?:type|types|typeid|typid)")),
    ("relations", re.compile(r"relid")),
)
# Objects made after initdb have oids from 16384 on (access/transam.h). An extension's function passes if its name is listed or if
# it is immutable. The server's own unlisted functions are refused only if they may have effects.
_FACTS = """
WITH RECURSIVE parts (oid, made) AS (
    SELECT unnest(%(types)s::oid[]), true
    UNION  -- a literal may be made a row of a table that is named
    SELECT c.reltype, true FROM pg_class AS c WHERE c.oid = ANY (%(named)s) AND c.reltype <> 0
    UNION  -- to read a column of a domain runs nothing; its row, or a list of them, may be made anew
    SELECT t.oid, t.typtype <> 'd' FROM unnest(%(columns)s::oid[]) AS c (oid) JOIN pg_type AS t ON t.oid = c.oid
    UNION
    SELECT part.oid, parts.made OR p.typtype <> 'd'
      FROM parts JOIN pg_type AS t ON t.oid = parts.oid
           LEFT JOIN pg_range AS r ON t.oid IN (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
           LEFT JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
           CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem), (r.rngsubtype), (a.atttypid)) AS part (oid)
           JOIN pg_type AS p ON p.oid = part.oid
), relations (oid) AS (
    SELECT unnest(%(relations)s::oid[])
    UNION
    SELECT i.inhrelid FROM relations AS r JOIN pg_inherits AS i ON i.inhparent = r.oid
), families (oid) AS (  -- by which the server compares what it is not told to: in rows, lists, ranges and indexes
    SELECT c.opcfamily FROM pg_opclass AS c
     WHERE c.oid >= 16384
       AND NOT EXISTS (SELECT FROM pg_depend AS d
                        WHERE d.classid = 'pg_opclass'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       AND (c.opcdefault AND c.opcintype IN (SELECT oid FROM parts)
            OR c.oid IN (SELECT r.rngsubopc FROM pg_range AS r JOIN parts ON parts.oid = r.rngtypid)
            OR EXISTS (SELECT FROM relations AS r JOIN pg_index AS i ON i.indrelid = r.oid WHERE c.oid = ANY (i.indclass)))
), functions (oid) AS (
    SELECT unnest(%(functions)s::oid[])
    UNION
    SELECT o.oprcode FROM pg_operator AS o WHERE o.oid = ANY (%(operators)s::oid[])
    UNION  -- to_json and its like look for a cast by themselves
    SELECT c.castfunc FROM parts JOIN pg_cast AS c ON c.castsource = parts.oid
     WHERE c.casttarget IN ('json'::regtype, 'jsonb'::regtype)
    UNION
    SELECT a.amproc FROM families JOIN pg_amproc AS a ON a.amprocfamily = families.oid
    UNION
    SELECT o.oprcode FROM families JOIN pg_amop AS a ON a.amopfamily = families.oid JOIN pg_operator AS o ON o.oid = a.amopopr
)
SELECT 'function' AS kind, p.oid::regprocedure::text AS name, NULL AS tree
  FROM functions JOIN pg_proc AS p ON p.oid = functions.oid
       LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
 WHERE CASE WHEN p.oid >= 16384 AND d.objid IS NULL THEN true
            WHEN p.proname = ANY (%(listed)s) THEN false
            WHEN p.oid >= 16384 THEN p.provolatile <> 'i'
            -- what makes a value of a type that it is told by number, and what makes XML of a whole table
            ELSE p.provolatile = 'v' OR p.proname ~ '_to_xml|^(domain|record|array|range|multirange)_(in|recv)$' END
UNION ALL
SELECT 'foreign table', c.oid::regclass::text, NULL
  FROM relations JOIN pg_class AS c ON c.oid = relations.oid WHERE c.relkind = 'f'
UNION ALL
SELECT 'check', NULL, c.conbin::text FROM parts JOIN pg_constraint AS c ON c.contypid = parts.oid
 WHERE parts.made AND c.conbin IS NOT NULL
"""
# Qualified, since the names are looked up in the session's own search path.
_REGCLASS = """
SELECT pg_catalog.to_regclass(told.name)::pg_catalog.oid AS oid
  FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS told (name)
 WHERE pg_catalog.to_regclass(told.name) IS NOT NULL
"""
_NO_COLUMNS = """
SELECT told.name FROM unnest(%(names)s::text[]) AS told (name)
 WHERE NOT EXISTS (SELECT FROM unnest(%(schemas)s::text[], %(tables)s::text[]) AS t (schema, name)
                     JOIN pg_namespace AS s ON s.nspname = t.schema
                     JOIN pg_class AS c ON c.relnamespace = s.oid AND c.relname = t.name
                     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = told.name AND NOT a.attisdropped)
"""
_BACK = "ROLLBACK TO SAVEPOINT aishell_facts"
#: Storage engines whose tables are elsewhere, or are read by code of their own.
_ELSEWHERE = ("CONNECT", "FEDERATED", "SPIDER", "S3")
#: The first character of a text literal.
_QUOTE = re.compile(r"['$]")
#: A bound value in a statement for the driver.
_BIND = re.compile(r"%\(\w+\)s")
_DEFINITIONS = """
SELECT t.TABLE_SCHEMA AS `schema`, t.TABLE_NAME AS name, t.ENGINE AS engine, t.TABLE_TYPE AS kind, v.VIEW_DEFINITION AS sql_text
  FROM information_schema.TABLES AS t LEFT JOIN information_schema.VIEWS AS v USING (TABLE_SCHEMA, TABLE_NAME)
 WHERE t.TABLE_SCHEMA = COALESCE(%(schema)s, DATABASE()) AND t.TABLE_NAME = %(name)s
"""
# A listed name is the server's own only on some products or versions, or without a space after it (IGNORE_SPACE). Otherwise it is
# a function in the schema of the statement or the view: a view stores a function's schema only if it was written.
_STORED = """
SELECT ROUTINE_SCHEMA AS `schema`, ROUTINE_NAME AS name FROM information_schema.ROUTINES
 WHERE ROUTINE_SCHEMA = COALESCE(%(schema)s, DATABASE()) AND ROUTINE_TYPE = 'FUNCTION'
"""


def _postgresql(session: Session, statement: Statement) -> None:
    """Refuse user functions and foreign tables. The statement's tree contains expanded views, and policies.

    To make the tree, the server parses literals, as rows and lists of types that the statement names: these are checked first.
    """
    if _QUOTE.search(statement.sql):
        _refuse(statement, _of_somebody(session, [], _named(session, statement)))
    _refuse(statement, _of_somebody(session, [session.analysed(statement)], []))


def _named(session: Session, statement: Statement) -> list[int]:
    """Return the oids of tables and views that a statement may mean, by the search path with which it is sent."""
    from aishell.registry import parsing

    found = parsing.tables(_BIND.sub("0", statement.sql).replace("%%", "%"), "postgresql")
    names = [".".join(quote(part, "postgresql") for part in (schema, name) if part) for schema, name in found]
    return [row["oid"] for row in session.send(Statement(_REGCLASS, {"names": names}, _REGCLASS))]


def _of_somebody(session: Session, trees: list[str], named: list[int]) -> list[str]:
    """Return the user functions and foreign tables in trees and in the row types of named tables, and in all they depend on."""
    from aishell.registry.functions import FUNCTIONS, OF_AN_INDEX

    found, seen = list[str](), set[str]()
    while trees or named:
        seen |= {*trees}
        values = {**oids(trees), "named": named, "listed": sorted(FUNCTIONS["postgresql"] - OF_AN_INDEX)}
        rows = _looked_up(session, Statement(_FACTS, values, _FACTS))
        found += [f"the {row['kind']} {row['name']}" for row in rows if row["tree"] is None]
        trees, named = [row["tree"] for row in rows if row["tree"] is not None and row["tree"] not in seen], []
    return found


def columns_guard(engine: str, names: Sequence[str], values: Mapping[str, object]) -> Guard | None:
    """Return a guard that refuses names after a table's alias unless they are columns of a table in `values`; None if not needed.

    If PostgreSQL finds no such column, it calls a function of that name with the row.
    """
    if not profile(engine).calls_by_attribute or not names:
        return None
    ends = [name.removesuffix("schema") for name in values if name.endswith("schema") and values[name] is not None]
    places = [(values[f"{end}schema"], values[f"{end}table"]) for end in ends if values.get(f"{end}table") is not None]
    found = {"names": list(names), "schemas": [schema for schema, _ in places], "tables": [name for _, name in places]}

    def require_columns(session: Session, statement: Statement) -> None:
        rows = _looked_up(session, Statement(_NO_COLUMNS, found, _NO_COLUMNS))
        if rows:
            tables = " or ".join(f"{schema}.{name}" for schema, name in places)
            raise StepError(f"{tables} has no column {rows[0]['name']!r}")

    return require_columns


def _looked_up(session: Session, statement: Statement) -> list[Row]:
    """Return rows from the catalog, with a search path on which nothing shadows its functions and operators."""
    for words in ("SAVEPOINT aishell_facts", "SET LOCAL search_path = pg_catalog"):
        session.send(Statement(words, {}, words))
    rows = session.send(statement)
    session.send(Statement(_BACK, {}, _BACK))  # and the search path, with which the statement is sent next
    return rows


def oids(trees: Iterable[str]) -> dict[str, list[int]]:
    """Return the oids in PostgreSQL's trees, by kind of object."""
    found: dict[str, set[int]] = {kind: set() for kind, _ in _KINDS}
    for name, one, several in (match for tree in trees for match in _FIELD.findall(tree)):
        kind = next((kind for kind, fields in _KINDS if fields.fullmatch(name)), None)
        if kind is not None:
            found[kind] |= {int(number) for number in (one or several).split()} - {0}
    return {kind: sorted(numbers) for kind, numbers in found.items()}


def _mysql(session: Session, statement: Statement) -> None:
    """Refuse stored functions with listed names, views that do more than read, and tables that are elsewhere.

    A view is checked like a block.
    """
    from aishell.registry import parsing

    sql = _BIND.sub("0", statement.sql).replace("%%", "%")
    found, seen = _stored(session, None, sql), set[tuple[str | None, str]]()
    todo = parsing.tables(sql, "mysql")
    while todo:
        schema, name = todo.pop()
        if (schema, name) in seen:
            continue
        seen.add((schema, name))
        for row in session.send(Statement(_DEFINITIONS, {"schema": schema, "name": name}, _DEFINITIONS)):
            table = f"{row['schema']}.{row['name']}"
            if str(row["engine"]).upper() in _ELSEWHERE:
                found.append(f"the {row['engine']} table {table}")
            elif row["kind"] == "VIEW":
                definition = str(row["sql_text"] or "")
                found += _view(table, definition) or _stored(session, row["schema"], definition)
                todo += parsing.tables(definition, "mysql")
    _refuse(statement, found)


def _stored(session: Session, schema: str | None, sql: str) -> list[str]:
    """Return the functions of a schema, or of the session's, that the text calls by unqualified names."""
    from aishell.registry import parsing
    from aishell.registry.functions import SYS

    names = parsing.called(sql, "mysql") - (SYS if schema == "sys" else set())
    rows = session.send(Statement(_STORED, {"schema": schema}, _STORED)) if names else []
    return [f"the stored function {row['schema']}.{row['name']}" for row in rows if row["name"].lower() in names]


def _view(name: str, definition: str) -> list[str]:
    from aishell.registry import parsing
    from aishell.registry.functions import SYS

    if not definition:
        return [f"the view {name}, whose definition this account cannot see (it lacks SHOW VIEW)"]
    try:
        called = parsing.unlisted(definition, "mysql", kept=True)
    except parsing.NotReadingError as error:
        return [f"the view {name} ({error})"]
    own = {f"{one}()" for one in SYS} if name.startswith("sys.") else set()
    return [f"the view {name}, which calls {one}" for one in called if one not in own]


def _refuse(statement: Statement, found: Iterable[str]) -> None:
    """Raise StepError for objects that are neither the server's own nor listed as only reading."""
    touched = ", ".join(dict.fromkeys(found))
    if touched:
        raise StepError(
            f"{statement.source}: the block `{statement.block}` touches {touched} in this database, "
            "and cannot be shown to be read-only",
            hint="a tool that may run it must be at least `risk: medium`",
        )


#: Engine -> the guard of a site's statements. SQLite has none: its authorizer sees all that a statement touches.
GUARDS: Mapping[str, Guard] = {"postgresql": _postgresql, "mysql": _mysql}

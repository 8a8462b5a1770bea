"""A restored PostgreSQL database that is not what the backup saw is told as that, whatever is other in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from psycopg import sql

from aishell.backups.store.catalog import CatalogEntry
from tests.backups.logical import OWNER, READER, Tried, fill_with_everything
from tests.fix_postgresql import PROGRAMS, _id
from tests.postgresql import PostgresqlDatabase

RESTORED = "restored_whole"
#: What is done to a restored database -> what must be told of it.
CHANGES = {
    "UPDATE app.kinds SET t = 'Plain' WHERE t = 'plain'": "rows app.kinds differs",
    "UPDATE app.kinds SET t = NULL WHERE t = ''": "rows app.kinds differs",
    "UPDATE app.kinds SET y = NULL WHERE y = ''": "rows app.kinds differs",
    "UPDATE app.kinds SET f = 0 WHERE f = '-0'": "rows app.kinds differs",
    "UPDATE app.kinds SET n = 'NaN' WHERE n = 'infinity'": "rows app.kinds differs",
    "UPDATE app.kinds SET n = 1.1 WHERE n = 1.10": "rows app.kinds differs",
    "UPDATE app.kinds SET d = d + 1e-16 WHERE d = 0.1": "rows app.kinds differs",
    "UPDATE app.kinds SET tz = tz + interval '1 microsecond' WHERE t = 'plain'": "rows app.kinds differs",
    "UPDATE app.kinds SET ta = '{{NULL,\"\"},{\"NULL\",\"a,b\"}}' WHERE t = 'plain'": "rows app.kinds differs",
    "UPDATE app.kinds SET j = '{\"a\": 1, \"a\": 2}' WHERE t = 'plain'": "rows app.kinds differs",
    "UPDATE app.letters SET letter = letter || '' || chr(8203) WHERE codepoint = 65536": "rows app.letters differs",
    "DELETE FROM app.events WHERE id = 20": "rows app.events_new has 13 rows instead of 14",
    "DELETE FROM app.twins WHERE ctid = '(0,3)'": "rows app.twins has 4 rows instead of 5",
    "DELETE FROM app.no_columns WHERE ctid = '(0,1)'": "rows app.no_columns has 2 rows instead of 3",
    "TRUNCATE app.fleeting": "rows app.fleeting has 0 rows instead of 1",
    "UPDATE ONLY app.parent SET b = 'q'": "rows app.parent differs",
    'DELETE FROM "%s"."%s" WHERE "%s" = 3': 'rows "%s"."%s" has 9 rows instead of 10',
    "DROP TABLE app.empty": "table app.empty is missing",
    "CREATE TABLE app.extra ()": "table app.extra is not in the backup",
    "SELECT nextval('app.counted')": "value app.counted differs",
    "SELECT setval('app.set_only', 100, true)": "value app.set_only differs",
    "ALTER SEQUENCE app.untouched NO CYCLE": "sequence app.untouched differs",
    "ALTER SEQUENCE app.serials_big_seq OWNED BY NONE": "sequence app.serials_big_seq differs",
    "SELECT lo_put(4711002, 9999, '\\x01')": "large objects all differs",
    "SELECT lo_unlink(4711004)": "large objects all has 3 rows instead of 4",
    "SELECT lo_put(4711003, 50001, '\\x00')": "large objects all differs",
    "DROP EVENT TRIGGER watching": "event trigger watching is missing",
    "DROP FUNCTION app.watched()": "function app.watched() is missing",
    "CREATE OR REPLACE FUNCTION app.twice(n integer DEFAULT 21) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE "
    "AS 'SELECT n * 2 '": "function app.twice(integer) differs",
    "ALTER FUNCTION app.noted() SECURITY INVOKER": "function app.noted() differs",
    "DROP AGGREGATE app.product(numeric)": "aggregate app.product(numeric) is missing",
    "DROP PROCEDURE app.nothing(text)": "procedure app.nothing(text) is missing",
    "DROP VIEW app.updatable": "view app.updatable is missing",
    "CREATE OR REPLACE VIEW app.updatable AS SELECT a, b FROM app.twins WHERE a > 1 WITH CASCADED CHECK OPTION":
        "view app.updatable differs",
    "ALTER VIEW app.news RESET (security_barrier)": "view app.news differs",
    "REFRESH MATERIALIZED VIEW app.unfilled": "materialized view app.unfilled differs",
    "DROP INDEX app.kinds_gin": "index app.kinds_gin is missing",
    "DROP TRIGGER noted ON app.notes": "trigger app.notes noted is missing",
    "ALTER TABLE app.notes ENABLE TRIGGER sleeping": "trigger app.notes sleeping differs",
    "DROP RULE kept ON app.notes": "rule app.notes kept is missing",
    "DROP POLICY own ON app.twins": "policy app.twins own is missing",
    "ALTER TABLE app.twins DISABLE ROW LEVEL SECURITY": "table app.twins differs",
    "ALTER TABLE app.kinds DROP CONSTRAINT states": "constraint app.kinds states is missing",
    "ALTER TABLE app.seen ALTER CONSTRAINT seen_id_at_fkey NOT DEFERRABLE": "constraint app.seen seen_id_at_fkey differs",
    "ALTER DOMAIN app.positive DROP CONSTRAINT above": "constraint app.positive above is missing",
    "ALTER TABLE app.kinds ALTER later DROP DEFAULT": "table app.kinds differs",
    "ALTER TABLE app.letters ALTER letter DROP NOT NULL": "table app.letters differs",
    "ALTER TABLE app.letters RESET (fillfactor)": "table app.letters differs",
    "ALTER TABLE app.letters SET WITHOUT CLUSTER": "index app.letters_pkey differs",
    "ALTER TABLE app.events DETACH PARTITION app.events_new": "table app.events_new differs",
    "ALTER TYPE app.mood RENAME VALUE 'glum' TO 'gloomy'": "type app.mood differs",
    "ALTER TYPE app.place RENAME ATTRIBUTE street TO road CASCADE": "type app.place differs",
    "ALTER DOMAIN app.positive SET DEFAULT 2": "type app.positive differs",
    "DROP CAST (app.place AS text)": "cast (app.place AS pg_catalog.text) is missing",
    "DROP STATISTICS app.together": "statistics object app.together is missing",
    "ALTER PUBLICATION told DROP TABLE app.twins": "publication relation app.twins in publication told is missing",
    "ALTER PUBLICATION told SET (publish = 'delete')": "publication told differs",
    "ALTER SERVER elsewhere OPTIONS (SET host 'i')": "server elsewhere differs",
    "DROP USER MAPPING FOR {reader} SERVER elsewhere": 'user mapping "rea der" on server elsewhere is missing',
    "DROP EXTENSION pgstattuple": "extension pgstattuple is missing",
    "ALTER TEXT SEARCH CONFIGURATION app.searched DROP MAPPING FOR asciiword":
        "text search configuration app.searched differs",
    "COMMENT ON TYPE app.place IS 'elsewhere'": "comment on type app.place differs",
    "COMMENT ON COLUMN app.kinds.\"t t\" IS NULL": 'comment on table column app.kinds."t t" is missing',
    "DROP SCHEMA {schema}": 'schema "we""ird %s :y; -- 50% \\" is missing',
    "REVOKE SELECT ON app.letters FROM {reader}": "privileges of table app.letters differs",
    "REVOKE UPDATE (v) ON app.kinds FROM {reader}": "privileges of table column app.kinds.v differs",
    "ALTER TABLE app.letters OWNER TO CURRENT_USER": "privileges of table app.letters differs",
    "GRANT EXECUTE ON FUNCTION app.thrice(integer) TO PUBLIC": "privileges of function app.thrice(integer) differs",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA app REVOKE SELECT ON TABLES FROM {reader}": "privileges of default acl",
    "REVOKE SELECT ON LARGE OBJECT 4711001 FROM {reader}": "privileges of large object 4711001 differs",
    "ALTER DATABASE {changed} SET search_path = app": "setting of the database differs",
    "ALTER ROLE {reader} IN DATABASE {changed} RESET work_mem": "setting of \"rea der\" is missing",
}  # fmt: skip

#: Changes that older servers do not know -> the version that began with them.
SINCE = {"UPDATE app.kinds SET n = 'NaN' WHERE n = 'infinity'": 14}

#: The database's own, as `everything_postgresql.sql` makes them.
SETTINGS = (
    'ALTER DATABASE {changed} SET search_path = app, "$user", public',
    "ALTER DATABASE {changed} SET \"my.own\" = 'a, b'",
    "ALTER DATABASE {changed} SET default_transaction_read_only = off",
    "ALTER ROLE {reader} IN DATABASE {changed} SET work_mem = '5MB'",
)


def rounds() -> list[dict[str, str]]:
    """As many changes at a time as there are objects that only one of them is about."""
    made: list[tuple[set[str], dict[str, str]]] = []
    for change, expected in CHANGES.items():
        about = re.split(r" (?:is|has|differs)\b", expected)[0]
        taken, chosen = next((one for one in made if about not in one[0]), (set(), {}))
        if not taken:
            made.append((taken, chosen))
        taken.add(about)
        chosen[change] = expected
    return [chosen for _, chosen in made]


ROUNDS = rounds()

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module", params=list(PROGRAMS), ids=_id)
def restored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Tried, CatalogEntry]]:
    """A backup of everything, and a database that was restored from it."""
    database: PostgresqlDatabase = request.getfixturevalue(f"pg_{request.param}_server").create("everything")
    fill_with_everything(database)
    tried = Tried(database, tmp_path_factory.mktemp("site"))
    entry = tried.backed_up()
    with tried.restored(entry, RESTORED):
        yield tried, entry
    tried.close()
    database.drop()


def test_what_was_restored_is_what_the_backup_saw(restored: tuple[Tried, CatalogEntry]) -> None:
    tried, entry = restored
    assert tried.differences(entry, RESTORED) == []


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_whatever_is_other_is_told(restored: tuple[Tried, CatalogEntry], number: int) -> None:
    tried, entry = restored
    names = {"owner": OWNER, "reader": READER, "changed": "changed", "schema": 'we"ird %s :y; -- 50% \\'}
    changed = tried.db.server.database("changed")
    tried.db.execute(sql.SQL("CREATE DATABASE changed TEMPLATE {}").format(sql.Identifier(RESTORED)))
    try:
        for setting in SETTINGS:  # a copy does not get them
            tried.db.execute(filled(setting, names))
        major = tried.db.server.major
        chosen = {change: told for change, told in ROUNDS[number].items() if major >= SINCE.get(change, 0)}
        for change in chosen:
            changed.execute(filled(change, names))
        told = tried.differences(entry, "changed")
        for change, expected in chosen.items():
            assert any(one.startswith(expected) for one in told), f"{change}: {told}"
    finally:
        changed.drop()


def filled(statement: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        statement = statement.replace(f"{{{name}}}", sql.Identifier(value).as_string())
    return statement

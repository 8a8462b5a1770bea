"""Restores in place on PostgreSQL: two names change hands in one transaction, and what was there stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.backups.in_place import HALVES, STEPS, InPlace
from tests.backups.logical import databases
from tests.faults.killing import SWEEPS, Sweep
from tests.fix_aishell import Aishell
from tests.postgresql import PostgresqlDatabase

FILL = (
    "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
    "INSERT INTO orders (note) SELECT 'note ' || n FROM generate_series(1, 100) AS n",
    "CREATE VIEW notes AS SELECT note FROM orders",
)
ORDERS = "SELECT count(*), max(id) FROM orders"


def fill(db: PostgresqlDatabase) -> None:
    for statement in FILL:
        db.execute(statement)


def in_place(site: Aishell, db: PostgresqlDatabase) -> InPlace:
    site.configure("aishell.yaml", f"programs: {db.server.bin}\n")
    return InPlace(site, db.url)


@pytest.fixture
def shop(aishell: Aishell, pg: PostgresqlDatabase) -> Iterator[InPlace]:
    before = databases(pg)
    yield in_place(aishell, pg)
    drop_new(pg, before)


def drop_new(db: PostgresqlDatabase, before: set[str]) -> None:
    """What was restored, and what was kept."""
    elsewhere = db.server.database("postgres")
    for name in databases(elsewhere) - before:
        elsewhere.server.database(name).drop()


def itself(db: PostgresqlDatabase) -> Any:
    """What belongs to the database and is in no dump of it."""
    return db.execute(
        """SELECT d.datconnlimit, shobj_description(d.oid, 'pg_database'), pg_get_userbyid(d.datdba),
                  (SELECT array_agg(x::text ORDER BY x::text) FROM aclexplode(d.datacl) AS x),
                  (SELECT array_agg(c ORDER BY c) FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
                   WHERE s.setdatabase = d.oid),
                  (SELECT array_agg(a.defaclacl::text) FROM pg_default_acl AS a)
           FROM pg_database AS d WHERE d.datname = current_database()"""
    )


@pytest.mark.versions
def test_it_comes_back_as_of_the_backup_and_what_was_there_is_kept(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    pg.make_role("in_place_owner", "x")
    pg.make_role("in_place_reader", "x")
    name = sql.Identifier(pg.dbname)
    for statement in (
        "ALTER DATABASE {} OWNER TO in_place_owner",
        "ALTER DATABASE {} CONNECTION LIMIT 7",
        "ALTER DATABASE {} SET work_mem = '7MB'",
        "ALTER ROLE in_place_reader IN DATABASE {} SET work_mem = '9MB'",
        "COMMENT ON DATABASE {} IS 'it''s the shop: 50% \"off\"'",
        "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
        "GRANT CONNECT, TEMPORARY ON DATABASE {} TO in_place_reader WITH GRANT OPTION",
        "ALTER DEFAULT PRIVILEGES FOR ROLE in_place_owner GRANT SELECT ON TABLES TO in_place_reader",
    ):
        pg.execute(sql.SQL(statement).format(name))
    expected = itself(pg)
    backup = shop.back_up()
    for statement in ("ALTER DATABASE {} CONNECTION LIMIT 3", "GRANT CONNECT ON DATABASE {} TO PUBLIC"):
        pg.execute(sql.SQL(statement).format(name))
    pg.execute("DROP VIEW notes")
    pg.execute("DELETE FROM orders WHERE id > 10")
    told = shop.restored(backup)
    assert told["replaced"]
    assert told["compared"]
    assert pg.execute(ORDERS) == [(100, 100)]
    assert pg.execute("SELECT count(*) FROM notes") == [(100,)]
    assert pg.execute("SELECT reltuples FROM pg_class WHERE relname = 'orders'") == [(100,)], "it was analysed"
    assert itself(pg) == expected
    kept = pg.server.database(told["kept"])
    assert kept.execute(ORDERS) == [(10, 10)]
    entry = next(
        e for e in shop.run("backups", "list", "--output", "json").json if e["backup_id"] == told["safety_backup"]
    )
    assert entry["verified"]
    kept.drop()
    again = shop.restored(told["safety_backup"])
    assert pg.execute(ORDERS) == [(10, 10)], "another database of the same name on the same server"
    assert again["replaced"]
    shop.run("audit", "verify").expect(0)


@pytest.mark.versions
def test_it_refuses_while_sessions_are_there_unless_they_are_to_be_ended(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup, before = shop.back_up(), databases(pg)
    pg.execute("DELETE FROM orders")
    with pg.connect(application_name="the shop") as application:
        waiting = shop.restore(backup).expect(3)
        refused = shop.approved(waiting).expect(1)
        message = refused.json["error"]["message"]
        assert "is used by 1 session(s)" in message
        assert "application the shop" in message
        assert "user postgres" in message
        assert application.execute(ORDERS).fetchall() == [(0, None)]
        assert len(databases(pg) - before) == 1, "what was restored is still there, and nothing was renamed"
    with pg.connect(application_name="the shop") as application:
        told = shop.restored(backup, "--terminate")
        with pytest.raises(psycopg.OperationalError):
            application.execute(ORDERS)
    assert pg.execute(ORDERS) == [(100, 100)]
    assert told["replaced"]
    run = shop.newest_run()
    assert run is not None
    (output,) = shop.site.rows("SELECT output FROM steps WHERE run_id = ? AND step_id = 'replace'", run[0])
    assert "application the shop" in output[0]


def test_a_database_of_another_server_or_name_is_refused(
    aishell: Aishell, pg_current: PostgresqlDatabase, pg_distribution: PostgresqlDatabase
) -> None:
    fill(pg_current)
    shop = in_place(aishell, pg_current)
    backup = shop.back_up()
    other = pg_current.server.create("in_place_other")
    try:
        for url in (other.url, pg_distribution.url):
            shop.url = url
            refused = shop.restore(backup).expect(2)
            assert "is of another database" in refused.json["error"]["message"]
    finally:
        other.drop()


def test_a_comparison_that_fails_changes_nothing(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup = shop.back_up()
    pg.execute("DELETE FROM orders")
    waiting = shop.restore(backup).expect(3)
    place = waiting.json["output_data"]["place"]
    pg.server.database(place).execute("UPDATE orders SET note = 'other' WHERE id = 7")
    ended = shop.approved(waiting).expect(1)
    assert "differs from the backup, and nothing was replaced" in ended.json["error"]["message"]
    assert pg.execute(ORDERS) == [(0, None)]
    assert place in databases(pg)


def test_a_dry_run_shows_the_renames_and_touches_nothing(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup, before = shop.back_up(), databases(pg)
    preview = shop.restore(backup, "--dry-run").expect(0).json
    assert [step["tool"] for step in preview["plan"]["steps"]] == STEPS
    told = [one["sql"] for one in preview["plan"]["steps"][-1]["statements"]]
    exchange = (
        r'ANALYZE SELECT .* ALTER DATABASE "(\w+)" RESET aishell.restored_by '
        rf'ALTER DATABASE "{pg.dbname}" RENAME TO "{pg.dbname}_replaced_\w+" '
        rf'ALTER DATABASE "\1" RENAME TO "{pg.dbname}"'
    )
    assert re.fullmatch(exchange, " ".join(told), re.DOTALL)
    assert databases(pg) == before
    waiting = shop.restore(backup).expect(3)
    (asked,) = shop.run("approvals", "list", "--output", "json").expect(0).json
    shown = shop.run("approvals", "show", asked["id"], "--output", "json").expect(0).json
    renames = [one["sql"] for one in shown["statements"]][-3:]
    place = waiting.json["output_data"]["place"]
    assert renames[0] == f'ALTER DATABASE "{place}" RESET aishell.restored_by'
    assert renames[1].startswith(f'ALTER DATABASE "{pg.dbname}" RENAME TO "{pg.dbname}_replaced_')
    assert renames[2] == f'ALTER DATABASE "{place}" RENAME TO "{pg.dbname}"'


def test_only_a_superuser_brings_back_who_owns_what(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup = shop.back_up()
    shop.url = pg.make_role("in_place_maker", "x", options="CREATEDB")
    pg.execute("GRANT pg_monitor TO in_place_maker")  # who may not see where the server is sees another identity
    assert "only a superuser" in shop.restore(backup).expect(2).json["error"]["message"]


def test_physical_backups_are_told_how_to_be_put_in_place(shop: InPlace, pg: PostgresqlDatabase) -> None:
    fill(pg)
    backup = shop.back_up("--physical")
    refused = shop.restore(backup).expect(2).json["error"]
    assert "files of a whole server" in refused["message"]
    assert "stop the server" in refused["hint"]


@SWEEPS
@pytest.mark.parametrize("half", HALVES)
def test_killed_at_any_commit_the_resumed_run_ends_in_the_restored_state(
    aishell: Aishell, pg_distribution: PostgresqlDatabase, half: str, sweep: Sweep
) -> None:
    db = pg_distribution
    fill(db)
    before = databases(db)
    try:
        one = in_place(aishell, db)
        backup = one.back_up()
        for fault in sweep.faults(HALVES[half]):
            db.execute("INSERT INTO orders (note) VALUES ('later')")
            number = db.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
            killed = getattr(one, half)(backup, fault)
            assert db.execute(ORDERS) == [(100, 100)], fault
            (name,) = databases(db) - before
            kept = db.server.database(name)
            assert kept.execute("SELECT count(*) FROM orders") == [(101,)], fault
            assert kept.execute("SELECT oid FROM pg_database WHERE datname = current_database()") == number
            one.assert_sound()
            drop_new(db, before)
            if not killed:
                assert fault.at > HALVES[half]
                break
    finally:
        drop_new(db, before)


@SWEEPS
def test_killed_at_any_statement_it_is_the_old_or_the_new(shop: InPlace, pg: PostgresqlDatabase, sweep: Sweep) -> None:
    fill(pg)
    backup, before = shop.back_up(), databases(pg)
    pg.execute("DELETE FROM orders")

    def look() -> None:
        assert pg.execute(ORDERS) in ([(0, None)], [(100, 100)])

    shop.killed_at_every_change(backup, sweep, look, known=4)
    assert pg.execute(ORDERS) == [(100, 100)]
    (kept,) = databases(pg) - before
    assert pg.server.database(kept).execute(ORDERS) == [(0, None)]
    shop.assert_sound()

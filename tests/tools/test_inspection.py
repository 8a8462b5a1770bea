"""Inspection tells the truth, and costs the same number of queries for 10 and for 300 tables."""

from __future__ import annotations

import pytest

from aishell.execution.inspection import inspect
from aishell.models import Task
from aishell.site import Site
from tests.fix_tools import Engine, registry
from tests.statement_log import StatementLog
from tests.tools.contracts import COLUMNS


def make_tables(engine, first, last):
    with engine.db.connect() as connection:
        cursor = connection.cursor()
        for number in range(first, last):
            cursor.execute(f"CREATE TABLE t{number:03} (id integer)")


def queries_of(engine, folder):
    log = StatementLog(engine.db)
    with Site.open(folder, state=folder / "state.db") as site, site.job(Task("maintenance", engine.db.url)) as job:
        inventory = inspect(job)
    return len(log.statements()), len(inventory.tables)


def test_the_number_of_queries_does_not_depend_on_the_number_of_tables(server_engine, tmp_path):
    (tmp_path / "config").mkdir()
    make_tables(server_engine, 0, 10)
    few, tables = queries_of(server_engine, tmp_path)
    assert (few > 3, tables) == (True, 10)
    make_tables(server_engine, 10, 300)
    many, tables = queries_of(server_engine, tmp_path)
    assert (many, tables) == (few, 300)


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_an_inspection_is_one_query_on_every_engine(name):
    for tool in registry().variants(name):
        assert (tool.runs, len(tool.blocks)) == ("query", 1), tool.source
        assert tool.read_only


def test_many_tables_are_listed_and_measured(sqlite_engine):
    make_tables(sqlite_engine, 0, 300)
    assert len(sqlite_engine.rows("inspect_tables")) == 300
    named = sqlite_engine.named(*(f"t{number:03}" for number in range(300)))
    assert len(sqlite_engine.rows("measure_tables", tables=named)) == 300


def test_the_server_is_who_it_says(engine):
    engine.samples.table()
    (row,) = engine.rows("inspect_server")
    assert row["database_bytes"] > 0
    assert not row["standby"]
    assert not row["read_only"]
    if engine.name == "postgresql":
        assert (row["database"], row["user_name"]) == (engine.db.dbname, "postgres")
        assert row["superuser"]
        ((folder,),) = engine.db.execute("SHOW data_directory")
        assert row["data_directory"] == folder
    elif engine.name == "mysql":
        assert row["database"] == engine.schema
        assert row["user_name"].startswith("root")
    else:
        assert row["database"] == str(engine.db.path)


def test_two_databases_of_one_server_are_told_apart(server_engine):
    other = server_engine.db.server.create("beside")
    engine = type(server_engine)(other)
    try:
        ours, theirs = (e.rows("inspect_server")[0]["identity"] for e in (server_engine, engine))
        assert ours
        assert ours != theirs
        assert ours == server_engine.rows("inspect_server")[0]["identity"]
    finally:
        engine.close()
        other.drop()


def test_old_transactions_are_seen(pg_engine):
    pg_engine.samples.table()
    other = pg_engine.db.connect(autocommit=False)
    other.execute("INSERT INTO plain (id) VALUES (-1)")
    (row,) = pg_engine.rows("inspect_server")
    assert row["oldest_transaction_seconds"] >= 0
    assert str(other.info.backend_pid) in row["oldest_transaction"]


def test_a_prepared_transaction_holds_back_too(pg_engine):
    pg_engine.samples.table()
    other = pg_engine.db.connect()
    other.execute("BEGIN")
    other.execute("INSERT INTO plain (id) VALUES (-1)")
    other.execute("PREPARE TRANSACTION 'forgotten'")
    (row,) = pg_engine.rows("inspect_server")
    assert "prepared transaction forgotten" in row["oldest_transaction"]


def test_a_standby_is_told(pg_standby):
    engine = Engine(pg_standby)
    try:
        (row,) = engine.rows("inspect_server")
        assert (row["standby"], row["read_only"]) == (True, True)
        assert engine.call("inspect_tables").status == "done"
        assert engine.call("analyze_database_health", check_corruption=True).status == "done"
    finally:
        engine.close()


def test_a_read_only_server_is_told(mariadb_server_factory):
    engine = Engine(mariadb_server_factory({"read-only": "ON"}).create("app"))
    try:
        assert engine.rows("inspect_server")[0]["read_only"]
    finally:
        engine.close()


def test_figures_of_a_table_are_those_of_the_server(engine):
    table = engine.samples.bloated()
    row = engine.row("inspect_tables", table)
    # InnoDB's number is an estimate from 20 sampled pages.
    assert row["rows"] == pytest.approx(engine.samples.count(table), rel=0.25 if engine.name == "mysql" else 0.01)
    assert row["has_primary_key"]
    assert row["bytes"] > 0
    assert row["index_bytes"] > 0
    if engine.name == "postgresql":
        assert row["bytes"] == engine.samples.value(f"SELECT pg_relation_size('{table}')")
        assert row["index_bytes"] == engine.samples.value(f"SELECT pg_indexes_size('{table}')")
        assert row["last_analyze"]
        assert row["last_vacuum"]
        assert row["fragmentation_percent"] == pytest.approx(90, abs=5)


def test_stale_statistics_withhold_the_estimate(pg_engine):
    table = pg_engine.samples.stale()
    row = pg_engine.row("inspect_tables", table)
    assert row["fragmentation_percent"] is None
    assert "stale" in row["withheld"]
    assert row["modified_rows"] == 1800


def test_statistics_of_a_file_are_missing_stale_or_present(sqlite_engine):
    sqlite_engine.samples.table("missing")
    assert sqlite_engine.row("inspect_tables", "missing")["statistics"] == "missing"
    stale = sqlite_engine.samples.stale()
    assert sqlite_engine.row("inspect_tables", stale)["statistics"] == "stale"
    sqlite_engine.call("update_table_statistics", schema="main", table=stale)
    assert sqlite_engine.row("inspect_tables", stale)["statistics"] == "present"
    assert sqlite_engine.row("inspect_tables", "missing")["statistics"] == "missing"

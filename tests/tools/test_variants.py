"""What the variants of a tool say where a feature is missing: an estimate, or that there is no figure."""

from __future__ import annotations

import pytest

from tests.fix_tools import registry


@pytest.fixture
def bloated(engine):
    return engine.samples.bloated()


def fragmentation(engine, table):
    return engine.call("analyze_table_fragmentation", schema=engine.schema, table=table).output


def test_the_estimate_is_near_the_measurement_on_fresh_statistics(pg_engine):
    for fill in (10, 3):
        table = pg_engine.samples.table(f"kept_{fill}", 10_000)
        pg_engine.samples.do(f"DELETE FROM {table} WHERE id % 10 >= {fill}")
        pg_engine.samples.settle(table)
        pg_engine.hidden = set()
        measured = fragmentation(pg_engine, table)
        pg_engine.hidden = {"pgstattuple"}
        estimated = fragmentation(pg_engine, table)
        assert "pgstattuple" in measured["method"]
        assert "estimate" in estimated["method"]
        assert estimated["fragmentation_percent"] == pytest.approx(measured["fragmentation_percent"], abs=3)


def test_no_estimate_on_stale_statistics(pg_engine):
    pg_engine.hidden = {"pgstattuple"}
    table = pg_engine.samples.stale()
    output = fragmentation(pg_engine, table)
    assert (output["fragmentation_percent"], output["estimated_benefit"]) == (None, None)
    assert "stale" in output["withheld"]
    rebuilt = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=table, min_index_size=0)
    assert (rebuilt.status, rebuilt.output["indexes_rebuilt"]) == ("skipped", 0)
    assert "stale" in rebuilt.output["left_alone"][0]["reason"]


def test_bloated_indexes_are_rebuilt_by_estimate_too(pg_engine):
    pg_engine.hidden = {"pgstattuple"}
    table = pg_engine.samples.bloated(index="worn")
    before = pg_engine.samples.value("SELECT pg_relation_size('worn')")
    result = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=table, min_index_size=0)
    assert result.status == "done", result.reason
    assert pg_engine.samples.value("SELECT pg_relation_size('worn')") < before / 2


def test_without_dbstat_no_figure_is_made_up(sqlite_engine):
    sqlite_engine.hidden = {"dbstat"}
    table = sqlite_engine.samples.bloated()
    rebuilt = sqlite_engine.call("rebuild_fragmented_indexes", schema="main", table=table, min_index_size=0)
    assert (rebuilt.status, rebuilt.output["indexes_rebuilt"]) == ("skipped", 0)
    for row in sqlite_engine.call("analyze_index_fragmentation", schema="main", table=table).output["indexes"]:
        assert (row["fragmentation_percent"], row["reclaimable_bytes"]) == (None, None)
        assert row["withheld"]
    row = sqlite_engine.row("measure_tables", table, tables=sqlite_engine.named(table))
    assert row["fragmentation_percent"] is None
    assert row["withheld"]


def test_the_first_analyze_changes_the_variant(sqlite_engine):
    sqlite_engine.samples.table()
    assert "without_sqlite_stat1" in sqlite_engine.pick("count_table_rows").source
    sqlite_engine.call("update_table_statistics", schema="main", table="plain")
    assert "without_sqlite_stat1" not in sqlite_engine.pick("count_table_rows").source


@pytest.fixture
def limited(mariadb_engine):
    """A MariaDB user with rights on the database, none on mysql.*, and no PROCESS."""
    mariadb_engine.samples.bloated(rows=5000)
    return mariadb_engine.connected(mariadb_engine.db.make_user("limited", grants="ALL PRIVILEGES"))


def test_a_limited_mariadb_user_gets_the_other_variants(mariadb_engine, limited):
    assert {"process", "innodb_stats"} <= mariadb_engine.database.features
    assert not {"process", "innodb_stats"} & limited.database.features
    others = [name for name in registry().names if registry().has(name, mariadb_engine.server())]
    without = [name for name in others if not registry().has(name, limited.server())]
    # Nobody is seen without PROCESS: batches go on, and a lock that was not had is told without its holder.
    assert without == ["show_lock_holders", "show_waiters"]


def test_a_limited_mariadb_user_can_maintain(limited):
    params = {"schema": limited.schema, "table": "bloated"}
    for tool in ("update_table_statistics", "optimize_table", "rebuild_table"):
        result = limited.call(tool, **params)
        assert result.status == "done", (tool, result.reason)
    result = limited.call("batch_update_statistics", tables=limited.named("bloated"))
    assert result.output["statistics_updated"] == 1
    assert limited.call("rebuild_fragmented_indexes", **params, min_index_size=0).status in ("done", "skipped")


def test_a_limited_mariadb_user_can_look(limited):
    assert limited.row("inspect_tables", "bloated")["kind"] == "table"
    assert "bloated" in {row["table"] for row in limited.rows("inspect_indexes")}
    assert limited.call("inspect_server").status == "done"
    assert limited.call("analyze_database_health").output["tables"] == 1
    output = limited.call("analyze_table_fragmentation", schema=limited.schema, table="bloated").output
    assert output["fragmentation_percent"] is not None or output["withheld"]

"""Refreshing the query planner's statistics, looked up with the plain driver."""

from __future__ import annotations

import pytest

from aishell.running import dispatch
from tests.fix_tools import statuses


def known_rows(engine, table):
    """The row count that the planner's statistics hold for a table, None without statistics."""
    queries = {
        "postgresql": "SELECT c.reltuples::bigint FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid "
        f"WHERE s.last_analyze IS NOT NULL AND c.relname = '{table}'",
        "mysql": f"SELECT n_rows FROM mysql.innodb_table_stats WHERE database_name = '{engine.schema}' "
        f"AND table_name = '{table}'",
        "sqlite": f"SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = '{table}'",
    }
    rows = engine.db.execute(queries[engine.name])
    return int(rows[0][0]) if rows and rows[0][0] is not None else None


def test_stale_statistics_become_right(engine):
    table = engine.samples.stale()
    if engine.name != "mysql":  # InnoDB refreshes by itself in the background, at a time of its own
        assert known_rows(engine, table) == 200
    result = engine.call("update_table_statistics", schema=engine.schema, table=table)
    assert (result.status, result.output["statistics_updated"]) == ("done", 1)
    assert known_rows(engine, table) == pytest.approx(2000, rel=0.05)


@pytest.mark.parametrize("kind", ["without_key", "partitioned"])
def test_rows_that_nobody_has_counted_are_not_told_as_none(pg_engine, kind):
    """Before version 14 the catalog holds 0 for them."""
    getattr(pg_engine.samples, kind)("uncounted")
    told = pg_engine.call("analyze_table_fragmentation", schema=pg_engine.schema, table="uncounted").output
    assert told["table_stats"]["rows"] is None


def test_missing_statistics_are_made(engine):
    tables = [engine.samples.table(name, 300) for name in ("first", "second")]
    result = engine.call("batch_update_statistics", tables=engine.named(*tables))
    assert (result.status, result.output["statistics_updated"]) == ("done", 2)
    assert [known_rows(engine, table) for table in tables] == [300, 300]


def test_many_tables_go_in_groups_and_each_is_counted(engine):
    names = [f"t{number:03}" for number in range(130)]
    with engine.db.connect() as connection:
        cursor = connection.cursor()
        for name in names:
            cursor.execute(f"CREATE TABLE {name} (id integer)")
    result = engine.call("batch_update_statistics", tables=engine.named(*names))
    assert (result.status, result.output["statistics_updated"]) == ("done", 130)
    assert result.output["skipped"] == result.output["failed"] == []


def test_a_missing_table_is_reported_and_stops_no_other(engine):
    table = engine.samples.table()
    result = engine.call("batch_update_statistics", tables=engine.named("not_there", table))
    assert (result.status, result.output["statistics_updated"]) == ("done", 1)
    assert [row["table"] for row in result.output["skipped"]] == ["not_there"]
    assert result.output["skipped"][0]["reason"]
    assert known_rows(engine, table) == 100


def test_a_table_dropped_after_it_was_found_does_not_stop_its_group(engine):
    for name in ("kept", "gone"):
        engine.samples.table(name)
    tool = engine.pick("batch_update_statistics")
    params = tool.prepare({"tables": engine.named("kept", "gone")})
    found = dispatch.find(tool, params, engine.context(tool))
    engine.samples.do(f"DROP TABLE {engine.samples.ref('gone')}")
    result = dispatch.run(tool, params, found, engine.context(tool))
    by_name = {one.label.rpartition(".")[2]: one.status for one in result.objects}
    assert by_name["gone"] != "ok"
    assert by_name["kept"] == "ok", "the list must be resolved again without the missing name"
    assert known_rows(engine, "kept") == 100


def test_a_missing_table_is_nothing_to_do(engine):
    result = engine.call("update_table_statistics", schema=engine.schema, table="not_there")
    assert (result.status, result.output["statistics_updated"]) == ("skipped", 0)


def test_a_partitioned_table_is_analyzed_with_its_partitions(server_engine):
    partitions = server_engine.samples.partitioned()
    for table in ("parts", *partitions):
        result = server_engine.call("update_table_statistics", schema=server_engine.schema, table=table)
        assert (result.status, statuses(result)) == ("done", ["ok"])
    if partitions:
        counts = server_engine.db.execute(
            "SELECT relname, analyze_count > 0 FROM pg_stat_user_tables WHERE relname LIKE 'parts%' ORDER BY 1"
        )
        parent = server_engine.database.version >= (14,)  # before, the server counts an ANALYZE of the partitions alone
        assert counts == [*([("parts", True)] if parent else []), ("parts_1", True), ("parts_2", True)]


def test_all_statistics_of_a_file_in_one_statement(sqlite_engine):
    for name in ("first", "second"):
        sqlite_engine.samples.table(name, 300)
    result = sqlite_engine.call("update_all_statistics", schema="main")
    assert result.status == "done", result.reason
    assert [known_rows(sqlite_engine, name) for name in ("first", "second")] == [300, 300]

"""Measuring the bloat of indexes and rebuilding them, with sizes and identity read by the plain driver."""

from __future__ import annotations

import pytest

from tests.fix_tools import statuses
from tests.tools.contracts import INDEX_FIGURES

NO_FLOOR = {"min_index_size": 0}


def size_of(engine, table, index):
    queries = {
        "postgresql": f"SELECT pg_relation_size('{engine.samples.ref(index)}')",
        "mysql": "SELECT stat_value * @@innodb_page_size FROM mysql.innodb_index_stats WHERE stat_name = 'size' "
        f"AND database_name = '{engine.schema}' AND table_name = '{table}' AND index_name = '{index}'",
        "sqlite": f"SELECT sum(pgsize) FROM dbstat WHERE name = '{index}'",
    }
    return int(engine.samples.value(queries[engine.name]))


def rebuilt(engine, table, **params):
    params = NO_FLOOR | {"schema": engine.schema, "table": table} | params
    return engine.call("rebuild_fragmented_indexes", **params)


def test_bloated_indexes_are_measured(engine):
    table = engine.samples.bloated(index="worn", rows=engine.samples.index_rows)
    output = engine.call("analyze_index_fragmentation", schema=engine.schema, table=table).output
    (worn,) = (row for row in output["indexes"] if row["index"] == "worn")
    assert set(worn) >= INDEX_FIGURES
    assert worn["fragmentation_percent"] > 30
    assert 0 < worn["reclaimable_bytes"] < worn["bytes"]
    assert worn["bytes"] == size_of(engine, table, "worn")
    assert worn["method"]


def test_a_fresh_index_is_not_bloated(engine):
    table = engine.samples.table("tidy", 5000, index="old")
    engine.samples.do(f"DROP INDEX {engine.samples.q('old')}" + (f" ON {table}" if engine.name == "mysql" else ""))
    engine.samples.index(table, "n", "fresh")
    engine.samples.settle(table)
    output = engine.call("analyze_index_fragmentation", schema=engine.schema, table=table).output
    (fresh,) = (row for row in output["indexes"] if row["index"] == "fresh")
    assert fresh["fragmentation_percent"] is None or fresh["fragmentation_percent"] < 15
    result = rebuilt(engine, table, fragmentation_threshold=30)
    assert (result.status, result.output["indexes_rebuilt"]) == ("skipped", 0)


def test_bloated_indexes_become_smaller(engine):
    table = engine.samples.bloated(index="worn", rows=engine.samples.index_rows)
    before = size_of(engine, table, "worn")
    result = rebuilt(engine, table)
    assert result.status == "done", result.reason
    assert result.output["indexes_rebuilt"] >= 1
    assert size_of(engine, table, "worn") < before * 0.6
    assert result.output["bytes_after"] < result.output["bytes_before"]


def test_what_was_measured_is_what_is_rebuilt(engine):
    """A plan freezes rows of measure_indexes as the objects of the rebuild: they must be of one shape."""
    table = engine.samples.bloated(index="worn", rows=engine.samples.index_rows)
    tool = engine.pick("rebuild_fragmented_indexes")
    key = [name for name in tool.key if name in tool.blocks["find"].columns] or ["index_name"]
    measured = {
        tuple(row[name] for name in key): row for row in engine.rows("measure_indexes", tables=engine.named(table))
    }
    found = engine.find(tool.name, **NO_FLOOR, schema=engine.schema, table=table)
    common = [row for row in found if tuple(row[name] for name in key) in measured]
    assert common, (found, measured)
    for row in common:
        assert set(measured[tuple(row[name] for name in key)]) >= set(row)


def test_inspection_lists_every_index(engine):
    table = engine.samples.table(rows=500, index="listed")
    # InnoDB can rebuild the indexes of a table only all together, and so lists them as one.
    name = f"all indexes of {table}" if engine.name == "mysql" else "listed"
    (row,) = (row for row in engine.rows("inspect_indexes") if row["index_name"] == name)
    assert (row["schema"], row["table"], bool(row["valid"])) == (engine.schema, table, True)


def test_an_index_made_after_the_first_step_is_known(sqlite_engine):
    """A connection that lay idle in the pool still has the schema of its last statement."""
    first = sqlite_engine.samples.bloated("first", index="first_n", rows=2000)
    assert rebuilt(sqlite_engine, first).status == "done"
    second = sqlite_engine.samples.bloated("second", index="second_n", rows=2000)
    result = rebuilt(sqlite_engine, second)
    assert (result.status, result.output["indexes_rebuilt"]) == ("done", 1), result.reason


def test_a_threshold_above_leaves_indexes_alone(engine):
    table = engine.samples.bloated()
    result = rebuilt(engine, table, fragmentation_threshold=100)
    assert (result.status, result.output["indexes_rebuilt"]) == ("skipped", 0)


def test_a_rebuilt_index_is_another_and_valid(pg_engine):
    table = pg_engine.samples.bloated(index="worn")
    query = "SELECT indexrelid, indisvalid, indisready FROM pg_index WHERE indexrelid = 'worn'::regclass"
    ((before, _, _),) = pg_engine.db.execute(query)
    assert rebuilt(pg_engine, table).status == "done"
    ((after, valid, ready),) = pg_engine.db.execute(query)
    assert after != before
    assert valid
    assert ready
    pg_engine.db.execute("SELECT bt_index_check('worn', true)")


def test_the_floor_leaves_small_indexes_alone(pg_engine):
    table = pg_engine.samples.bloated(rows=2000)
    result = pg_engine.call("rebuild_fragmented_indexes", schema="public", table=table)
    assert (result.status, result.output["indexes_rebuilt"]) == ("skipped", 0)


def test_what_cannot_be_rebuilt_is_left_alone_with_the_reason(pg_engine):
    pg_engine.samples.do(
        "CREATE TABLE booked (id int, during tsrange, n text, EXCLUDE USING gist (during WITH &&))",
        "INSERT INTO booked SELECT i, tsrange(t, t + interval '1 h'), md5(i::text) FROM generate_series(1, 500) i, "
        "LATERAL (SELECT now()::timestamp + i * interval '1 h' AS t) hour",
        "CREATE INDEX hashed ON booked USING hash (n)",
        "CREATE MATERIALIZED VIEW seen AS SELECT id FROM booked",
        "CREATE INDEX seen_id ON seen (id)",
    )
    left = rebuilt(pg_engine, "booked", fragmentation_threshold=0).output["left_alone"]
    reasons = {row["index_name"]: row["reason"] for row in left}
    assert set(reasons) == {"booked_during_excl", "hashed"}
    assert all(reasons.values())
    (seen,) = rebuilt(pg_engine, "seen", fragmentation_threshold=0).output["left_alone"]
    assert "REFRESH" in seen["reason"]


def test_damage_hidden_in_a_unique_index_fails_with_the_servers_words(pg_engine):
    """A rebuild that stops on hidden duplicates (23505) leaves the old index as it was and nothing half-built."""
    samples = pg_engine.samples
    samples.do("CREATE TABLE twins (id int, n text)")
    samples.do("INSERT INTO twins SELECT i, repeat('y', 50) || i FROM generate_series(1, 5000) i")
    samples.do("CREATE UNIQUE INDEX twins_id ON twins (id)")
    samples.do("UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'twins_id'::regclass")
    samples.do("INSERT INTO twins VALUES (1, 'again')")
    samples.do("UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'twins_id'::regclass")
    samples.do("DELETE FROM twins WHERE id > 500", "VACUUM (ANALYZE, INDEX_CLEANUP ON) twins")
    result = rebuilt(pg_engine, "twins", fragmentation_threshold=0)
    assert (result.status, statuses(result)) == ("failed", ["failed"])
    assert "duplicated" in result.reason
    assert samples.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


@pytest.mark.parametrize("storage", ["MyISAM", "Aria"])
def test_indexes_of_an_engine_without_online_rebuild_are_reported(mariadb_engine, storage):
    mariadb_engine.samples.do(f"CREATE TABLE other (id integer PRIMARY KEY, n varchar(9), KEY (n)) ENGINE={storage}")
    result = rebuilt(mariadb_engine, "other", fragmentation_threshold=0)
    assert (result.status, result.output["indexes_rebuilt"]) == ("skipped", 0)
    assert storage in result.output["reported"][0]["reason"]

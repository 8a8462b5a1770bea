"""Measuring wasted space in tables and giving it back, with sizes read by the plain driver."""

from __future__ import annotations

import pytest

from tests.tool_samples import KEPT, ROWS


def size_of(engine, table):
    """Bytes of the table's main storage; SQLite: of the file."""
    if engine.name == "sqlite":
        return engine.db.path.stat().st_size
    if engine.name == "mysql":
        file = engine.db.server.data / engine.schema / f"{table}.ibd"
        return file.stat().st_size
    return engine.samples.value(f"SELECT pg_table_size('{engine.samples.ref(table)}')")


def storage_of(engine, table):
    """What changes when a table is written anew."""
    if engine.name == "mysql":
        return engine.samples.value(
            f"SELECT table_id FROM information_schema.INNODB_SYS_TABLES WHERE name = '{engine.schema}/{table}'"
        )
    if engine.name == "sqlite":
        return engine.samples.value("PRAGMA freelist_count")
    return engine.samples.value(f"SELECT pg_relation_filenode('{engine.samples.ref(table)}')")


def test_a_bloated_table_is_measured_right(engine):
    table = engine.samples.bloated()
    # SQLite's VACUUM rewrites the file, so that is what it measures; InnoDB merges half-empty neighbours.
    measured = {"schema": engine.schema} if engine.name == "sqlite" else {"schema": engine.schema, "table": table}
    output = engine.call("analyze_table_fragmentation", **measured).output
    assert output["fragmentation_percent"] is not None, output["withheld"]
    assert output["fragmentation_percent"] >= (20 if engine.name == "mysql" else 80)
    assert 0 < output["estimated_benefit"] <= size_of(engine, table)
    assert output["method"]
    assert output["recommendation"]


def test_a_tidy_table_is_measured_right(engine):
    table = engine.samples.table("tidy", 5000)
    engine.samples.settle(table)
    output = engine.call("analyze_table_fragmentation", schema=engine.schema, table=table).output
    assert output["fragmentation_percent"] is None or output["fragmentation_percent"] < 10
    assert not output["estimated_benefit"] or output["estimated_benefit"] < size_of(engine, table) / 8


def test_measuring_many_agrees_with_measuring_one(engine):
    table = engine.samples.bloated()
    many = engine.row("measure_tables", table, tables=engine.named(table), max_bytes=1 << 30)
    one = engine.call("analyze_table_fragmentation", schema=engine.schema, table=table).output
    assert many["fragmentation_percent"] == one["fragmentation_percent"]
    assert many["method"] == one["method"]


def test_a_table_larger_than_asked_is_not_read(engine):
    table = engine.samples.bloated()
    engine.samples.do(f"DELETE FROM {engine.samples.ref(table)} WHERE id % 100 <> 0")
    if engine.name == "postgresql":  # pages that VACUUM found all-visible are not read, and ANALYZE counts them anew
        engine.samples.do(f"ANALYZE {table}")
    row = engine.row("measure_tables", table, tables=engine.named(table), max_bytes=0)
    if engine.name != "mysql":  # reads nothing whatever the size
        assert "pgstattuple" not in (row["method"] or "")
        assert row["withheld"] or "estimate" in row["method"]


def test_optimize_gives_back_what_it_says(engine):
    table = engine.samples.bloated()
    size, storage = size_of(engine, table), storage_of(engine, table)
    result = engine.call("optimize_table", schema=engine.schema, table=table)
    assert result.status == "done", result.reason
    if engine.name != "postgresql":  # plain VACUUM makes room for new rows, it gives none back
        assert storage_of(engine, table) != storage or engine.name == "sqlite"
        assert size_of(engine, table) < size / 2
        assert result.output["bytes_after"] < result.output["bytes_before"]
    assert engine.samples.count(table) == ROWS // KEPT


def test_optimize_removes_dead_rows(pg_engine):
    table = pg_engine.samples.table(rows=5000)
    pg_engine.samples.do(f"UPDATE {table} SET note = 'other'")
    ((dead,),) = pg_engine.db.execute(f"SELECT dead_tuple_count FROM pgstattuple('{table}')")
    assert dead == 5000
    result = pg_engine.call("optimize_table", schema="public", table=table)
    assert (result.status, result.output["dead_rows_after"]) == ("done", 0)
    ((dead, vacuumed),) = pg_engine.db.execute(
        f"SELECT dead_tuple_count, (SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables) FROM pgstattuple('{table}')"
    )
    assert (dead, vacuumed) == (0, True)


def test_rebuild_makes_the_storage_smaller(engine):
    table = engine.samples.bloated()
    size, storage = size_of(engine, table), storage_of(engine, table)
    result = engine.call("rebuild_table", schema=engine.schema, table=table)
    assert result.status == "done", result.reason
    assert size_of(engine, table) < size / 2
    assert storage_of(engine, table) != storage
    assert result.output["bytes_after"] < result.output["bytes_before"]
    assert engine.samples.count(table) == ROWS // KEPT


def test_a_missing_table_is_nothing_to_do(engine):
    for name in ("optimize_table", "rebuild_table"):
        assert engine.call(name, schema=engine.schema, table="not_there").status == "skipped"


def test_incremental_vacuum_cuts_the_file(sqlite_engine):
    sqlite_engine.samples.do("PRAGMA auto_vacuum = incremental")
    with sqlite_engine.db.connect() as connection:
        connection.execute("PRAGMA auto_vacuum = incremental")
        connection.execute("VACUUM")
    table = sqlite_engine.samples.bloated()
    sqlite_engine.samples.do(f"DELETE FROM {table}")
    size = size_of(sqlite_engine, table)
    result = sqlite_engine.call("incremental_vacuum", schema="main")
    assert result.status == "done", result.reason
    assert size_of(sqlite_engine, table) < size / 2
    assert sqlite_engine.samples.value("PRAGMA freelist_count") == 0
    assert result.output["bytes_after"] == size_of(sqlite_engine, table)


def test_incremental_vacuum_has_nothing_to_do_in_another_file(sqlite_engine):
    sqlite_engine.samples.bloated()
    assert sqlite_engine.call("incremental_vacuum", schema="main").status == "skipped"


def test_the_file_is_small_after_vacuum_and_checkpoint_in_wal_mode(sqlite_engine):
    sqlite_engine.samples.do("PRAGMA journal_mode = wal")
    table = sqlite_engine.samples.bloated()
    held = sqlite_engine.db.connect()  # the last connection to close would checkpoint by itself
    held.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    assert sqlite_engine.call("optimize_table", schema="main", table=table).status == "done"
    log = sqlite_engine.db.path.with_name("test.db-wal")
    assert log.stat().st_size > 0
    result = sqlite_engine.call("checkpoint_wal", schema="main")
    assert result.status == "done", result.reason
    assert log.stat().st_size == 0
    assert size_of(sqlite_engine, table) == result.output["bytes"]


def test_a_reader_that_holds_the_log_is_told(sqlite_engine):
    sqlite_engine.samples.do("PRAGMA journal_mode = wal")
    table = sqlite_engine.samples.table()
    reader = sqlite_engine.db.connect()
    reader.execute("BEGIN")
    reader.execute(f"SELECT count(*) FROM {table}").fetchone()
    sqlite_engine.samples.fill(table, 101, 200)
    sqlite_engine.lock_timeout = 0.2
    result = sqlite_engine.call("checkpoint_wal", schema="main")
    assert sqlite_engine.db.path.with_name("test.db-wal").stat().st_size > 0
    assert (result.status, result.reason) == ("failed", "another connection still uses the write-ahead log")


@pytest.mark.parametrize("storage", ["MyISAM", "Aria"])
def test_holes_of_an_offline_table_are_closed(mariadb_engine, storage):
    samples = mariadb_engine.samples
    options = " ROW_FORMAT=DYNAMIC" if storage == "Aria" else ""
    samples.do(
        f"CREATE TABLE holes (id integer PRIMARY KEY, n varchar(64), note varchar(200)) ENGINE={storage}{options}"
    )
    samples.fill("holes", 1, 5000)
    samples.do("DELETE FROM holes WHERE id % 10 <> 0")
    suffix = {"MyISAM": "MYD", "Aria": "MAD"}[storage]
    file = mariadb_engine.db.server.data / mariadb_engine.schema / f"holes.{suffix}"
    samples.do("FLUSH TABLES holes")
    size = file.stat().st_size
    result = mariadb_engine.call("optimize_offline_table", schema=mariadb_engine.schema, table="holes")
    assert result.status == "done", result.reason
    samples.do("FLUSH TABLES holes")
    assert file.stat().st_size < size / 2
    assert result.output["bytes_after"] < result.output["bytes_before"]
    online = mariadb_engine.call("optimize_table", schema=mariadb_engine.schema, table="holes")
    assert online.status == "skipped", "it would block readers, which optimize_table promises not to"

"""Objects of every kind: which tools take them, which leave them out, and that they say why."""

from __future__ import annotations

import pytest

from tests.fix_tools import not_checked, statuses

CHANGES = ("update_table_statistics", "optimize_table", "rebuild_table", "rebuild_fragmented_indexes")


def changed(engine, tool, table):
    floor = {"min_index_size": 0} if tool == "rebuild_fragmented_indexes" else {}
    return engine.call(tool, schema=engine.schema, table=table, **floor)


@pytest.mark.parametrize("kind", ["empty", "without_key", "generated", "huge"])
def test_every_change_works_on(engine, kind):
    table = getattr(engine.samples, kind)()
    rows = engine.samples.count(table)
    for tool in CHANGES:
        result = changed(engine, tool, table)
        assert result.status != "failed", (tool, result.reason)
        # There is nothing to rebuild where no index is bloated.
        assert result.status == "done" or tool == "rebuild_fragmented_indexes", (tool, result.reason)
    assert engine.samples.count(table) == rows
    checked = engine.call("check_table_corruption", tables=engine.named(table))
    # Before version 14 there is nothing to check in a PostgreSQL table that has no index.
    nothing = kind == "without_key" and engine.name == "postgresql" and engine.database.version < (14,)
    assert checked.status == ("skipped" if nothing else "done")
    assert (checked.output["corrupted_tables"], not_checked(engine, checked)) == ([], [])
    counted = engine.call("count_table_rows", schema=engine.schema, table=table, exact=True)
    assert counted.output == {"row_count": rows, "method": "exact"}


def test_every_kind_is_listed_as_what_it_is(engine):
    samples = engine.samples
    tables = [samples.table(), samples.empty(), samples.without_key(), samples.generated(), samples.huge()]
    kinds = dict.fromkeys(tables, "table") | {samples.view(): "view"}
    listed = {row["table"]: row for row in engine.rows("inspect_tables") if row["schema"] == engine.schema}
    assert {name: row["kind"] for name, row in listed.items()} == kinds
    keys = {name: bool(listed[name]["has_primary_key"]) for name in tables}
    assert keys == {name: name != "keyless" for name in tables}
    identified = {row["table"]: row["kind"] for row in engine.rows("identify_objects", tables=engine.named(*kinds))}
    assert identified == kinds


def test_a_table_made_anew_is_another_object(engine):
    engine.samples.table("one")
    (before,) = engine.rows("identify_objects", tables=engine.named("one"))
    engine.samples.do(f"DROP TABLE {engine.samples.ref('one')}")
    engine.samples.generated("one")
    (after,) = engine.rows("identify_objects", tables=engine.named("one"))
    # InnoDB's creation time has a resolution of one second; the indexes tell the two apart.
    assert (after["oid"], after["indexes"]) != (before["oid"], before["indexes"])
    assert engine.rows("identify_objects", tables=engine.named("never_was")) == []


def test_a_view_is_left_out(engine):
    engine.samples.table()
    view = engine.samples.view()
    for tool in CHANGES:
        result = changed(engine, tool, view)
        assert (result.status, "ok" in statuses(result)) == ("skipped", False), tool
    assert engine.call("drop_invalid_indexes", schema=engine.schema, table=view).objects == ()


def test_a_view_is_reported_with_a_reason(engine):
    table, view = engine.samples.table(), engine.samples.view()
    statistics = engine.call("batch_update_statistics", tables=engine.named(view, table))
    assert statistics.output["statistics_updated"] == 1
    assert ["view" in row["reason"] for row in statistics.output["skipped"]] == [True]
    check = engine.call("check_table_corruption", tables=engine.named(view, table))
    assert [(row["table"], "view" in row["reason"]) for row in not_checked(engine, check)] == [(view, True)]
    row = engine.row("inspect_tables", view)
    assert (row["bytes"], row["fragmentation_percent"]) == (None, None)


def test_partitions_are_worked_on(server_engine):
    partitions = list(server_engine.samples.partitioned())
    listed = {row["table"]: row["kind"] for row in server_engine.rows("inspect_tables") if row["table"][:5] == "parts"}
    if partitions:
        assert listed == {"parts": "partitioned", "parts_1": "partition", "parts_2": "partition"}
    else:
        assert set(listed) == {"parts"}
    for table in ("parts", *partitions):
        result = changed(server_engine, "optimize_table", table)
        assert result.status == "done", (table, result.reason)
    assert server_engine.samples.count("parts") == 100
    for table in partitions or ["parts"]:
        assert changed(server_engine, "rebuild_table", table).status == "done"
    check = server_engine.call("check_table_corruption", tables=server_engine.named("parts", *partitions))
    assert check.output["corrupted_tables"] == []
    assert [row["table"] for row in not_checked(server_engine, check)] == (["parts"] if partitions else [])


def test_a_partitioned_parent_is_never_rewritten(pg_engine):
    pg_engine.samples.partitioned()
    assert changed(pg_engine, "rebuild_table", "parts").status == "skipped"


def test_sizes_of_partitions_are_summed(pg_engine):
    pg_engine.samples.partitioned()
    (parent,) = pg_engine.rows("identify_objects", tables=pg_engine.named("parts"))
    parts = pg_engine.samples.value("SELECT pg_table_size('parts_1') + pg_table_size('parts_2')")
    assert parent["bytes"] == parts


@pytest.fixture
def foreign(pg_engine):
    pg_engine.samples.do(
        "CREATE FOREIGN DATA WRAPPER nowhere",
        "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
        "CREATE FOREIGN TABLE distant (id int) SERVER far",
    )
    return "distant"


def test_a_foreign_table_is_left_out(pg_engine, foreign):
    for tool in CHANGES:
        assert changed(pg_engine, tool, foreign).status == "skipped", tool
    assert pg_engine.row("inspect_tables", foreign)["kind"] == "foreign"
    report = pg_engine.call("batch_update_statistics", tables=pg_engine.named(foreign)).output["skipped"]
    assert "foreign" in report[0]["reason"]
    check = pg_engine.call("check_table_corruption", tables=pg_engine.named(foreign)).output["not_checked"]
    assert "foreign" in check[0]["reason"]


def test_temporary_tables_of_others_are_left_out(server_engine):
    other = server_engine.db.connect()
    other.cursor().execute("CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY)")
    assert "passing" not in {row["table"] for row in server_engine.rows("inspect_tables")}
    if server_engine.name == "postgresql":
        schema = server_engine.samples.value(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'passing'"
        )
        for tool in CHANGES:
            assert server_engine.call(tool, schema=schema, table="passing").status == "skipped"
        named = [{"schema": schema, "table": "passing"}]
        report = server_engine.call("batch_update_statistics", tables=named).output["skipped"]
        assert "temporary" in report[0]["reason"]


def test_a_materialized_view_has_statistics_and_is_vacuumed(pg_engine):
    pg_engine.samples.table()
    pg_engine.samples.do("CREATE MATERIALIZED VIEW seen AS SELECT id FROM plain")
    assert changed(pg_engine, "update_table_statistics", "seen").status == "done"
    assert changed(pg_engine, "optimize_table", "seen").status == "done"
    assert changed(pg_engine, "rebuild_table", "seen").status == "skipped"
    assert pg_engine.row("inspect_tables", "seen")["kind"] == "matview"


def test_virtual_tables_are_known(sqlite_engine):
    sqlite_engine.samples.do("CREATE VIRTUAL TABLE words USING fts5(body)", "INSERT INTO words VALUES ('hello')")
    listed = {row["table"]: row["kind"] for row in sqlite_engine.rows("inspect_tables")}
    assert listed == {"words": "virtual"}, "the tables it keeps for itself are not the user's"
    result = sqlite_engine.call("batch_update_statistics", tables=sqlite_engine.named("words"))
    assert "virtual" in result.output["skipped"][0]["reason"]
    check = sqlite_engine.call("check_table_corruption", tables=sqlite_engine.named("words"))
    assert (check.status, check.output["not_checked"]) == ("done", [])


def test_a_table_without_rowid_is_worked_on(sqlite_engine):
    sqlite_engine.samples.do("CREATE TABLE keyed (id integer PRIMARY KEY, n, note) WITHOUT ROWID")
    sqlite_engine.samples.fill("keyed", 1, 500)
    for tool in CHANGES:
        assert changed(sqlite_engine, tool, "keyed").status != "failed"
    counted = sqlite_engine.call("count_table_rows", schema="main", table="keyed")
    assert counted.output["row_count"] == 500

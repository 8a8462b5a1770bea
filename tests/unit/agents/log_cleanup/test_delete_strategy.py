"""Which tool deletes a table's old rows and what it and an archive go by, and what is done with the space afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.agents.log_cleanup.delete_strategy import archive_columns, archive_key
from aishell.agents.log_cleanup.retention_rules import RetentionRule
from aishell.agents.log_cleanup.tables import LogTable
from aishell.errors import ParameterError
from aishell.models import Table
from tests.unit.agents.test_log_cleanup_plans import AGE, column, inventory, task
from tests.unit.making import make_server, make_table

PLAIN, BY_DATE, WITHOUT_KEY = "delete_old_records", "delete_old_records_by_date", "delete_old_records_without_key"
#: One day of ninety is old.
FEW = {"oldest": "2026-08-22 14:00:00", "newest": "2026-11-21 14:00:00"}
HALF = {"oldest": "2026-05-25 12:00:00", "newest": "2026-11-21 12:00:00"}
TYPES = {"postgresql": "timestamp without time zone", "mysql": "datetime", "sqlite": "text"}


def deletion(
    engine: str,
    columns: list[dict[str, Any]] | None = None,
    *,
    age: dict[str, Any] = HALF,
    zone: str = "UTC",
    **server: Any,
) -> tuple[str, list[str] | None, tuple[str, ...]]:
    """(tool, key, warnings of the way) of the step that deletes."""
    at = column("created_at", TYPES[engine], indexed=True)
    known = inventory(engine=engine, columns=columns or [column("id", "bigint", key=1), at], age=age)
    known = replace(known, tools=frozenset({PLAIN, BY_DATE, WITHOUT_KEY}), server=make_server(engine, **server))
    known.answers["cutoff 90"]["cutoff"][0] = {**known.answers["cutoff 90"]["cutoff"][0], "zone": zone}
    draft = LogCleanupAgent().draft(task(), known)
    (step,) = (step for step in draft.steps if step.id == "delete_app_log")
    warnings = tuple(text for text in draft.warnings if "--shrink" not in text)
    return step.tool, step.params.get("key"), warnings


@pytest.mark.parametrize(
    ("engine", "version", "age", "tool", "key"),
    [
        ("postgresql", (15, 4), HALF, PLAIN, None),
        ("postgresql", (13, 5), HALF, PLAIN, ["id"]),
        ("postgresql", (15, 4), FEW, BY_DATE, ["created_at", "ctid"]),
        ("postgresql", (13, 5), FEW, BY_DATE, ["created_at", "ctid"]),
        ("mysql", (10, 11), HALF, PLAIN, ["id"]),
        ("mysql", (10, 11), FEW, BY_DATE, ["created_at", "id"]),
    ],
)
def test_along_the_table_or_along_the_dates(engine, version, age, tool, key):
    assert deletion(engine, age=age, version=version) == (tool, key, ())


@pytest.mark.parametrize("age", [HALF, FEW])
def test_without_an_index_on_the_date_there_is_one_way(age):
    columns = [column("id", "bigint", key=1), column("created_at", "datetime")]
    tool, key, (warning,) = deletion("mysql", columns, age=age)
    assert (tool, key) == (PLAIN, ["id"])
    assert "the whole table is read" in warning


def test_postgresql_before_14_goes_by_the_place_of_rows_without_a_key():
    columns = [column("created_at", TYPES["postgresql"])]
    assert deletion("postgresql", columns, version=(12, 1))[:2] == (PLAIN, ["ctid"])


@pytest.mark.parametrize(
    ("kinds", "zone", "age", "tool"),
    [
        (["bigint(20) unsigned"], "Europe/Berlin", HALF, PLAIN),
        (["varchar(36)", "datetime(6)", "decimal(10,2)"], "Europe/Berlin", HALF, PLAIN),
        (["enum('a','b')", "bigint"], "UTC", HALF, WITHOUT_KEY),
        (["float"], "UTC", HALF, WITHOUT_KEY),
        (["timestamp", "bigint"], "Europe/Berlin", HALF, WITHOUT_KEY),
        (["timestamp(3)", "bigint"], "UTC", HALF, PLAIN),
        (["timestamp", "bigint"], "+05:30", HALF, PLAIN),
        ([], "UTC", HALF, WITHOUT_KEY),
        ([], "UTC", FEW, WITHOUT_KEY),
        (["enum('a')"], "UTC", FEW, WITHOUT_KEY),
    ],
)
def test_mariadb_goes_by_keys_that_compare_as_they_are_sorted(kinds, zone, age, tool):
    key = [column(f"k{number}", kind, key=number) for number, kind in enumerate(kinds, 1)]
    columns = [*key, column("created_at", "datetime", indexed=True)]
    found = deletion("mysql", columns, age=age, zone=zone)
    assert found == (tool, [f"k{n}" for n in range(1, len(kinds) + 1)] if tool == PLAIN else None, ())


@pytest.mark.parametrize(
    ("zone", "tool"), [("+00:00", BY_DATE), ("SYSTEM", PLAIN), ("Europe/Berlin", PLAIN), ("GMT", PLAIN)]
)
def test_timestamps_are_gone_by_only_where_no_hour_comes_twice(zone, tool):
    columns = [column("id", "bigint", key=1), column("created_at", "timestamp", indexed=True)]
    assert deletion("mysql", columns, age=FEW, zone=zone)[0] == tool


def test_a_date_that_leads_the_key_stands_in_it_once():
    columns = [column("created_at", "datetime", indexed=True, key=1), column("id", "bigint", key=2)]
    assert deletion("mysql", columns, age=FEW)[:2] == (BY_DATE, ["created_at", "id"])


def test_with_neither_key_nor_index_the_plan_says_what_it_costs():
    _, _, warnings = deletion("mysql", [column("created_at", "datetime")])
    assert any("every batch reads the table from its start" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("row_id", "key", "age", "expected"),
    [
        ("rowid", 1, HALF, (PLAIN, ["rowid"])),
        ("_rowid_", 1, FEW, (BY_DATE, ["created_at", "_rowid_"])),
        (None, 1, HALF, (PLAIN, ["id"])),
    ],
)
def test_sqlite_goes_by_what_the_table_is_stored_by(row_id, key, age, expected):
    columns = [column("id", "text", key=key), column("created_at", "text", indexed=True)]
    assert deletion("sqlite", [{**one, "row_id": row_id} for one in columns], age=age)[:2] == expected


def test_sqlite_without_anything_to_go_by_is_refused():
    columns = [{**column(name, "text"), "row_id": None} for name in ("rowid", "_rowid_", "oid", "created_at")]
    with pytest.raises(ParameterError, match="hides its row ids"):
        deletion("sqlite", columns)


def test_names_that_look_like_references_reach_the_tool_as_they_are():
    columns = [column("${steps.x}", "bigint", key=1), column("created_at", "datetime", indexed=True)]
    assert deletion("mysql", columns)[1] == ["$${steps.x}"]


def steps(
    engine: str,
    inputs: dict[str, Any] | None = None,
    age: dict[str, Any] = HALF,
    storage: str = "InnoDB",
    **server: Any,
) -> dict[str, Any]:
    columns = [
        {**column("id", "bigint", key=1), "row_id": "id"},
        {**column("created_at", TYPES[engine], indexed=True), "row_id": "id"},
    ]
    table = Table("public", "app_log", "table", rows=2_000_000, bytes=600 << 20, index_bytes=50 << 20, storage=storage)
    known = inventory(table, engine=engine, columns=columns, age=age)
    known = replace(known, server=make_server(engine, database_bytes=700 << 20, **server))
    return {step.id: step for step in LogCleanupAgent().draft(task(**inputs or {}), known).steps}


def test_mariadb_rewrites_a_table_that_lost_much():
    plan = steps("mysql", {"shrink": True})
    step = plan["optimize_app_log"]
    assert (step.tool, step.when) == ("optimize_table", "${steps.delete_app_log.output.rows_deleted} >= 600000")
    assert step.estimate.bytes == 650 << 20


@pytest.mark.parametrize("storage", ["MyISAM", "Aria"])
def test_mariadb_rewrites_no_table_that_would_be_locked_meanwhile(storage):
    assert list(steps("mysql", {"shrink": True}, storage=storage)) == ["count_app_log", "delete_app_log", "report"]


@pytest.mark.parametrize(
    ("facts", "shrinks"),
    [
        ({}, {"shrink_file": "optimize_table"}),
        ({"journal_mode": "wal"}, {"shrink_file": "optimize_table", "checkpoint_file": "checkpoint_wal"}),
        ({"auto_vacuum": "incremental"}, {"shrink_file": "incremental_vacuum"}),
    ],
)
def test_sqlite_shrinks_its_file_once_where_much_of_it_is_free(facts, shrinks):
    plan = steps("sqlite", {"shrink": True}, **facts)
    assert list(plan) == ["count_app_log", "delete_app_log", "measure_file", *shrinks, "report"]
    assert {name: plan[name].tool for name in shrinks} == shrinks
    assert plan["measure_file"].needs == ("delete_app_log",)
    assert plan["shrink_file"].when == "${steps.measure_file.output.fragmentation_percent} >= 30"
    assert dict(plan["shrink_file"].params) == {"schema": "main"}


@pytest.mark.parametrize("engine", ["sqlite", "mysql"])
def test_nothing_is_rewritten_unless_asked(engine):
    assert list(steps(engine)) == ["count_app_log", "delete_app_log", "report"]


@pytest.mark.parametrize(
    ("sampled", "tool", "key"),
    [
        ({"in_order": 1.0, "same_date": 3}, BY_DATE, ["created_at"]),
        ({"in_order": 0.5, "same_date": 3}, PLAIN, ["rowid"]),
        ({"in_order": 1.0, "same_date": 1001}, PLAIN, ["rowid"]),
        ({"in_order": None, "same_date": None}, PLAIN, ["rowid"]),
    ],
)
def test_sqlite_goes_along_the_dates_where_its_rows_lie_in_their_order(sampled, tool, key):
    columns = [{**column(name, "text", indexed=True), "row_id": "rowid"} for name in ("id", "created_at")]
    known = inventory(engine="sqlite", columns=columns, age=HALF)
    known = replace(known, tools=frozenset({PLAIN, BY_DATE, "sample_log_order"}), server=make_server("sqlite"))
    asked = next(q for q in LogCleanupAgent().questions(task(), known) if q.tool == "sample_log_order")
    assert asked.params == {"schema": "public", "table": "app_log", "date_column": "created_at", "key": "rowid"}
    known.answers[asked.name] = {"order": [sampled]}
    (step,) = (s for s in LogCleanupAgent().draft(task(), known).steps if s.id == "delete_app_log")
    assert (step.tool, step.params["key"]) == (tool, key)
    (limited,) = (s for s in LogCleanupAgent().draft(task(max_rows=10), known).steps if s.id == "delete_app_log")
    assert (limited.tool, limited.params["key"]) == (PLAIN, ["rowid"])


@pytest.mark.parametrize(("indexed", "told"), [(True, True), (False, None)])
def test_the_walk_along_the_table_ends_early_where_an_index_knows_the_newest_old_row(indexed, told):
    columns = [column("id", "bigint", key=1), column("created_at", "timestamp", indexed=indexed)]
    known = inventory(engine="postgresql", columns=columns, age=HALF)
    (step,) = (s for s in LogCleanupAgent().draft(task(), known).steps if s.id == "delete_app_log")
    assert (step.tool, step.params.get("indexed")) == (PLAIN, told)


def test_rows_that_the_catalog_does_not_know_come_from_the_measurement():
    known = inventory(Table("public", "app_log", "table"), engine="postgresql", age=AGE)
    known.answers["age of public.app_log"]["size"][0]["rows"] = 100_000
    known.answers["old rows of public.app_log"]["counted"][0]["rows"] = 20_000
    evidence = {e.metric: e.value for step in LogCleanupAgent().draft(task(), known).steps for e in step.evidence}
    assert evidence["old_rows"] == 50_000


LOG = LogTable(make_table("app_log"), RetentionRule("app_log", 90), "at", "datetime", indexed=True)


def answer(*key, columns=1):
    return {
        "columns": [{"column": f"c{n}", "type": "int", "form": "plain"} for n in range(columns)],
        "key_columns": [{"column": name, "type": kind} for name, kind in key],
    }


def test_names_that_look_like_references_are_escaped():
    assert archive_columns([{"column": "${x}", "type": "int", "form": "plain"}])[0]["column"] != "${x}"
    assert archive_key(LOG, answer(("${x}", "int")), "mysql") != ["${x}"]


def test_postgresql_goes_by_pages_and_the_others_by_their_key():
    assert archive_key(LOG, {"columns": []}, "postgresql") == []
    assert archive_key(LOG, answer(("tenant", "varchar"), ("id", "bigint")), "mysql") == ["tenant", "id"]
    assert archive_key(LOG, answer(("rowid", "INTEGER")), "sqlite") == ["rowid"]


def test_without_a_key_there_is_no_archive():
    with pytest.raises(ParameterError, match="has no primary key"):
        archive_key(LOG, answer(), "mysql")


@pytest.mark.parametrize("kind", ["enum", "set", "float", "double", "timestamp", "bit"])
def test_a_key_that_is_not_sorted_as_it_compares_is_refused(kind):
    with pytest.raises(ParameterError, match=f"'k'.*{kind}"):
        archive_key(LOG, answer(("k", kind)), "mysql")

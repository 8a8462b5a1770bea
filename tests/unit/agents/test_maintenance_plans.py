"""The maintenance agent's plans: inventory in, steps out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.models import Index, Inventory, Left, Table
from tests.unit.making import maintenance, make_index, make_inventory, make_server, make_table

MB = 1 << 20
KINDS = ("quick", "standard", "full", "emergency")
STALE = {"modified_rows": 500}
DEAD = {"rows": 1000, "dead_rows": 400}
FEW_DEAD = {"rows": 100_000, "dead_rows": 5000}
#: A fifth of what there was is dead; `rows` still counts it as it was.
JUST_DEAD = {"rows": 1000, "live_rows": 800, "dead_rows": 200}
BLOATED = {"fragmentation_percent": 50.0, "reclaimable_bytes": 2 * MB}


def on(engine: str, *tables: Table, indexes: tuple[Index, ...] = (), **facts: Any) -> Inventory:
    return make_inventory(*tables, indexes=indexes, server=make_server(engine, **facts))


def ids(inventory: Inventory, kind: str | None, **inputs: Any) -> list[str]:
    return [step.id for step in maintenance(inventory, kind, **inputs).steps]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, {"quick": [], "standard": [], "full": ["corruption"], "emergency": ["corruption"]}),
        (
            STALE,
            {
                "quick": ["statistics"],
                "standard": ["statistics"],
                "full": ["corruption", "statistics"],
                "emergency": ["corruption"],
            },
        ),
        (
            DEAD,
            {
                "quick": [],
                "standard": ["measure_orders", "optimize_orders"],
                "full": ["corruption", "measure_orders", "optimize_orders"],
                "emergency": ["corruption"],
            },
        ),
        (
            JUST_DEAD,
            {
                "quick": [],
                "standard": ["measure_orders", "optimize_orders"],
                "full": ["corruption", "measure_orders", "optimize_orders"],
                "emergency": ["corruption"],
            },
        ),
        (
            FEW_DEAD,
            {
                "quick": [],
                "standard": [],
                "full": ["corruption", "measure_orders", "optimize_orders"],
                "emergency": ["corruption"],
            },
        ),
        (
            {"freeze_age_percent": 90.0},
            {
                "quick": [],
                "standard": ["measure_orders", "optimize_orders"],
                "full": ["corruption", "measure_orders", "optimize_orders"],
                "emergency": ["corruption"],
            },
        ),
        (
            {"freeze_age_percent": 89.9},
            {"quick": [], "standard": [], "full": ["corruption"], "emergency": ["corruption"]},
        ),
    ],
    ids=[
        "nothing to do",
        "stale statistics",
        "dead rows",
        "just enough dead rows",
        "few dead rows",
        "near wraparound",
        "not near wraparound",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_each_type_does_what_the_table_calls_for(table, expected, kind):
    inventory = on("postgresql", make_table(**table))
    assert ids(inventory, kind) == ["health", *expected[kind], "report"]


def test_the_default_type_is_standard():
    inventory = on("postgresql", make_table(**DEAD))
    assert (
        ids(inventory, None) == ids(inventory, "standard") == ["health", "measure_orders", "optimize_orders", "report"]
    )


@pytest.mark.parametrize(
    ("index", "inputs", "rebuilt"),
    [
        (BLOATED, {}, True),
        ({**BLOATED, "fragmentation_percent": 30.0}, {}, False),
        ({**BLOATED, "fragmentation_percent": 30.1}, {}, True),
        (BLOATED, {"fragmentation_threshold": 50}, False),
        ({**BLOATED, "bytes": MB - 1}, {}, False),
        ({**BLOATED, "bytes": 8192}, {"min_index_size": 8192}, True),
        ({**BLOATED, "fragmentation_percent": None}, {}, False),
        ({**BLOATED, "fragmentation_percent": None, "withheld": "stale statistics"}, {}, False),
        ({**BLOATED, "valid": False}, {}, False),
        (BLOATED, {"rebuild_indexes": False}, False),
    ],
)
def test_indexes_are_rebuilt_above_the_threshold_and_the_size(index, inputs, rebuilt):
    inventory = on("postgresql", make_table(), indexes=(make_index(**index),))
    assert ("rebuild_orders" in ids(inventory, "full", **inputs)) is rebuilt


def test_a_figure_that_is_withheld_is_told():
    index = make_index(fragmentation_percent=None, withheld="stale statistics")
    plan = maintenance(on("postgresql", make_table(), indexes=(index,)), "full")
    assert plan.warnings == ("public.orders_pkey: no fragmentation figure: stale statistics",)


def test_one_step_rebuilds_the_bloated_indexes_of_a_table_worst_first_and_no_others():
    small, large = make_index("small", **BLOATED), make_index("large", **{**BLOATED, "reclaimable_bytes": 3 * MB})
    inventory = on("postgresql", make_table(), indexes=(small, large, make_index("sound")))
    step = maintenance(inventory, "full").step("rebuild_orders")
    assert step.found == ({"n": "large"}, {"n": "small"})
    assert step.estimate.bytes == 8 * MB
    assert step.params["fragmentation_threshold"] == 30
    assert [item.metric for item in step.evidence] == [f"fragmentation_percent of {n}" for n in ("large", "small")]


@pytest.mark.parametrize(("kind", "dropped"), [("standard", False), ("full", True), ("emergency", False)])
def test_what_failed_builds_left_is_dropped_by_a_full_run(kind, dropped):
    inventory = on("postgresql", make_table(), indexes=(make_index("orders_pkey_ccnew", valid=False),))
    inventory = replace(inventory, rebuilt={("public", "orders"): ("orders_pkey",)})
    assert ("invalid_orders" in ids(inventory, kind)) is dropped
    if dropped:
        assert maintenance(inventory, kind).step("invalid_orders").params["recorded"] == ["orders_pkey"]


def test_an_invalid_index_that_no_run_of_ours_can_have_left_is_told_and_stays():
    inventory = on("postgresql", make_table(), indexes=(make_index("orders_n", valid=False),))
    plan = maintenance(inventory, "full")
    assert [step.id for step in plan.steps] == ["health", "corruption", "report"]
    assert "public.orders: invalid indexes left as they are: orders_n" in plan.warnings[0]


@pytest.mark.parametrize("kind", ["standard", "full"])
def test_what_a_vacuum_analyzes_is_not_analyzed_again(kind):
    plan = maintenance(on("postgresql", make_table(**DEAD, last_analyze=None), make_table("other", **STALE)), kind)
    assert "optimize_orders" in [step.id for step in plan.steps]
    assert [one["table"] for one in plan.step("statistics").params["tables"]] == ["other"]
    alone = on("postgresql", make_table(**DEAD, last_analyze=None))
    assert "statistics" not in ids(alone, kind), "nothing is left to analyze"


WORN = {"bytes": 100 * MB, "fragmentation_percent": 85.0, "fragmentation_method": "pgstattuple"}


@pytest.mark.parametrize(
    ("table", "inputs", "planned"),
    [
        (WORN, {"rebuild_tables": True}, True),
        (WORN, {}, False),
        (WORN, {"rebuild_tables": False}, False),
        ({**WORN, "bytes": 2000 * MB}, {}, True),
        ({**WORN, "bytes": 2000 * MB}, {"rebuild_tables": False}, False),
        ({**WORN, "bytes": 1000 * MB}, {}, False),  # 850 MB to gain
    ],
)
def test_a_table_of_unused_space_is_rewritten_when_asked_or_when_it_is_much_and_else_named(table, inputs, planned):
    inventory = on("postgresql", make_table(**table), indexes=(make_index(**BLOATED),))
    plan = maintenance(inventory, "full", **inputs)
    steps = [step.id for step in plan.steps]
    assert ("rewrite_orders" in steps) is planned
    assert ("rebuild_orders" in steps) is not planned, "a rewrite makes the indexes anew as well"
    assert (
        any("public.orders 85 % of" in text and "rebuild_tables=true" in text for text in plan.warnings) is not planned
    )
    if planned:
        step = plan.step("rewrite_orders")
        assert "${steps.measure_orders.output.fragmentation_percent} > 40" in str(step.when)
        assert {"measure_orders", "corruption"} <= set(step.needs)
        assert step.estimate.bytes


@pytest.mark.parametrize(
    "table",
    [
        {**WORN, "fragmentation_percent": 40.0},
        {**WORN, "fragmentation_percent": None, "withheld": "stale statistics"},
        {**WORN, "bytes": MB},
        {**WORN, "kind": "matview"},
    ],
)
def test_what_gains_little_or_is_not_known_is_neither_rewritten_nor_named(table):
    plan = maintenance(on("postgresql", make_table(**table)), "full", rebuild_tables=True)
    assert "rewrite_orders" not in [step.id for step in plan.steps]
    assert not [
        text for text in maintenance(on("postgresql", make_table(**table)), "full").warnings if "unused" in text
    ]


def test_only_a_full_run_rewrites():
    for kind in ("quick", "standard", "emergency"):
        assert "rewrite_orders" not in ids(on("postgresql", make_table(**WORN)), kind, rebuild_tables=True)


def test_mysql_measures_behind_fresh_statistics_what_stale_ones_hide():
    """Right after a clean-up nothing is known of a table: one run refreshes, measures and rewrites."""
    table = make_table(withheld="the statistics are stale", modified_rows=80_000)
    inventory = on("mysql", table)
    steps = ["health", "corruption", "refresh_orders", "measure_orders", "optimize_orders", "report"]
    assert ids(inventory, "full") == steps
    plan = maintenance(inventory, "full")
    assert "refresh_orders" in plan.step("measure_orders").needs
    assert "${steps.measure_orders.output.fragmentation_percent} > 20" in str(plan.step("optimize_orders").when)
    assert ids(inventory, "standard") == ["health", "statistics", "report"]
    fresh = on("mysql", make_table(withheld="row format COMPRESSED"))
    assert ids(fresh, "full") == ["health", "corruption", "report"], "what no statistics will tell"


@pytest.mark.parametrize("kind", ["view", "foreign", "temporary", "virtual", "partitioned"])
def test_only_what_holds_rows_is_worked_on(kind):
    table = make_table(kind=kind, freeze_age_percent=99.0, last_analyze=None, **DEAD)
    for each in KINDS:
        assert ids(on("postgresql", table), each) == ["health", "report"]


@pytest.mark.parametrize("kind", ["table", "partition", "matview"])
def test_partitions_and_materialized_views_are_worked_on_like_tables(kind):
    assert "optimize_orders" in ids(on("postgresql", make_table(kind=kind, **DEAD)), "standard")


@pytest.mark.parametrize(
    ("facts", "inputs", "stale"),
    [
        ({"last_analyze": None}, {}, True),
        ({"last_analyze": None, "bytes": 0, "rows": 0}, {}, False),
        ({"last_analyze": None, "bytes": None, "rows": None}, {}, True),
        ({"rows": 1000, "modified_rows": 150}, {}, False),
        ({"rows": 1000, "modified_rows": 151}, {}, True),
        ({"rows": -1, "modified_rows": 51}, {}, True),
        ({"statistics": "missing"}, {}, True),
        ({"statistics": "stale"}, {}, True),
        ({"statistics": "present", "last_analyze": None}, {}, False),
        ({}, {"all_tables": True}, True),
        ({"last_analyze": None}, {"update_stats": False}, False),
    ],
)
def test_statistics_are_refreshed_where_they_are_missing_or_far_off(facts, inputs, stale):
    inventory = on("postgresql", make_table(**facts))
    assert ("statistics" in ids(inventory, "quick", **inputs)) is stale


def test_statistics_of_all_tables_are_one_step_of_the_stale_ones():
    inventory = on("postgresql", make_table("a", **STALE), make_table("b"), make_table("c", "s", **STALE))
    step = maintenance(inventory, "quick").step("statistics")
    assert step.tool == "batch_update_statistics"
    assert step.params["tables"] == [{"schema": "public", "table": "a"}, {"schema": "s", "table": "c"}]


def optimized(inventory: Inventory, kind: str = "standard") -> list[str]:
    return [s.params["table"] for s in maintenance(inventory, kind).steps if s.tool == "optimize_table"]


LEFT = ("left", "left_near_wraparound")


def test_wraparound_goes_first_then_what_was_left_then_what_gains_most():
    tables = (
        make_table("gains_little", fragmentation_percent=1.0, **DEAD),
        make_table("gains_much", fragmentation_percent=90.0, **DEAD),
        make_table("left", **DEAD),
        make_table("near_wraparound", freeze_age_percent=95.0),
        make_table("left_near_wraparound", freeze_age_percent=91.0),
    )
    backlog = tuple(
        Left("optimize_table", f"public.{name}", "the window has closed", since="2026-11-20T01:00:00+00:00")
        for name in LEFT
    )
    inventory = make_inventory(*tables, backlog=backlog)
    expected = ["left_near_wraparound", "near_wraparound", "left", "gains_much", "gains_little"]
    assert optimized(inventory) == expected
    assert optimized(make_inventory(*tables[::-1], backlog=backlog)) == expected


def test_mysql_rewrites_only_in_a_full_run_and_not_the_indexes_again():
    table, index = make_table(fragmentation_percent=40.0, fragmentation_method="free extents"), make_index(**BLOATED)
    inventory = on("mysql", table, indexes=(index,))
    assert ids(inventory, "standard") == ["health", "report"]
    assert ids(inventory, "full") == ["health", "corruption", "measure_orders", "optimize_orders", "report"]
    assert "rebuild_orders" in ids(on("mysql", make_table(), indexes=(index,)), "full")
    step = maintenance(inventory, "full").step("optimize_orders")
    assert "${steps.measure_orders.output.fragmentation_percent} > 20" in (step.when or "")
    assert step.estimate.bytes == 12 * MB


def test_mysql_statements_stay_out_of_the_binary_log_when_asked():
    inventory = on("mysql", make_table(fragmentation_percent=40.0))
    assert maintenance(inventory, "full", binlog="LOCAL").step("optimize_orders").params["binlog"] == "LOCAL"
    assert "binlog" not in maintenance(inventory, "full").step("optimize_orders").params


SQLITE = {"database_bytes": 100 * MB, "journal_mode": "delete"}


@pytest.mark.parametrize(
    ("facts", "expected", "tool", "scratch"),
    [
        ({"free_bytes": 20 * MB}, [], None, None),
        ({"free_bytes": 21 * MB}, ["measure", "optimize"], "optimize_table", 200 * MB),
        (
            {"free_bytes": 21 * MB, "journal_mode": "wal"},
            ["measure", "optimize", "checkpoint"],
            "optimize_table",
            200 * MB,
        ),
        ({"free_bytes": 21 * MB, "auto_vacuum": "incremental"}, ["measure", "optimize"], "incremental_vacuum", None),
        ({"free_bytes": 50 * MB, "database_bytes": None}, [], None, None),
    ],
)
def test_sqlite_rewrites_its_whole_file_or_nothing(facts, expected, tool, scratch):
    inventory = on("sqlite", make_table(schema="main"), make_table("b", "main"), **{**SQLITE, **facts})
    plan = maintenance(inventory, "full")
    assert [step.id for step in plan.steps] == ["health", "corruption", *expected, "report"]
    if tool:
        step = plan.step("optimize")
        assert (step.tool, step.params, step.estimate.bytes) == (tool, {"schema": "main"}, scratch)
    if "checkpoint" in expected:
        assert "optimize" in plan.step("checkpoint").needs
    assert ids(inventory, "standard") == ["health", "report"]


def test_sqlite_counts_the_slack_in_tables_and_indexes_too():
    table = make_table(schema="main", bytes=60 * MB, fragmentation_percent=30.0)
    index = make_index(schema="main", reclaimable_bytes=2 * MB)
    assert "optimize" not in ids(on("sqlite", table, **SQLITE), "full")
    assert "optimize" in ids(on("sqlite", table, indexes=(index,), free_bytes=MB, **SQLITE), "full")


def test_sqlite_rebuilds_single_indexes_when_the_file_is_not_worth_a_rewrite():
    index = make_index(schema="main", **BLOATED)
    inventory = on("sqlite", make_table(schema="main"), indexes=(index,), **SQLITE)
    assert ids(inventory, "full") == ["health", "corruption", "rebuild_orders", "report"]

"""What becomes of a log table's partitions: pure, from what inspect_partitions says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.agents.log_cleanup.plan import LogCleanupPlanner
from aishell.models import Inventory, Step, Table, Task
from aishell.reporting.deletions import DROPS
from tests.unit.agents.test_log_cleanup_plans import AGE, CUTOFF, child, column, old_rows
from tests.unit.making import make_inventory, make_server

PARENT = Table("public", "app_log", "partitioned")
WHOLE = Table("shop", "app_log", "table", rows=1_000_000, bytes=1 << 30)
TOOLS = frozenset({"inspect_partitions", *DROPS})
EMPTY = {"oldest": None, "newest": None}
NEW = {"oldest": "2026-10-01 00:00:00+00", "newest": AGE["newest"]}
OTHER = "it can contain rows that are not before the cut-off"


def row(name: str, stays: str | None = None, **facts: Any) -> dict[str, Any]:
    known = {"partition_schema": "public", "partition": name, "oid": "7", "bound": "FOR VALUES …", "next": "detach"}
    return {**known, "rows": 100, "bytes": 8192, "old": stays is None, "stays": stays, "is_default": False, **facts}


def leaf(name: str, kind: str = "partition") -> dict[str, Any]:
    return {"schema": "public", "table": name, "kind": kind, "oid": "8", "rows": 1000, "bytes": 8192}


def inventory(
    rows: list[dict[str, Any]], leaves: list[dict[str, Any]] = (), *, ages: dict[str, Any] | None = None, **facts: Any
) -> Inventory:
    """An inventory of one partitioned table; `ages` are those of its partitions where they are not AGE."""
    engine = facts.pop("engine", "postgresql")
    table = WHOLE if engine == "mysql" else PARENT
    declared = "datetime" if engine == "mysql" else "timestamp with time zone"
    columns = [column("created_at", declared, indexed=True), column("id", "bigint", key=1, indexed=True)]
    facts_of = [{**one, "schema": table.schema} for one in columns]
    children = [{**one, "schema": table.schema} for one in facts.pop("children", [])]
    asked = {
        f"age of {table.schema}.{name}": AGE
        for name in ("app_log", *(r["partition"] for r in rows), *(x["table"] for x in leaves))
    }
    asked |= {f"age of {table.schema}.{name}": age for name, age in (ages or {}).items()}
    answers = {
        "tables": {"columns": facts_of, "children": children, "triggers": []},
        "cutoff 90": {"cutoff": [CUTOFF]},
        f"partitions of {table.schema}.app_log": {"partitions": rows, "leaves": list(leaves)},
        **{name: {"age": [age]} for name, age in asked.items()},
        f"old rows of {table.schema}.app_log": old_rows(AGE, table.rows, engine),
    }
    made = make_inventory(table, server=make_server(engine), tools=facts.pop("tools", TOOLS))
    return replace(made, answers=answers)


def draft(known: Inventory, **inputs: Any) -> tuple[dict[str, Step], str]:
    """The steps by their ids, and the warnings."""
    task = Task("log_cleanup", "shop", {"table": "app_log", "retention_days": 90, **inputs})
    made = LogCleanupPlanner(task, known).draft()
    return {step.id: step for step in made.steps}, " / ".join(made.warnings)


def test_old_partitions_go_whole_and_the_rest_by_partition():
    rows = [row("l1"), row("l2", rows=None), row("l3", OTHER), row("l4", OTHER)]
    plan, warnings = draft(inventory(rows, [leaf("l3")]))
    assert list(plan) == ["count_app_log", "drop_partitions_app_log", "delete_l3", "vacuum_l3", "report"]
    drop = plan["drop_partitions_app_log"]
    assert drop.tool == "drop_old_partitions"
    assert drop.params == {
        "schema": "public", "table": "app_log", "date_column": "created_at", "cutoff": "2026-08-23 12:00:00+00:00",
    }  # fmt: skip
    assert [one["partition"] for one in drop.found or ()] == ["l1", "l2"]
    assert set((drop.found or ())[0]) == {"partition_schema", "partition", "oid", "bound", "next", "rows", "bytes"}
    assert {item.metric: item.value for item in drop.evidence}["rows"] == 100
    assert drop.on_error == "fail"
    assert plan["delete_l3"].params["table"] == "l3"
    assert plan["delete_l3"].needs == ("count_app_log",)
    assert warnings == ""


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"filters": [{"column": "id", "operator": ">", "value": 5}]}, "not all of its old rows"),
        ({"max_rows": 10}, "no more than max_rows"),
    ],
)
def test_where_not_all_old_rows_are_to_go_no_partition_goes_whole(inputs, why):
    plan, warnings = draft(inventory([row("l1"), row("l2"), row("l3", OTHER)], [leaf("l3")]), **inputs)
    assert "drop_partitions_app_log" not in plan
    assert why in warnings
    expected = ["delete_l1"] if "max_rows" in inputs else ["delete_l1", "delete_l2", "delete_l3"]
    assert [step for step in plan if step.startswith("delete")] == expected


def test_what_is_archived_is_not_dropped_unarchived():
    known = inventory([row("l1"), row("l2", OTHER)], [leaf("l2")])
    answers = {f"columns of public.{name}": {"columns": []} for name in ("l1", "l2")}
    plan, warnings = draft(replace(known, answers={**known.answers, **answers}), archive=True)
    assert not any(step.startswith("drop") for step in plan)
    assert [step.tool for step in plan.values() if step.tool.startswith(("archive", "delete"))] == [
        "archive_old_records", "delete_archived_records", "archive_old_records", "delete_archived_records",
    ]  # fmt: skip
    assert "its rows are archived first" in warnings


def test_beside_a_default_partition_the_stronger_lock_is_taken():
    rows = [row("l1"), row("l2", OTHER), row("rest", "it is the DEFAULT partition", is_default=True)]
    plan, warnings = draft(inventory(rows, [leaf("l2"), leaf("rest")], ages={"rest": EMPTY}))
    assert plan["drop_partitions_app_log"].tool == "drop_old_partitions_exclusively"
    assert "delete_rest" not in plan
    assert warnings == ""


def test_before_version_14_the_stronger_lock_is_taken():
    tools = TOOLS - {"drop_old_partitions"}
    plan, _ = draft(inventory([row("l1"), row("l2", OTHER)], [leaf("l2")], tools=tools))
    assert plan["drop_partitions_app_log"].tool == "drop_old_partitions_exclusively"


def test_why_an_old_partition_stays_is_said_once():
    own = "it has partitions of its own"
    rows = [row(f"l{n}", own, old=True) for n in range(8)] + [row("odd", "cannot be compared", old=None)]
    _, warnings = draft(inventory([*rows, row("new", OTHER, old=False)], [leaf("l0_1"), leaf("far", "foreign")]))
    assert f"the old rows of l0, l1, l2, l3, l4 and 3 more are deleted one by one: {own}" in warnings
    assert "odd are deleted one by one: cannot be compared" in warnings
    assert "public.far is a foreign table" in warnings
    assert "new" not in warnings


def test_empty_old_partitions_go_too():
    known = inventory([row("l1"), row("l2", OTHER)], [leaf("l2")], ages={"app_log": EMPTY, "l2": EMPTY})
    plan, _ = draft(known)
    assert list(plan) == ["count_app_log", "drop_partitions_app_log", "report"]
    assert plan["drop_partitions_app_log"].params["cutoff"] == "2026-08-23 12:00:00+00:00"


def test_where_nothing_is_old_it_is_said_of_the_table_once():
    plan, warnings = draft(
        inventory([row("l1", OTHER), row("l2", OTHER)], [leaf("l1")], ages={"app_log": NEW, "l1": NEW})
    )
    assert list(plan) == ["report"]
    assert warnings.startswith("public.app_log has nothing older than")


def test_mariadb_deletes_the_remainder_from_the_whole_table_afterwards():
    rows = [
        {"partition": f"p{n}", "bound": "739000", "rows": 10, "bytes": 16384, "old": 1, "stays": None} for n in (1, 2)
    ]
    rows.append({"partition": "p3", "bound": "MAXVALUE", "rows": 5, "bytes": 16384, "old": 0, "stays": OTHER})
    known = inventory(rows, engine="mysql", tools=frozenset({"inspect_partitions", "drop_old_partitions"}))
    plan, warnings = draft(known)
    drop = plan["drop_partitions_app_log"]
    assert [(one["schema"], one["table"], one["partition"]) for one in drop.found or ()] == [
        ("shop", "app_log", "p1"), ("shop", "app_log", "p2"),
    ]  # fmt: skip
    assert "drop_partitions_app_log" in plan["delete_app_log"].needs
    assert drop.on_error == "continue"
    assert {item.metric: item.value for item in plan["delete_app_log"].evidence}["old_rows"] == 500_463 - 20
    assert warnings.startswith("what stays of shop.app_log keeps its size")


def test_rows_of_children_are_counted_for_each_partition():
    """A foreign key keeps all partitions: each is cleaned up in batches, with its own count of what goes with it."""
    why = "the foreign key fk of details refers to it"
    known = inventory(
        [row("l1", why, old=True), row("l2", OTHER)], [leaf("l1"), leaf("l2")], children=[child("cascade")]
    )
    answers = {
        f"rows of public.details by fk of public.{name}": {"referring": [{"rows": rows}]}
        for name, rows in (("l1", 7), ("l2", 0))
    }
    plan, warnings = draft(replace(known, answers={**known.answers, **answers}))
    assert plan["delete_l1"].params["cascades"] == {"public.details": 7}
    assert "cascades" not in plan["delete_l2"].params
    assert why in warnings


def test_a_glob_does_not_name_the_partitions_beside_their_table():
    known = inventory([row("app_log_1", OTHER)], [leaf("app_log_1")])
    part = Table("public", "app_log_1", "partition", rows=5)
    parents = [{"schema": "public", "table": "app_log_1", "parent_schema": "public", "parent_table": "app_log"}]
    answers = {**known.answers, "tables": {**known.answers["tables"], "parents": parents}}
    known = replace(known, tables=(PARENT, part), answers=answers)
    plan, _ = draft(known, table="app_log*")
    assert [step for step in plan if step.startswith("count")] == ["count_app_log"]


def test_its_questions_end():
    task = Task("log_cleanup", "shop", {"table": "app_log", "retention_days": 90})
    known = inventory([row("l1"), row("l2", OTHER)], [leaf("l2")])
    bare, asked = replace(known, answers={}), list[str]()
    while fresh := [q for q in LogCleanupAgent().questions(task, bare) if q.name not in bare.answers]:
        asked += [question.name for question in fresh]
        bare = replace(bare, answers={name: known.answers[name] for name in asked})
    assert asked == ["tables", "cutoff 90", "age of public.app_log", "partitions of public.app_log", "age of public.l2"]


@pytest.mark.parametrize(("oldest", "old"), [("2026-08-23 13:30:00", True), ("2026-08-23 14:00:00", False)])
def test_a_date_without_a_zone_is_compared_on_the_servers_clock(oldest, old):
    """The cut-off is 12:00 UTC, 14:00 in Berlin, where the server is."""
    known = inventory([], engine="mysql", ages={"app_log": {"oldest": oldest, "newest": "2026-11-21 12:00:00"}})
    assert ("delete_app_log" in draft(known)[0]) is old

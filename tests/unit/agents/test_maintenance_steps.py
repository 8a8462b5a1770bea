"""What holds of every maintenance plan: its frame, its order, its conditions, its names, and what history leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.agents.maintenance.agent import USELESS_RUNS, MaintenanceAgent
from aishell.errors import ParameterError, UnknownNameError
from aishell.locations import built_in
from aishell.models import History, Inventory, Plan, Task, Took
from aishell.planning import checks
from aishell.planning.graph import Graph
from aishell.planning.variables import references, resolve
from aishell.registry.registry import Registry
from tests.conftest import HOSTILE_NAMES
from tests.unit.making import maintenance, make_index, make_inventory, make_server, make_table

MB = 1 << 20
KINDS = ("quick", "standard", "full", "emergency")
VERSIONS = {"postgresql": ("postgresql", (15, 4)), "mysql": ("mariadb", (10, 11)), "sqlite": ("sqlite", (3, 40))}
#: Names that make the same readable part of an id, and names that look like references.
ALIKE = ("orders", "Orders", "ORDERS", "or-ders", "or_ders", "orders_2", "orders 3", "象", "🐘", "")
REFERENCES = ("${run.id}", "${", "$${x}", "a}${b")
NAMES = (*HOSTILE_NAMES, *ALIKE, *REFERENCES)


def everything(engine: str, *names: str) -> Inventory:
    """Every reason to do something, for each of these tables."""
    schema = "main" if engine == "sqlite" else "public"
    product, version = VERSIONS[engine]
    tables, indexes = [], []
    for name in names:
        tables.append(
            make_table(
                name, schema, dead_rows=900, modified_rows=900, fragmentation_percent=60.0, freeze_age_percent=95.0
            )
        )
        indexes += [
            make_index(f"{name}1", name, schema, fragmentation_percent=60.0, reclaimable_bytes=MB),
            make_index(f"{name}2", name, schema, valid=False),
        ]
    server = make_server(
        engine, product=product, version=version, database_bytes=1 << 40, features=frozenset({"dbstat"})
    )
    return make_inventory(*tables, indexes=tuple(indexes), server=server)


def plans(engine: str, *names: str, **inputs: Any) -> Iterator[Plan]:
    for kind in KINDS:
        yield maintenance(everything(engine, *names), kind, **inputs)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([built_in("tools")])


@pytest.mark.parametrize("engine", VERSIONS)
def test_every_plan_passes_the_static_checks_with_the_shipped_tools(registry, engine):
    for plan in plans(engine, "orders", "items"):
        server = everything(engine).server
        checks.check(plan, MaintenanceAgent.defaults, lambda name, server=server: registry.pick(name, server))


@pytest.mark.parametrize("engine", VERSIONS)
def test_every_plan_begins_with_health_and_ends_with_a_report_that_always_runs(engine):
    for plan in plans(engine, "orders"):
        first, last = plan.steps[0], plan.steps[-1]
        assert (first.tool, first.on_error) == ("analyze_database_health", "fail")
        assert (last.tool, last.always) == ("generate_maintenance_report", True)
        assert set(last.needs) == {step.id for step in plan.steps[:-1]}
        thorough = plan.task.input_data["maintenance_type"] in ("full", "emergency")
        assert first.params["check_corruption"] is thorough
        for step in plan.steps[1:]:
            assert "health" in step.needs
            assert step.on_error == "continue"
            assert step.rationale
        assert [step.index for step in plan.steps] == list(range(len(plan.steps)))


@pytest.mark.parametrize("engine", VERSIONS)
def test_a_thorough_plan_changes_nothing_in_a_database_that_is_damaged(engine):
    reading = {
        "analyze_database_health",
        "check_table_corruption",
        "analyze_table_fragmentation",
        "generate_maintenance_report",
    }
    for plan in plans(engine, "orders", "items"):
        if plan.task.input_data["maintenance_type"] not in ("full", "emergency"):
            continue
        for step in plan.steps:
            if step.tool not in reading:
                assert "${steps.corruption.output.corrupted_tables} == []" in (step.when or "")
                assert "corruption" in step.needs


def test_statistics_are_refreshed_after_what_moves_rows():
    for plan in plans("postgresql", "orders", "items"):
        tools = [step.tool for step in plan.steps]
        if "batch_update_statistics" in tools and "optimize_table" in tools:
            assert tools.index("batch_update_statistics") > max(
                n for n, tool in enumerate(tools) if tool == "optimize_table"
            )


@pytest.mark.parametrize("engine", VERSIONS)
def test_ids_are_unique_and_readable_with_hostile_names(engine):
    for plan in plans(engine, *NAMES):
        ids = [step.id for step in plan.steps]
        assert len(set(ids)) == len(ids)
        assert all(i.isascii() and i.replace("_", "").isalnum() and len(i) < 50 for i in ids)
        Graph(plan.steps)


@given(st.lists(st.text(max_size=40), max_size=6, unique=True))
def test_ids_are_unique_with_any_names(names):
    for plan in plans("postgresql", *names):
        assert len({step.id for step in plan.steps}) == len(plan.steps)


def nobody(reference: object) -> object:
    raise AssertionError(f"a name was read as the reference {reference}")


@pytest.mark.parametrize("engine", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_data_and_never_a_reference(engine, name):
    for plan in plans(engine, name):
        for step in plan.steps:
            assert list(references(dict(step.params))) == []
            params = resolve(dict(step.params), nobody)
            for table in (params, *(params.get("tables") or ())):
                assert table.get("table", name) == name


def remembered(tool: str, name: str, idle: int) -> dict[tuple[str, str], History]:
    return {(tool, name): History((Took(1.0, 1_000_000, "bytes"),), idle, "this table's history")}


@pytest.mark.parametrize(
    ("engine", "tool", "label", "step"),
    [
        ("postgresql", "rebuild_fragmented_indexes", "public.i", "rebuild_orders"),
        ("mysql", "optimize_table", "public.orders", "optimize_orders"),
        ("sqlite", "optimize_table", "main", "optimize"),
    ],
)
@pytest.mark.parametrize("idle", [0, USELESS_RUNS - 1, USELESS_RUNS, USELESS_RUNS + 1])
def test_work_that_gained_nothing_so_often_is_left_out_and_told(engine, tool, label, step, idle):
    table = make_table(fragmentation_percent=50.0)
    index = make_index("i", fragmentation_percent=50.0) if engine == "postgresql" else None
    server = make_server(engine, database_bytes=16 * MB, free_bytes=8 * MB)
    indexes = (index,) if index else ()
    history = remembered(tool, label, idle)
    plan = maintenance(make_inventory(table, indexes=indexes, server=server, history=history), "full")
    useless = idle >= USELESS_RUNS
    assert (step in {s.id for s in plan.steps}) is not useless
    assert (f"{label}: {tool} reclaimed nothing the last {idle} times and is left out" in plan.warnings) is useless


def test_other_objects_are_not_left_out_for_one_that_gains_nothing():
    tables = (make_table("a", fragmentation_percent=50.0), make_table("b", fragmentation_percent=50.0))
    history = remembered("optimize_table", "public.a", 9)
    plan = maintenance(make_inventory(*tables, server=make_server("mysql"), history=history), "full")
    assert [s.params["table"] for s in plan.steps if s.tool == "optimize_table"] == ["b"]


def test_vacuum_against_wraparound_is_never_left_out():
    table = make_table(freeze_age_percent=99.0)
    plan = maintenance(make_inventory(table, history=remembered("optimize_table", "public.orders", 99)), "full")
    assert "optimize_orders" in {step.id for step in plan.steps}


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_database_is_looked_at_and_reported(kind):
    plan = maintenance(make_inventory(), kind)
    assert [step.id for step in plan.steps] == ["health", "report"]


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({"maintenance_typ": "full"}, UnknownNameError),
        ({"maintenance_type": "fast"}, UnknownNameError),
        ({"fragmentation_threshold": 101}, ParameterError),
        ({"fragmentation_threshold": "30"}, ParameterError),
        ({"min_index_size": -1}, ParameterError),
        ({"tables": "orders"}, ParameterError),
        ({"tables": [""]}, ParameterError),
        ({"all_tables": "yes"}, ParameterError),
        ({"binlog": "local"}, UnknownNameError),
    ],
)
def test_an_input_the_agent_does_not_take_is_refused(inputs, error):
    with pytest.raises(error):
        MaintenanceAgent().check_inputs(Task("maintenance", "shop", inputs))


@pytest.mark.parametrize(
    ("kind", "size", "candidate"),
    [
        ("quick", 8 * MB, False),
        ("standard", 8 * MB, True),
        ("full", 8 * MB, True),
        ("emergency", 8 * MB, False),
        ("full", 1000, False),
        ("full", None, True),
    ],
)
def test_only_what_may_be_worth_it_is_measured_exactly(kind, size, candidate):
    table = make_table(bytes=size, index_bytes=0)
    task = Task("maintenance", "shop", {"maintenance_type": kind})
    assert (table in MaintenanceAgent().candidates(task, make_inventory(table))) is candidate

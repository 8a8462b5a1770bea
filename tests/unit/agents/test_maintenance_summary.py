"""What a maintenance run is told in: figures that are of now, and nothing said that was not seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.agents.maintenance.agent import MaintenanceAgent
from aishell.agents.summary import summarise
from aishell.models import Cause, Server, Step, StepResult, StepStatus, Task
from aishell.reporting.report import maintenance_report
from aishell.reporting.units import gain
from aishell.running.context import Context
from tests.unit.making import make_plan

ORDERS = {"schema": "public", "table": "orders"}
FINDING = {
    "finding": "autovacuum_lagging",
    "severity": "warning",
    "object": "public.orders",
    "value": "100 dead rows",
    "detail": "optimize_table now",
}


def result(number: int, tool: str, status: StepStatus = StepStatus.DONE, **facts: Any) -> StepResult:
    params, reason, error = (facts.pop(name, None) for name in ("params", "reason", "error"))
    return StepResult(number, f"{tool}_{number}", tool, params or {}, status, output=facts, reason=reason, error=error)


def told(*results: StepResult) -> str:
    return summarise(Task("maintenance", "shop"), results)[1]


def reported(*results: StepResult) -> str:
    plan = make_plan(*(_step(one) for one in results))
    facts = {"plan": plan, "server": Server("postgresql", "PostgreSQL", (18, 4), "shop", "it")}
    context = Context(None, "", None, run_id="r" * 32, results=results, facts=facts)  # type: ignore[arg-type]
    return str(maintenance_report({"tables": [], "maintenance_type": "full"}, context)["report"])


def _step(one: StepResult) -> Step:
    return Step(id=one.step_id, tool=one.tool, params=one.params, index=one.step_index, rationale="")


def test_a_finding_that_the_run_has_acted_on_gives_no_advice_of_before():
    health = result(0, "analyze_database_health", findings=[FINDING, {**FINDING, "object": "public.other"}])
    vacuumed = result(
        1, "optimize_table", params=ORDERS, dead_rows_before=100, dead_rows_after=0, bytes_before=1, bytes_after=1
    )
    lines = [line for line in reported(health, vacuumed).splitlines() if "autovacuum_lagging" in line]
    assert "optimize_table now" not in lines[0]
    assert "since then optimize_table_1" in lines[0]
    assert "dead rows 100 → 0" in lines[0]
    assert lines[1].endswith("public.other: 100 dead rows. optimize_table now")


@pytest.mark.parametrize("object_", ["public.orders", None])
@pytest.mark.parametrize("value", ["60 MB of 141 MB", None])
@pytest.mark.parametrize("detail", ["Every write maintains both.", None])
def test_a_finding_is_told_with_its_value(object_, value, detail):
    found = {**FINDING, "object": object_, "value": value, "detail": detail}
    (line,) = (
        line
        for line in reported(result(0, "analyze_database_health", findings=[found])).splitlines()
        if "lagging" in line
    )
    subject = " ".join(filter(None, ("- **warning** autovacuum_lagging", object_)))
    assert line.replace("\\_", "_") == f"{subject}: {'. '.join(filter(None, (value, detail)))}"


def test_space_that_the_run_gave_back_is_not_found_free():
    free = {**FINDING, "finding": "free_space", "object": None, "value": "13.6 MB", "detail": "VACUUM gives it back"}
    health = result(0, "analyze_database_health", findings=[free])
    rewritten = result(1, "optimize_table", params={"schema": "main"}, bytes_before=2048, bytes_after=1024)
    assert "VACUUM gives it back" in reported(health)
    assert "13.6 MB; since then optimize_table_1: 2.0 kB → 1.0 kB" in reported(health, rewritten)


def test_a_recommendation_is_dropped_when_it_was_followed():
    measured = result(0, "analyze_table_fragmentation", params=ORDERS, recommendation="optimize_table now")
    done = result(1, "optimize_table", params=ORDERS, bytes_before=2, bytes_after=1)
    failed = result(1, "optimize_table", StepStatus.FAILED, params=ORDERS)
    for last, expected in ((done, "none: this run has done it"), (failed, "optimize_table now")):
        data, _ = summarise(Task("maintenance", "shop"), (measured, last))
        assert data["fragmentation_data"]["public.orders"]["recommendation"] == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(100, 40, "60 bytes reclaimed"), (40, 100, "60 bytes more than before"), (5, 5, "0 bytes reclaimed")],
)
def test_what_grew_was_not_given_back(before, after, expected):
    assert gain(before, after) == expected
    rewritten = result(0, "optimize_table", params=ORDERS, bytes_before=before, bytes_after=after)
    assert expected in reported(rewritten)
    assert ("grew by" in told(rewritten)) == (after > before)
    assert "-" not in told(rewritten)


@pytest.mark.parametrize(
    ("checked", "left", "damaged", "sentence"),
    [
        (0, 22, 0, "Nothing was checked for corruption: amcheck is not installed."),
        (20, 2, 0, "2 object(s) were not checked for corruption: amcheck is not installed."),
        (22, 0, 0, ""),
        (0, 2, 1, "2 object(s) were not checked for corruption: amcheck is not installed."),
    ],
)
def test_what_was_not_looked_at_is_not_called_sound(checked, left, damaged, sentence):
    check = result(
        0,
        "check_table_corruption",
        checked=[ORDERS] * checked,
        not_checked=[{**ORDERS, "reason": "amcheck is not installed"}] * left,
        corrupted_tables=[{**ORDERS, "reason": "bad page"}] * damaged,
    )
    assert sentence in told(check)
    assert ("not checked" in told(check) or "Nothing was checked" in told(check)) == bool(sentence)
    assert ("No damage was found" in reported(check)) == bool(checked and not damaged)


@pytest.mark.parametrize("damaged", [0, 1])
def test_damage_is_an_alarm(damaged):
    check = result(
        0, "check_table_corruption", checked=[], corrupted_tables=[{**ORDERS, "reason": "bad page"}] * damaged
    )
    data, _ = summarise(Task("maintenance", "shop"), (check,))
    assert MaintenanceAgent().alarming(data) is bool(damaged)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (StepStatus.FAILED, "Nothing was changed."),
        (StepStatus.REJECTED, "Nothing was changed."),
        (StepStatus.SKIPPED, "Nothing needed to be changed."),
    ],
)
def test_there_was_something_to_change_where_it_failed(status, sentence):
    left = result(0, "optimize_table", status, params=ORDERS, reason="permission denied")
    assert sentence in told(left, result(1, "generate_maintenance_report"))
    late = replace(result(0, "analyze_database_health", StepStatus.SKIPPED), cause=Cause.DEFERRED)
    waits = told(late, result(1, "generate_maintenance_report"))
    assert "The health check did not run." in waits
    assert "Nothing was changed." in waits, "what the window left was not looked at"
    assert "Nothing was changed." in told(left), "the rest of the run waits for somebody, or was given up"

"""A backup at the beginning of a maintenance plan, and what waits for it."""

from __future__ import annotations

from typing import Any

from aishell.models import Plan
from tests.unit.making import maintenance, make_inventory, make_server, make_table

MB = 1 << 20
FIRST = ["backup_size", "backup", "backup_read"]


def planned(create_backup: bool = True, **facts: Any) -> Plan:
    """Of a table that is rewritten offline, and of one whose statistics are stale."""
    torn = make_table("torn", storage="MyISAM", fragmentation_percent=60.0)
    stale = make_table("stale", modified_rows=900)
    server = make_server("mysql", product="mariadb", version=(10, 11, 0), database_bytes=50 * MB)
    known: dict[str, Any] = {"guarded": frozenset({"optimize_offline_table"}), **facts}
    return maintenance(make_inventory(torn, stale, server=server, **known), "full", create_backup=create_backup)


def test_it_comes_first_and_what_can_hurt_waits_for_it():
    plan = planned()
    assert [step.id for step in plan.steps][:4] == [*FIRST, "health"]
    assert [step.index for step in plan.steps] == list(range(len(plan.steps)))
    assert [plan.step(one).needs for one in FIRST] == [(), ("backup_size",), ("backup",)]
    rewrite = plan.step("optimize_torn")
    assert rewrite.tool == "optimize_offline_table"
    assert set(FIRST) <= set(rewrite.needs)
    assert rewrite.when is not None
    assert rewrite.when.startswith("${steps.backup_read.output.valid} == True and ")
    assert plan.step("backup").params == {"expected_bytes": "${steps.backup_size.output.bytes}"}


def test_what_can_do_no_harm_goes_on_without_it():
    plan = planned()
    assert all(step.on_error == "continue" for step in plan.steps if step.id in FIRST)
    others = [step for step in plan.steps if step.id not in (*FIRST, "optimize_torn")]
    assert "statistics" in {step.id for step in others}
    assert not [step.id for step in others if set(FIRST) & set(step.needs) or "backup" in (step.when or "")]


def test_one_that_is_young_enough_counts():
    plan = planned(
        last_backup={"backup_id": "20261121T031500Z-full-1a2b3c4d-backup", "started_at": "2026-11-21T03:15:00+00:00"}
    )
    assert plan.steps[0].id == "health"
    assert not plan.step("optimize_torn").needs[1:] or "backup" not in plan.step("optimize_torn").needs
    assert "20261121T031500Z-full-1a2b3c4d-backup, begun 2026-11-21 03:15Z, is verified" in " ".join(plan.warnings)


def test_nobody_asked_for_one():
    assert planned(create_backup=False) == planned(create_backup=False, guarded=frozenset())

"""The plans of a restore in place: what comes before the exchange, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.agents.backup.restore import BackupRestoreAgent
from aishell.errors import ParameterError
from aishell.models import Plan, StepResult, StepStatus, Task
from tests.unit.backups.made import manifest
from tests.unit.making import make_inventory, make_server

WHERE = "system 7 at /var/lib/it's {here} database {} shop"
NOW = WHERE.replace("{}", "16400")
MADE = {"method": "pg_dump", "engine": "postgresql", "product": "postgresql", "server_version": "15.4", "identity": NOW}


def planned(made: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **inputs: Any) -> Plan:
    backup = manifest(**{**MADE, **(made or {})})
    known = {"identity": NOW, "superuser": True, "database_bytes": 1 << 20, **(server or {})}
    fixed = {
        "backup": backup.backup_id,
        "place": "shop_restored",
        "kept": "shop_replaced",
        "manifest": backup.summary(),
    }
    task = Task("backup_restore", "shop", {**fixed, "in_place": True, **inputs})
    agent = BackupRestoreAgent()
    agent.check_inputs(task)
    engine = backup.engine
    return agent.plan(task, make_inventory(server=make_server(engine, **known), tools=frozenset({"replace_database"})))


def test_everything_before_the_exchange_can_be_undone_by_doing_nothing():
    plan = planned()
    assert [step.id for step in plan.steps] == ["size", "safety", "validate", "restore", "replace"]
    assert [step.needs for step in plan.steps[1:]] == [(step.id,) for step in plan.steps[:-1]]
    exchange = plan.step("replace").params
    assert exchange["safety"] == "${steps.validate.output.backup_id}", "without its output the exchange does not begin"
    assert exchange["place"] == "${steps.restore.output.place}"
    assert exchange["becomes"] == NOW.replace("16400", "${steps.restore.output.identity}")
    assert (exchange["compare"], exchange["terminate"]) == (True, False)


def test_without_a_safety_backup_the_plan_says_so():
    plan = planned(without_safety_backup=True)
    assert [step.id for step in plan.steps] == ["restore", "replace"]
    assert plan.step("replace").params["safety"] is None
    assert "no safety backup is made" in " ".join(plan.warnings)


def test_a_later_database_of_the_same_name_on_the_same_server_is_the_same_place():
    plan = planned({"identity": WHERE.replace("{}", "16399")})
    assert "a later database of this name" in " ".join(plan.warnings)


@pytest.mark.parametrize(
    ("made", "server", "inputs", "said"),
    [
        ({"identity": NOW.replace("system 7", "system 8")}, {}, {}, "another database"),
        ({"identity": NOW.replace("shop", "shop2")}, {}, {}, "another database"),
        ({"identity": "other", "engine": "sqlite", "method": "sqlite"}, {}, {"place": "/x"}, "another database"),
        ({"method": "pg_basebackup"}, {}, {}, "files of a whole server"),
        ({"method": "pgbackrest"}, {}, {}, "files of a whole server"),
        ({"prints": None}, {}, {}, "without fingerprints"),
        ({}, {"superuser": False}, {}, "only a superuser"),
        ({}, {}, {"only": ["public.orders"]}, "single tables"),
        ({}, {}, {"kept": ""}, "kept"),
    ],
)
def test_what_is_refused_before_anything_is_touched(made, server, inputs, said):
    with pytest.raises(ParameterError, match=said):
        planned(made, server, **inputs)


def test_what_was_not_compared_is_told():
    plan = planned({"prints": None}, compare=False)
    assert plan.step("replace").params["compare"] is False
    assert "is not compared" in " ".join(plan.warnings)
    owned = planned(server={"superuser": False}, options={"owners": False, "jobs": 4})
    assert (owned.step("replace").params["owners"], owned.step("replace").params["jobs"]) == (False, 4)


def test_the_summary_names_what_is_kept_and_what_removes_it():
    done = {
        "database": "shop",
        "kept": "old",
        "removal": 'DROP DATABASE "old"',
        "compared": True,
        "ended": ["pid 7"],
        "notes": ["a note"],
    }
    results = [
        StepResult(2, "validate", "validate_backup", {}, StepStatus.DONE, output={"backup_id": "s"}),
        StepResult(3, "restore", "restore_backup", {}, StepStatus.DONE, output={"place": "p", "compared": True}),
        StepResult(4, "replace", "replace_database", {}, StepStatus.DONE, output=done),
    ]
    task = Task("backup_restore", "shop", {"backup": "b", "in_place": True, "manifest": {"engine": "postgresql"}})
    data, text = BackupRestoreAgent().summarise(task, results)
    assert (data["replaced"], data["kept"], data["safety_backup"], data["place"]) == (True, "old", "s", "shop")
    assert text == (
        "b replaced shop. Every object matches the backup. The previous one is kept as old; to remove it: "
        'DROP DATABASE "old". The safety backup of it is s. 1 session(s) were ended: pid 7. Note: a note. '
        "Make a full backup now: no increment goes on across this."
    )
    data, text = BackupRestoreAgent().summarise(task, results[:2])
    assert (data["replaced"], data["place"]) == (False, "p")
    assert text.startswith("Nothing was replaced. It is restored beside it: p.")

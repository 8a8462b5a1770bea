"""The plans of the backup agents: pure, from the task and what inspection found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aishell.agents.backup.agent import BackupAgent
from aishell.agents.backup.restore import BackupRestoreAgent
from aishell.agents.base import Agent
from aishell.errors import ParameterError, UnknownNameError
from aishell.models import History, Plan, StepResult, StepStatus, Task, Took
from tests.unit.backups.made import manifest
from tests.unit.making import make_inventory, make_server

MB = 1 << 20
SERVER = make_server(database_bytes=1000 * MB)
ID = manifest().backup_id


def planned(agent: Agent, inputs: dict[str, Any], **facts: Any) -> Plan:
    task = Task(agent.type, "shop", inputs)
    agent.check_inputs(task)
    return agent.plan(task, make_inventory(server=facts.pop("server", SERVER), **facts))


def backup(**inputs: Any) -> Plan:
    return planned(BackupAgent(), inputs)


def tools(plan: Plan) -> list[str]:
    return [step.tool for step in plan.steps]


def test_a_backup_is_measured_made_and_read():
    plan = backup()
    assert tools(plan) == ["calculate_backup_size", "backup_database_full", "validate_backup"]
    assert [step.needs for step in plan.steps] == [(), ("size",), ("backup",)]
    assert plan.steps[1].params == {"expected_bytes": "${steps.size.output.bytes}"}


def test_everything_in_its_order_each_needing_the_one_before():
    plan = backup(restore_test=True, copy=True, cleanup_old=True, retention={"count": 7})
    assert tools(plan)[2:] == ["validate_backup", "restore_test", "copy_backup", "cleanup_old_backups"]
    assert [step.index for step in plan.steps] == list(range(6))
    assert [step.needs for step in plan.steps[1:]] == [(step.id,) for step in plan.steps[:-1]]
    assert plan.steps[-1].params == {"retention": {"count": 7}}


def test_older_copies_are_read_again_before_anything_is_removed():
    plan = backup(copy=True, copies_days=30, cleanup_old=True, retention={"count": 7})
    assert tools(plan)[3:] == ["copy_backup", "verify_copies", "cleanup_old_backups"]
    assert plan.steps[4].params == {"days": 30, "again": True}
    assert "verify_copies" not in tools(backup(copies_days=30)), "without a second place there is none"


def test_an_increment_names_its_parent_and_no_size():
    plan = backup(backup_type="incremental", parent="20261121T031500Z-${x}", compare=False, options={"max_rate": 100})
    assert plan.steps[1].tool == "backup_database_incremental"
    assert plan.steps[1].params == {"parent": "20261121T031500Z-$${x}", "compare": False, "max_rate": 100}


def test_the_files_of_a_server_where_the_engine_has_that():
    plan = planned(BackupAgent(), {"physical": True}, tools=frozenset({"backup_cluster"}))
    assert (plan.steps[1].tool, plan.steps[1].params) == ("backup_cluster", {})
    with pytest.raises(ParameterError, match="no physical backups"):
        backup(physical=True)


REST = {"stanza": "main", "config": None, "repo": 2}


def test_a_target_with_pgbackrest_is_backed_up_by_it():
    known = frozenset({"backup_pgbackrest", "backup_cluster"})
    for inputs, kind in (({}, "full"), ({"physical": True}, "full"), ({"backup_type": "incremental"}, "incr")):
        step = planned(BackupAgent(), {"pgbackrest": REST, **inputs}, tools=known).steps[1]
        assert (step.tool, step.params) == ("backup_pgbackrest", {**REST, "type": kind})
        assert "by pgbackrest" in step.rationale
    assert (
        tools(planned(BackupAgent(), {"pgbackrest": REST, "physical": False}, tools=known))[1] == "backup_database_full"
    )
    copied = planned(BackupAgent(), {"pgbackrest": REST, "copy": True}, tools=known)
    assert "copy_backup" not in tools(copied)
    assert "second repository" in copied.warnings[-1]
    with pytest.raises(ParameterError, match="chooses itself"):
        planned(BackupAgent(), {"pgbackrest": REST, "backup_type": "incremental", "parent": "x"}, tools=known)
    with pytest.raises(ParameterError, match="not backed up by pgbackrest"):
        backup(pgbackrest=REST)


def test_its_time_is_that_of_earlier_ones_and_its_room_is_asked_when_it_begins():
    assert backup().steps[1].estimate.based_on == "engine default, 143.1 MB a second"
    known = {
        ("backup_database_full", ""): History(
            (Took(2.0, 100 * MB, "bytes"),) * 3, 0, "this tool's history on this target"
        )
    }
    step = planned(BackupAgent(), {}, history=known).steps[1]
    assert (step.estimate.seconds, step.estimate.bytes) == (20.0, None)
    assert step.estimate.based_on == "this tool's history on this target, 3 runs"
    sqlite = make_server("sqlite", database_bytes=10 * MB)
    for kind in ("full", "incremental"):
        assert planned(BackupAgent(), {"backup_type": kind}, server=sqlite).steps[1].estimate.bytes is None
    unknown = make_server(database_bytes=None)
    assert planned(BackupAgent(), {"restore_test": True}, server=unknown).steps[3].estimate.bytes is None


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"cleanup_old": True}, "needs a retention rule"),
        ({"parent": "x"}, "parent is for incremental"),
        ({"options": [1]}, "options"),
        ({"retention": {}}, "retention"),
        ({"retention": {"count": 1.5}}, "retention"),
        ({"retention": {"cuont": 1}}, "cuont"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_planned(inputs, said):
    with pytest.raises(ParameterError) as caught:
        backup(**inputs)
    assert said in caught.value.message


def test_an_unknown_input_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="backup_typ"):
        backup(backup_typ="full")


def result(step_id: str, status: StepStatus = StepStatus.DONE, **output: Any) -> StepResult:
    return StepResult(0, step_id, step_id, {}, status, output=output or None, error=None if output else "no room")


def test_the_summary_names_the_rung_that_was_reached():
    made = result("backup", backup_id="b", bytes=MB, rung="checksummed", backup_path="/b", source_bytes=2 * MB)
    data, text = BackupAgent().summarise(Task("backup", "shop"), [made, result("validate", StepStatus.FAILED)])
    assert data["rung"] == "checksummed"
    assert text == "b has 1.0 MB and is checksummed. 1 step(s) failed: validate (no room)."
    done = [
        made,
        result("validate", rung="readable"),
        result("restore_test", rung="restored-and-compared"),
        result("copy", copied=[{"backup_id": "a", "place": "/x"}, {"backup_id": "b", "place": "/x"}]),
        result("cleanup", removed=["c", "d"]),
    ]
    data, text = BackupAgent().summarise(Task("backup", "shop"), done)
    assert (data["rung"], data["removed"], data["copies"]) == ("restored-and-compared", ["c", "d"], ["/x", "/x"])
    assert text == (
        "b has 1.0 MB and is restored and compared. It was copied to /x and compared there. 2 old backup(s) were removed."
    )
    assert BackupAgent().summarise(Task("backup", "shop"), [result("size", bytes=1)])[1] == "No backup was made."
    noted = result("backup", backup_id="b", bytes=MB, rung="checksummed", warnings=["the slot keeps WAL"])
    assert BackupAgent().summarise(Task("backup", "shop"), [noted])[1].endswith("Note: the slot keeps WAL.")


POSTGRESQL = manifest(engine="postgresql", product="postgresql", server_version="15.4", database="shop").summary()

DUMP = {**POSTGRESQL, "method": "pg_dump"}


def restore(place: str = "shop_restored", made: dict[str, Any] | None = None, server=SERVER, **inputs: Any) -> Plan:
    known = {"backup": ID, "place": place, "manifest": made or POSTGRESQL, "rung": "readable"}
    return planned(BackupRestoreAgent(), {**known, **inputs}, server=server)


def test_a_restore_is_one_step_into_a_new_place():
    (step,) = restore().steps
    assert step.tool == "restore_backup"
    assert step.params == {"backup_id": ID, "place": "shop_restored", "compare": True}
    assert step.estimate.bytes == POSTGRESQL["source_bytes"]
    assert "shop_restored" in step.rationale


def test_a_restore_of_an_increment_reckons_with_all_that_it_rests_on():
    chain = {"chain_bytes": 170 * MB, "needs_bytes": 180 * MB, "rests_on": 2}
    plan = restore(made={**POSTGRESQL, **chain})
    (step,) = plan.steps
    assert step.estimate.bytes == 180 * MB
    assert (step.evidence[0].metric, step.evidence[0].value) == ("backup_bytes", 170 * MB)
    assert "180.0 MB as of" in plan.warnings[-1]


def test_only_all_of_a_backup_as_of_its_own_time_is_compared():
    assert restore(compare=False).steps[0].params["compare"] is False
    assert restore(made=DUMP, only=["public.orders"]).steps[0].params["compare"] is False
    moment = restore(until="2026-11-21T03:15:00+00:00").steps[0].params
    assert (moment["compare"], moment["until"]) == (False, "2026-11-21T03:15:00+00:00")
    assert restore(made={**POSTGRESQL, "compared": False}).steps[0].params["compare"] is False
    assert restore(options={"jobs": 4}).steps[0].params == {**restore().steps[0].params, "jobs": 4}


def test_a_path_is_on_this_host_whose_disk_the_server_does_not_tell_of():
    assert restore("/srv/data").steps[0].estimate.bytes is None


SQLITE = make_server("sqlite", version=(3, 40, 1), database="/srv/shop.db", database_bytes=MB)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"place": "shop"}, "is the database itself"),
        ({"made": manifest().summary()}, "cannot be restored into postgresql"),
        ({"made": manifest().summary(), "server": SQLITE, "place": "/srv/shop.db"}, "is the database itself"),
        ({"made": manifest().summary(), "server": SQLITE, "place": "copy.db"}, "is not a file path"),
        ({"made": manifest().summary(), "server": SQLITE, "place": "/x", "only": ["t"]}, "as a whole"),
        ({"made": manifest().summary(), "server": SQLITE, "place": "/x", "until": "2026-11-21"}, "as a whole"),
        ({"made": {**DUMP, "method": "pg_basebackup"}, "only": ["public.orders"]}, "from a pg_basebackup backup"),
        ({"made": DUMP, "only": ["public.orders", "nope"]}, "the table 'nope' has no schema"),
        ({"place": ""}, "place"),
    ],
)
def test_what_cannot_be_restored_is_refused_before_anything_is_touched(given, said):
    with pytest.raises(ParameterError) as caught:
        restore(**given)
    assert said in caught.value.message


def test_a_task_by_hand_is_told_what_it_lacks():
    with pytest.raises(ParameterError, match="needs manifest"):
        planned(BackupRestoreAgent(), {"backup": ID, "place": "x"})


def test_what_may_be_in_the_way_is_told():
    def warned(server=SERVER, **facts: Any) -> str:
        return " ".join(restore(server=server, made={**POSTGRESQL, **facts}).warnings)

    assert "newer than this server" in warned(server_version="18.1")
    assert "newer" not in warned(server_version="15.4")
    assert "made on mariadb" in warned(replace(SERVER, product="mysql"), product="mariadb")
    assert "without fingerprints" in warned(compared=False)
    assert "not verified yet" in " ".join(restore(rung="checksummed").warnings)


def test_the_summary_of_a_restore_tells_whether_it_was_compared():
    task = Task("backup_restore", "shop", {"backup": ID})
    same = result("restore", place="p", compared=True, differences=[])
    assert (
        BackupRestoreAgent().summarise(task, [same])[1] == f"{ID} was restored into p. Every object matches the backup."
    )
    alone = result("restore", place="p", compared=False, differences=[])
    assert BackupRestoreAgent().summarise(task, [alone])[1] == f"{ID} was restored into p."
    failed = BackupRestoreAgent().summarise(task, [result("restore", StepStatus.FAILED)])
    assert failed[1] == "Nothing was restored. 1 step(s) failed: restore (no room)."

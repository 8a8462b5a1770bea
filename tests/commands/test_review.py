"""`review: true`: what a stage came to waits for a person, whose answer decides what becomes of what needs it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

import pytest

from tests.commands.test_daemon import end, started
from tests.fix_aishell import Aishell
from tests.scheduled import back, rows
from tests.servers import wait_until
from tests.workflows import assert_each_stage_once, stages, targets, workflow, workflow_id, worn

RUN = ("run", "workflow", "night", "--yes")
STAGES = """
  look: {agent: maintenance, input: {maintenance_type: quick}, review: true}
  tidy: {agent: maintenance, input: {maintenance_type: "${stages.look.output.maintenance_type}"}}
"""
WAITS = {("look", "shop"): ("waiting", 3), ("tidy", "shop"): ("pending", None)}
DONE = {("look", "shop"): ("done", 0), ("tidy", "shop"): ("done", 0)}


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    targets(aishell, {"shop": f"sqlite:///{worn(aishell.site / 'shop.db', rows=400)}"})
    workflow(aishell, STAGES)
    return aishell


def waiting(site: Aishell) -> str:
    """Run the workflow; the id of the review that it waits for."""
    assert site(*RUN, "--all", "--output", "json").expect(3).json["status"] == "waiting_approval"
    assert stages(site) == WAITS
    (row,) = site("approvals", "list", "--output", "json").expect(0).json
    assert (row["level"], row["step"], row["target"]) == ("stage", "look", "shop")
    return str(row["id"])


def resume(site: Aishell, code: int) -> Any:
    return site("run", "workflow", "--resume", workflow_id(site), "--yes", "--output", "json").expect(code).json


def test_what_is_reviewed_holds_back_what_needs_it_until_it_is_approved(site: Aishell):
    review = waiting(site)
    shown = site("approvals", "show", review).expect(0).out
    assert "stage look of night on shop" in shown
    assert "maintenance_type = 'quick'" in shown
    assert resume(site, 3)["status"] == "waiting_approval"
    assert "run workflow --resume" in site("approvals", "approve", review).expect(0).out
    result = resume(site, 0)
    assert result["stages"][0]["review"]["status"] == "approved"
    assert stages(site) == DONE
    assert_each_stage_once(site)


def test_what_a_reviewer_edits_is_what_others_get_and_is_checked(site: Aishell):
    review = waiting(site)
    assert "'fulll'" in site("approvals", "edit", review, "--set", "maintenance_type=fulll").expect(2).err
    assert "'tables_processed'" in site("approvals", "edit", review, "--set", "tables_processed=1").expect(2).err
    assert "type of 'quick'" in site("approvals", "edit", review, "--set", "maintenance_type=7").expect(2).err
    site("approvals", "edit", review, "--set", "maintenance_type=standard").expect(0)
    first, then = resume(site, 0)["stages"]
    assert (first["review"]["status"], first["output_data"]["maintenance_type"]) == ("modified", "standard")
    assert then["output_data"]["maintenance_type"] == "standard"
    assert_each_stage_once(site)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (("approve",), "success"),
        (("edit", "--set", "maintenance_type=standard"), "success"),
        (("reject", "--reason", "no"), "rejected"),
    ],
    ids=["approve", "edit", "reject"],
)
def test_a_daemons_stage_is_reviewed_through_its_socket(site: Aishell, answer: tuple[str, ...], outcome: str):
    lines = "{night: {cron: '30 2 * * *', workflow: night, targets: [shop], missed: once, approve_up_to: medium}}"
    site.configure("schedules.yaml", f"schedules: {lines}\n")
    back(site, "night", days=1)
    daemon = started(site)
    where = ("--socket", str(site.state.parent / "daemon.sock"))
    wait_until(lambda: site("approvals", "list", *where, "--output", "json").expect(0).json, "the stage waits")
    (one,) = site("approvals", "list", *where, "--output", "json").expect(0).json
    shown = site("approvals", "show", one["id"], *where).expect(0).out
    assert "stage look of night on shop" in shown
    verb, *words = answer
    assert "the daemon continues" in site("approvals", verb, one["id"], *words, *where).expect(0).out
    wait_until(lambda: [row.outcome for row in rows(site, "night")] == [outcome], "the night is over")
    end(daemon)
    ran = "standard" if verb == "edit" else "quick"
    then = [row[0] for row in site.rows("SELECT result FROM runs ORDER BY created_at")][1:]
    assert [json.loads(row)["output_data"]["maintenance_type"] for row in then] == ([] if verb == "reject" else [ran])
    site("audit", "verify").expect(0)


def test_a_rejection_ends_it_there_whatever_on_failure_says(site: Aishell):
    workflow(site, STAGES.replace("review: true", "review: true, on_failure: continue"))
    site("approvals", "reject", waiting(site), "--reason", "not tonight").expect(0)
    result = resume(site, 5)
    assert (result["status"], result["exit_code"]) == ("rejected", 5)
    first, then = result["stages"]
    assert first["reason"].endswith(": not tonight")
    assert (then["status"], then["reason"]) == ("skipped", "needs look, which was rejected")
    ((told,),) = site.rows("SELECT json_extract(data, '$.status') FROM events WHERE type = 'review_decided'")
    assert told == "rejected"
    site("audit", "verify").expect(0)


def changed(site: Aishell, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute(sql)
        state.commit()


def test_an_answer_that_is_written_into_the_store_is_not_obeyed(site: Aishell):
    waiting(site)
    changed(site, "UPDATE approvals SET status = 'approved', decided_by = 'root'")
    said = site("run", "workflow", "--resume", workflow_id(site)).expect(2)
    assert "the audit log has no such answer" in said.err
    assert stages(site) == WAITS


def test_nobody_answering_in_time_is_a_rejection(site: Aishell):
    site.configure("policy.yaml", "approval_hours: 0.0001\n")
    assert site(*RUN, "--all").code == 3
    waited = site("run", "workflow", "--resume", workflow_id(site))
    while waited.code == 3:
        waited = site("run", "workflow", "--resume", workflow_id(site))
    assert waited.code == 5
    (told,) = site.events("approval_decided")
    assert (told["status"], told["by"]) == ("expired", "nobody"), "as that of a step is"
    ((reason,),) = site.rows("SELECT reason FROM workflow_stages WHERE status = 'failed'")
    assert reason.startswith("expired: nobody had answered until ")


def test_a_scheduled_workflow_goes_on_when_its_review_was_answered(site: Aishell):
    schedule = "{cron: '30 2 * * *', workflow: night, targets: [shop], missed: once, approve_up_to: medium}"
    site.configure("schedules.yaml", f"schedules:\n  nightly: {schedule}\n")
    back(site, "nightly", 1)
    site("schedule", "run-due").expect(3)
    assert stages(site) == WAITS
    for _ in range(2):  # nothing to do until there is an answer
        site("schedule", "run-due")
    assert site.rows("SELECT status, attempts FROM schedule_runs WHERE status <> 'missed'") == [("waiting", 1)]
    (row,) = site("approvals", "list", "--output", "json").expect(0).json
    assert "the next `schedule run-due`, continues" in site("approvals", "approve", row["id"]).expect(0).out
    site("schedule", "run-due").expect(0)
    assert stages(site) == DONE
    assert_each_stage_once(site)

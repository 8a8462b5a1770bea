"""`aishell runs`, `approvals` and `audit`: what ran, what waits, and answering it from another shell."""

from __future__ import annotations

import contextlib
import json
import shlex
import sqlite3

import pytest

from aishell.state.locks import FileLock


@pytest.fixture
def waiting(aishell, bloated_sqlite):
    """A run that waits for an approval: its id and the approval's. Its target is `shop`, a production database."""
    db = bloated_sqlite.make()
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {db.url!r}, environment: production}}}}")
    run_id = aishell("run", "maintenance", "--type", "full", "--target", "shop", "--output", "json").expect(3).run_id
    (asked,) = aishell("approvals", "list", "--output", "json").expect(0).json
    return run_id, asked["id"]


def state(aishell, run_id):
    return aishell("runs", "show", run_id, "--output", "json").expect(0).json["state"]


def test_lists_and_shows(aishell, waiting):
    run_id, approval = waiting
    (row,) = aishell("runs", "list", "--state", "waiting_approval", "--output", "json").expect(0).json
    assert row["run_id"] == run_id
    assert row["target"] == "shop"
    assert aishell("runs", "list", "--state", "completed").expect(0).out == "no runs yet\n"
    said = aishell("runs", "show", run_id[:6]).expect(0).out
    assert f"runs resume {run_id[:8]}" in said
    assert approval in said
    names = [row["name"] for row in aishell("runs", "checkpoints", run_id[:6], "--output", "json").expect(0).json]
    assert names[0] == "plan_created"
    events = aishell("runs", "events", run_id[:6], "--output", "json").expect(0).json
    assert "approval_requested" in {event["type"] for event in events}
    assert "did you mean" in aishell("runs", "show", "0" + run_id[:7]).expect(2).err or run_id.startswith("0")


def test_an_approval_shows_exactly_what_would_run(aishell, waiting):
    _, approval = waiting
    shown = aishell("approvals", "show", approval[:6], "--output", "json").expect(0).json
    assert [sent["sql"] for sent in shown["statements"]] == ['VACUUM "main"']
    said = aishell("approvals", "show", approval).expect(0).out
    assert 'VACUUM "main"' in said
    assert "production" in said
    assert "\ncannot be undone\n" in said


def test_approved_elsewhere_it_runs(aishell, waiting):
    run_id, approval = waiting
    said = aishell("approvals", "approve", approval, "--reason", "window agreed").expect(0)
    assert f"runs resume {run_id[:8]}" in said.out
    done = aishell.resume(run_id).expect(0)
    assert set(done.statuses().values()) == {"done"}
    (decided,) = (event for event in aishell.events("approval_decided") if event.get("reason") == "window agreed")
    assert decided["status"] == "approved"
    assert aishell("approvals", "list").expect(0).out == "nothing is pending\n"
    assert "can no longer be decided" in aishell("approvals", "approve", approval).expect(2).err


#: Each key of policy.yaml with another value than it had, and what becomes of the run: 0: the approval still counts; else it is
#: void, and the step waits again (3) or is refused (5).
CHANGED_POLICIES = {
    "prompt_seconds: 7": 0,
    "approval_hours: 7": 0,
    "# a comment alone": 0,
    "preapprove_max_risk: low": 3,
    "matrix: {permissive: {high: review}}": 3,
    "rules: [{tool: salvage_table, decision: confirm}]": 3,
    "constraints: [{type: max_replica_lag, max_seconds: 5}]": 3,
    "mode: unattended": 5,
}


@pytest.mark.parametrize("text", CHANGED_POLICIES)
def test_an_approval_survives_a_change_of_the_policys_times_and_of_nothing_that_decides(aishell, waiting, text):
    run_id, approval = waiting
    aishell("approvals", "approve", approval).expect(0)
    aishell.configure("policy.yaml", f"{text}\n")
    done = aishell.resume(run_id).expect(CHANGED_POLICIES[text])
    assert ("is void" in done.err) == (CHANGED_POLICIES[text] != 0)
    assert (done.statuses().get("optimize") == "done") == (CHANGED_POLICIES[text] == 0)


def test_rejected_it_does_not(aishell, waiting):
    run_id, approval = waiting
    aishell("approvals", "reject", approval).expect(2)  # not without a reason
    aishell("approvals", "reject", approval, "--reason", "not before the release").expect(0)
    done = aishell.resume(run_id).expect(5)
    assert done.statuses()["optimize"] == "rejected"
    assert "not before the release" in done.out


def test_a_review_needs_the_targets_name(aishell, bloated_sqlite):
    db = bloated_sqlite.make()
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {db.url!r}, environment: test}}}}")
    aishell.configure("policy.yaml", "rules: [{tool: optimize_table, decision: review}]")
    aishell("run", "maintenance", "--type", "full", "--target", "shop", "--yes").expect(3)
    (asked,) = aishell("approvals", "list", "--output", "json").expect(0).json
    assert asked["level"] == "review"
    assert "--confirm-target shop" in aishell("approvals", "approve", asked["id"]).expect(2).err
    aishell("approvals", "approve", asked["id"], "--confirm-target", "shp").expect(5)
    assert aishell("approvals", "list", "--output", "json").json == [asked]
    aishell("approvals", "approve", asked["id"], "--confirm-target", "shop").expect(0)


@pytest.mark.parametrize("level", ["confirm", "review"])
def test_what_a_waiting_run_tells_can_be_pasted(aishell, bloated_sqlite, level):
    db = bloated_sqlite.make()
    aishell.configure("targets.yaml", f"targets: {{'the shop': {{url: {db.url!r}, environment: production}}}}")
    aishell.configure("policy.yaml", f"rules: [{{tool: optimize_table, decision: {level}}}]")
    said = aishell("run", "maintenance", "--type", "full", "--target", "the shop").expect(3)
    (told,) = (line for line in said.out.splitlines() if line.startswith("waiting: "))
    show, approve, resume = told.rpartition("(")[2].rstrip(")").split("; ")
    (asked,) = aishell("approvals", "list", "--output", "json").expect(0).json
    if level == "review":
        again = aishell("approvals", "approve", asked["id"]).expect(2).err.rpartition("→ ")[2].strip()
        assert again == approve
    for line in (show, approve, resume):
        name, *words = shlex.split(line)
        assert name == "aishell"
        aishell(*words).expect(0)
    assert state(aishell, aishell.only_run()) == "completed"


@pytest.mark.parametrize(("what", "then"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_run_that_nobody_drives_is_stopped_at_once(aishell, waiting, what, then):
    run_id, _ = waiting
    assert then in aishell("runs", what, run_id[:8]).expect(0).out
    assert state(aishell, run_id) == then
    assert aishell.resume(run_id, "--yes").code == (2 if what == "cancel" else 0)


def test_a_run_that_is_driven_is_asked(aishell, waiting):
    run_id, _ = waiting
    lock = FileLock(aishell.state.parent / ".aishell-locks" / f"run-{run_id}.lock", run_id)
    try:
        assert "requested: the process" in aishell("runs", "cancel", run_id).expect(0).out
        assert state(aishell, run_id) == "waiting_approval"
        assert aishell.rows("SELECT cancel_requested FROM runs") == [(1,)]
    finally:
        lock.release()


def test_a_finished_run_cannot_be_stopped(aishell, sqlite):
    aishell("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test").expect(0)
    assert "nothing to cancel" in aishell("runs", "cancel", aishell.only_run()).expect(2).err


def test_prune_keeps_what_waits_and_every_event(aishell, waiting, sqlite):
    run_id, _ = waiting
    for _ in range(2):
        aishell("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test").expect(0)
    events = aishell.rows("SELECT count(*) FROM events")[0][0]
    assert aishell("runs", "prune", "--keep", "0").expect(0).out.startswith("0 run(s)")  # all younger than 30 days
    assert aishell("runs", "prune", "--keep", "1", "--older-than", "0").expect(0).out.startswith("1 run(s)")
    assert aishell("runs", "prune", "--keep", "0", "--older-than", "0").expect(0).out.startswith("1 run(s)")
    assert aishell.only_run() == run_id
    assert aishell.rows("SELECT count(*) FROM events")[0][0] >= events
    aishell("audit", "verify").expect(0)


def test_the_audit_log_is_checked_against_a_printed_head(aishell, waiting):
    good = aishell("audit", "verify", "--output", "json").expect(0).json
    assert good["problems"] == []
    aishell("audit", "verify", "--head", good["head"][:16]).expect(0)
    aishell("audit", "verify", "--head", "0" * 16).expect(1)
    lines = aishell("audit", "export", "--run", waiting[0][:8]).expect(0).out.splitlines()
    assert len(lines) == good["events"]
    assert json.loads(lines[-1])["hash"] == good["head"]
    with contextlib.closing(sqlite3.connect(aishell.state)) as connection:
        connection.execute("UPDATE events SET data = replace(data, 'shop', 'shpo') || ' ' WHERE id = 3")
        connection.commit()
    broken = aishell("audit", "verify").expect(1)
    assert "event 3: it was changed after it was written" in broken.out


def test_an_empty_store_lists_nothing(aishell):
    assert aishell("runs", "list").expect(0).out == "no runs yet\n"
    assert aishell("approvals", "list").expect(0).out == "nothing is pending\n"

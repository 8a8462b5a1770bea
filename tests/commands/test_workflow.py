"""`aishell run workflow` as its users run it: several targets, one result, and a failure that stays where it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from aishell.execution.locking import target_file
from aishell.state.locks import FileLock
from tests.fix_aishell import Aishell
from tests.servers import wait_until
from tests.workflows import TWO, assert_each_stage_once, held, stages, targets, until, workflow, workflow_id, worn

RUN = ("run", "workflow", "night", "--yes")


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    """A site of two databases and a workflow of two stages."""
    targets(aishell, {name: f"sqlite:///{worn(aishell.site / f'{name}.db')}" for name in ("shop", "crm")})
    workflow(aishell, TWO)
    return aishell


def no_backups_of(site: Aishell, target: str) -> Path:
    """Make each backup of a target fail: a file stands where its folder is to be."""
    path = site.site / "backups" / target
    path.parent.mkdir()
    path.write_text("in the way")
    return path


def test_each_stage_on_each_target_is_a_run_and_one_result_tells_of_all(site: Aishell):
    result = site(*RUN, "--all", "--output", "json").expect(0).json
    assert (result["status"], result["exit_code"], result["workflow"], result["dry_run"]) == (
        "success",
        0,
        "night",
        False,
    )
    places = [(one["stage"], one["target"], one["status"], one["attempts"]) for one in result["stages"]]
    assert places == [(stage, target, "done", 1) for stage in ("backup", "tidy") for target in ("shop", "crm")]
    assert all(one["output_data"]["actions_count"] for one in result["stages"])
    made = site.rows("SELECT id, agent, parent_id, json_extract(plan, '$.task.metadata') FROM runs")
    assert {(name, agent) for name, agent, _, _ in made} == {(one["run_id"], one["agent"]) for one in result["stages"]}
    assert {parent for _, _, parent, _ in made} == {result["workflow_id"]}
    assert {json.loads(told)["workflow"] for *_, told in made} == {"night"}
    for target in ("shop", "crm"):  # the backup had ended before the other began
        spans = {one["stage"]: one for one in result["stages"] if one["target"] == target}
        assert spans["backup"]["ended_at"] <= spans["tidy"]["started_at"]
    assert site("workflows", "show", result["workflow_id"][:8], "--output", "json").expect(0).json == result
    (told,) = site("workflows", "history", "--output", "json").expect(0).json
    assert (told["workflow"], told["status"]) == ("night", "success")
    assert_each_stage_once(site)
    assert "nothing to resume" in site("run", "workflow", "--resume", result["workflow_id"]).expect(2).err


def test_a_failing_backup_stops_its_dependants_on_that_target_only(site: Aishell):
    in_the_way = no_backups_of(site, "crm")
    before = (site.site / "crm.db").read_bytes()
    ended = site(*RUN, "--label", "night").expect(1)
    assert stages(site) == {
        ("backup", "shop"): ("done", 0),
        ("backup", "crm"): ("failed", 1),
        ("tidy", "shop"): ("done", 0),
        ("tidy", "crm"): ("skipped", None),
    }
    assert "needs backup, which failed (exit 1)" in ended.out
    assert "partial  workflow night" in ended.out
    assert (site.site / "crm.db").read_bytes() == before
    in_the_way.unlink()
    hint = ended.out.splitlines()[-1].partition("aishell ")[2].split()
    result = site(*hint[hint.index("run") :], "--output", "json").expect(0).json
    assert {one["status"] for one in result["stages"]} == {"done"}
    assert len(site.rows("SELECT id FROM runs WHERE target = 'shop'")) == 2, "what was done is not done again"
    site("audit", "verify").expect(0)


def test_a_failure_that_is_to_hold_nothing_back_does_not(site: Aishell):
    workflow(site, TWO.replace("{agent: backup}", "{agent: backup, on_failure: continue}"))
    no_backups_of(site, "crm")
    site(*RUN, "--target", "crm").expect(1)
    assert stages(site) == {("backup", "crm"): ("failed", 1), ("tidy", "crm"): ("done", 0)}


def test_outputs_are_passed_on_and_conditions_look_at_them(site: Aishell):
    workflow(
        site,
        """
  backup: {agent: backup, output: copy}
  large: {agent: maintenance, when: "${stages.copy.output.backup_bytes} > 1000000000"}
  after: {agent: maintenance, needs: [large], input: {maintenance_type: quick}}
  same: {agent: maintenance, input: {maintenance_type: "${stages.after.output.maintenance_type}"}}
  elsewhere: {agent: maintenance, when: "${target.engine} == 'postgresql'"}
  missing: {agent: maintenance, input: {maintenance_type: "${stages.copy.output.no_such_field}"}}
""",
    )
    result = site(*RUN, "--target", "shop", "--output", "json").expect(1).json
    found = {one["stage"]: one for one in result["stages"]}
    assert {name: one["status"] for name, one in found.items()} == {
        "backup": "done", "large": "skipped", "after": "done", "same": "done", "elsewhere": "skipped", "missing": "failed",
    }  # fmt: skip
    assert found["large"]["reason"].startswith("only if backup_bytes of copy > 1000000000, and it is ")
    assert found["same"]["output_data"]["maintenance_type"] == "quick"
    assert "${stages.copy.output.no_such_field} has no value" in found["missing"]["reason"]


def test_a_dry_run_shows_the_whole_workflow_and_writes_nothing(site: Aishell):
    workflow(
        site,
        TWO + "  again: {agent: maintenance, input: {maintenance_type: '${stages.tidy.output.maintenance_type}'}}\n",
    )
    before = {path: path.read_bytes() for path in site.site.rglob("*.db")}
    result = site(*RUN, "--all", "--dry-run", "--output", "json").expect(0).json
    assert (result["status"], result["dry_run"]) == ("preview", True)
    assert [(one["stage"], one["target"]) for one in result["stages"]] == [
        (stage, target) for stage in ("backup", "tidy", "again") for target in ("shop", "crm")
    ]
    tools = {step["tool"] for one in result["stages"] if one["plan"] for step in one["plan"]["steps"]}
    assert {"backup_database_full", "optimize_table"} <= tools
    assert [one["reason"] for one in result["stages"] if one["plan"] is None] == [
        "not known before the stage tidy has run: maintenance_type of tidy"
    ] * 2
    text = site(*RUN, "--dry-run", "--target", "shop").expect(0).out
    assert "tidy on shop  after backup" in text
    assert 'VACUUM "main"' in text
    assert {path: path.read_bytes() for path in site.site.rglob("*.db")} == before
    assert not site.state.exists()


def test_a_target_in_use_is_tried_again_so_often(site: Aishell):
    workflow(site, TWO.replace("{agent: backup}", "{agent: backup, retries: 8}"))
    busy = FileLock(target_file(site.state.parent, "", site.site / "shop.db"), "another run")
    running = site.start(*RUN, "--target", "shop")
    until(site, running, "backup", "shop", "failed")
    busy.release()
    running.wait().expect(0)
    ((attempts,),) = site.rows("SELECT attempts FROM workflow_stages WHERE stage = 'backup'")
    assert attempts > 1
    assert_each_stage_once(site)


def test_what_takes_too_long_is_interrupted_and_fails(site: Aishell):
    workflow(site, "\n  tidy: {agent: maintenance, timeout: 2s, input: {maintenance_type: full}}\n")
    with held(site.site / "shop.db"):
        ended = site(*RUN, "--target", "shop").expect(1)
    assert "it took longer than 2 s" in ended.out


def test_what_asks_waits_and_goes_on_when_it_was_answered(site: Aishell):
    names = ("shop", "crm")
    targets(site, {name: f"sqlite:///{site.site / f'{name}.db'}" for name in names}, environment="production")
    waiting = site("run", "workflow", "night", "--all", "--output", "json").expect(3).json
    assert waiting["status"] == "waiting_approval"
    assert {one["status"] for one in waiting["stages"] if one["stage"] == "tidy"} == {"waiting"}
    for (name,) in site.rows("SELECT id FROM approvals"):
        site("approvals", "approve", name).expect(0)
    site("run", "workflow", "--resume", waiting["workflow_id"]).expect(0)
    assert set(stages(site).values()) == {("done", 0)}
    assert_each_stage_once(site)


def test_an_interrupt_is_passed_on_and_the_workflow_goes_on_where_it_was(site: Aishell):
    with held(site.site / "shop.db"):
        running = site.start(*RUN, "--all")
        until(site, running, "backup", "shop", "running")
        until(site, running, "tidy", "crm", "done")
        running.signal()
        assert "cancelled" in running.wait().expect(130).out
    assert stages(site)["tidy", "shop"] == ("pending", None)
    site("run", "workflow", "--resume", workflow_id(site)[:6], "--yes").expect(0)
    assert set(stages(site).values()) == {("done", 0)}
    assert_each_stage_once(site)


def test_when_the_window_closes_what_is_left_is_deferred(site: Aishell):
    ended = site(*RUN, "--all", "--max-duration", "0").expect(4)
    assert "deferred: the window has closed" in ended.out
    assert set(stages(site).values()) == {("skipped", None)}
    assert site.rows("SELECT id FROM runs") == []
    site("run", "workflow", "--resume", workflow_id(site)).expect(0)
    assert set(stages(site).values()) == {("done", 0)}


def test_a_target_that_cannot_be_reached_keeps_no_other_from_its_turn(site: Aishell):
    targets(site, {"shop": f"sqlite:///{site.site / 'shop.db'}", "gone": "sqlite:////nowhere/gone.db"})
    site(*RUN, "--all").expect(2)
    assert stages(site)["backup", "gone"] == ("failed", 2)
    assert stages(site)["tidy", "shop"] == ("done", 0)


def test_stages_with_targets_of_their_own_run_there(site: Aishell):
    workflow(site, TWO.replace("{agent: backup}", "{agent: backup, targets: [crm]}"))
    assert "no target is named for the stage 'tidy'" in site(*RUN).expect(2).err
    site.configure("aishell.yaml", "default_target: shop\n")
    site(*RUN).expect(0)
    assert set(stages(site)) == {("backup", "crm"), ("tidy", "shop")}
    condition = "when: '${stages.backup.output.backup_bytes} > 0'"
    workflow(site, TWO.replace("backup}", "backup, targets: [crm]}").replace("needs: [backup]", condition))
    assert "does not run on shop" in site(*RUN, "--all").expect(2).err


def test_limits_of_the_file_hold_while_it_runs(site: Aishell):
    names = [f"shop{number}" for number in range(5)]
    targets(site, {name: f"sqlite:///{worn(site.site / f'{name}.db', rows=20)}" for name in names})
    workflow(site, "\n  quick: {agent: maintenance, input: {maintenance_type: quick}}\n", "max_concurrent_per_host: 2")
    site(*RUN, "--all").expect(0)
    spans = site.rows("SELECT started_at, ended_at FROM workflow_stages")
    assert max(sum(begin < at <= end for begin, end in spans) for at, _ in spans) <= 2


def test_what_is_wrong_is_told_before_anything_is_run(site: Aishell):
    cases: dict[tuple[str, ...], str] = {
        ("nigth",): "did you mean 'night",
        ("night", "--target", "shpo"): "did you mean 'shop'",
        ("night", "--label", "nihgt"): "did you mean 'night'",
        ("night", "--all", "--target", "shop"): "exclude each other",
        (): "--resume ID",
        ("night", "--resume", "1"): "--resume ID",
        ("--resume", "1", "--all"): "leave --dry-run",
    }
    for words, hint in cases.items():
        assert hint in site("run", "workflow", *words).expect(2).err
    path = workflow(site, TWO + "    needs: [bakcup]\n")
    for command in (RUN, ("workflows", "list"), ("doctor",)):
        ended = site(*command)
        assert f"{path}:" in ended.err + ended.out, command
        assert ended.code in (1, 2)
    assert not site.state.exists() or site.rows("SELECT id FROM workflow_runs") == []
    assert "'workflow'" in site("plan", "workflow", "night").expect(2).err


def test_what_was_changed_in_the_store_since_it_began_is_not_run(site: Aishell):
    no_backups_of(site, "shop")
    site(*RUN, "--target", "shop").expect(1)
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute("UPDATE workflow_runs SET definition = replace(definition, 'full', 'quick')")
        state.commit()
    assert "was changed after it began" in site("run", "workflow", "--resume", workflow_id(site)).expect(1).err
    assert stages(site)["tidy", "shop"] == ("skipped", None)


def test_another_process_that_drives_it_is_not_disturbed(site: Aishell):
    with held(site.site / "shop.db"):
        running = site.start(*RUN, "--target", "shop")
        until(site, running, "backup", "shop", "running")
        site("run", "workflow", "--resume", workflow_id(site)).expect(6)
    running.wait().expect(0)
    assert_each_stage_once(site)


def test_a_stage_whose_process_is_killed_fails_and_goes_on_as_the_same_run(site: Aishell):
    workflow(site, TWO.replace("{agent: backup}", "{agent: backup, retries: 1}"))
    with held(site.site / "shop.db"):
        running = site.start(*RUN, "--target", "shop")
        until(site, running, "backup", "shop", "running")
        ((pid,),) = site.rows("SELECT pid FROM workflow_stages WHERE stage = 'backup'")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: site.rows("SELECT 1 FROM workflow_stages WHERE attempts = 2") != [], "the second attempt")
    running.wait().expect(0)
    assert "its process was killed (signal 9)" in running.err.read_text()
    assert_each_stage_once(site)

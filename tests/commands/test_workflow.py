"""`aishell run workflow` as its users run it: several targets, one result, and a failure that stays where it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

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


def test_a_failing_backup_stops_its_dependants_on_that_target_only(site: Aishell):
    in_the_way = no_backups_of(site, "crm")
    before = (site.site / "crm.db").read_bytes()
    result = site(*RUN, "--label", "night", "--output", "json").expect(1).json
    assert (result["status"], result["exit_code"], result["workflow"], result["dry_run"]) == (
        "partial",
        1,
        "night",
        False,
    )
    assert [(one["stage"], one["target"], one["status"], one["attempts"]) for one in result["stages"]] == [
        ("backup", "shop", "done", 1),
        ("backup", "crm", "failed", 1),
        ("tidy", "shop", "done", 1),
        ("tidy", "crm", "skipped", 0),
    ]
    first, _, then, left = result["stages"]
    assert left["reason"] == "needs backup, which failed (exit 1)"
    assert first["ended_at"] <= then["started_at"]
    assert first["output_data"]["backup_bytes"] > 0
    assert (site.site / "crm.db").read_bytes() == before
    in_the_way.unlink()
    ended = site("run", "workflow", "--resume", result["workflow_id"][:8]).expect(0)
    assert "success  workflow night" in ended.out
    assert set(stages(site).values()) == {("done", 0)}
    assert_each_stage_once(site)


def name_of(result: dict[str, Any]) -> str:
    return str(result["workflow_id"][:8])


def test_each_stage_is_a_run_of_its_own_that_names_what_it_is_a_part_of(site: Aishell):
    workflow(site, "\n  tidy: {agent: maintenance, input: {maintenance_type: quick}}\n")
    result = site(*RUN, "--target", "shop", "--output", "json").expect(0).json
    ((name, agent, parent, told),) = site.rows(
        "SELECT id, agent, parent_id, json_extract(plan, '$.task.metadata') FROM runs"
    )
    assert (name, agent, parent) == (result["stages"][0]["run_id"], "maintenance", result["workflow_id"])
    assert json.loads(told) == {"workflow": "night", "stage": "tidy"}
    assert site("workflows", "show", name_of(result), "--output", "json").expect(0).json == result
    (row,) = site("workflows", "history", "--output", "json").expect(0).json
    assert (row["workflow"], row["status"]) == ("night", "success")
    assert "nothing to resume" in site("run", "workflow", "--resume", name_of(result)).expect(2).err


def test_outputs_are_passed_on_and_conditions_look_at_them(site: Aishell):
    workflow(
        site,
        """
  quick: {agent: maintenance, output: first, input: {maintenance_type: quick}}
  large: {agent: backup, when: "${stages.first.output.tables_processed} > 1000"}
  same: {agent: maintenance, needs: [large], input: {maintenance_type: "${stages.first.output.maintenance_type}"}}
  elsewhere: {agent: backup, when: "${target.engine} == 'postgresql'"}
  missing: {agent: maintenance, input: {maintenance_type: "${stages.first.output.no_such_field}"}}
""",
    )
    result = site(*RUN, "--target", "shop", "--output", "json").expect(1).json
    found = {one["stage"]: one for one in result["stages"]}
    assert {name: one["status"] for name, one in found.items()} == {
        "quick": "done", "large": "skipped", "same": "done", "elsewhere": "skipped", "missing": "failed",
    }  # fmt: skip
    assert found["large"]["reason"].startswith("only if tables_processed of first > 1000, and it is ")
    assert found["same"]["output_data"]["maintenance_type"] == "quick"
    assert "${stages.first.output.no_such_field} has no value" in found["missing"]["reason"]


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


def test_what_takes_too_long_is_interrupted_and_fails(site: Aishell):
    workflow(site, "\n  tidy: {agent: maintenance, timeout: 2s, input: {maintenance_type: full}}\n")
    with held(site.site / "shop.db"):
        ended = site(*RUN, "--target", "shop").expect(1)
    assert "it took longer than 2 s" in ended.out


def test_what_asks_waits_and_goes_on_when_it_was_answered(site: Aishell):
    targets(site, {"shop": f"sqlite:///{site.site / 'shop.db'}"}, environment="production")
    waiting = site("run", "workflow", "night", "--all", "--output", "json").expect(3).json
    assert waiting["status"] == "waiting_approval"
    assert stages(site) == {("backup", "shop"): ("done", 0), ("tidy", "shop"): ("waiting", 3)}
    for (name,) in site.rows("SELECT id FROM approvals"):
        site("approvals", "approve", name).expect(0)
    site("run", "workflow", "--resume", waiting["workflow_id"]).expect(0)
    assert set(stages(site).values()) == {("done", 0)}
    assert_each_stage_once(site)


def test_an_interrupt_is_passed_on_and_the_workflow_goes_on_where_it_was(site: Aishell):
    """Nobody else drives it meanwhile."""
    with held(site.site / "shop.db"):
        running = site.start(*RUN, "--target", "shop")
        until(site, running, "backup", "shop", "running")
        site("run", "workflow", "--resume", workflow_id(site)).expect(6)
        running.signal()
        assert "cancelled" in running.wait().expect(130).out
    assert stages(site)["tidy", "shop"] == ("pending", None)
    with contextlib.closing(sqlite3.connect(site.state)) as state, state:
        state.execute("UPDATE workflow_runs SET status = 'running'")  # as a kill leaves it
    assert site("workflows", "show", workflow_id(site), "--output", "json").expect(0).json["status"] == "interrupted"
    digest = site("digest").expect(0).out
    assert ": interrupted, on 1 target(s)" in digest
    assert f"run workflow --resume {workflow_id(site)[:8]}" in digest
    site("run", "workflow", "--resume", workflow_id(site)[:6], "--yes").expect(0)
    assert set(stages(site).values()) == {("done", 0)}
    assert_each_stage_once(site)


def test_when_the_window_closes_what_is_left_is_deferred(site: Aishell):
    ended = site(*RUN, "--target", "shop", "--max-duration", "0").expect(4)
    assert "deferred: the window has closed" in ended.out
    assert set(stages(site).values()) == {("skipped", None)}
    assert site.rows("SELECT id FROM runs") == []
    site("run", "workflow", "--resume", workflow_id(site)).expect(0)
    assert set(stages(site).values()) == {("done", 0)}


def test_stages_with_targets_of_their_own_run_there(site: Aishell):
    def placed(*words: str) -> list[tuple[str, str]]:
        result = site(*RUN, "--dry-run", "--output", "json", *words).expect(0).json
        return [(one["stage"], one["target"]) for one in result["stages"]]

    only_crm = TWO.replace("{agent: backup}", "{agent: backup, targets: [crm]}")
    workflow(site, only_crm)
    assert "no target is named for the stage 'tidy'" in site(*RUN).expect(2).err
    assert placed("--all") == [("backup", "crm"), ("tidy", "shop"), ("tidy", "crm")]
    assert placed("--target", "shop", "--target", "shop") == [("tidy", "shop")]
    site.configure("aishell.yaml", "default_target: shop\n")
    assert placed() == [("backup", "crm"), ("tidy", "shop")]
    workflow(site, only_crm.replace("needs: [backup]", "when: '${stages.backup.output.backup_bytes} > 0'"))
    assert "does not run on shop" in site(*RUN, "--all").expect(2).err


def test_limits_of_the_file_hold_and_a_target_that_is_gone_keeps_no_other_from_its_turn(site: Aishell):
    paths = {"shop": site.site / "shop.db", "gone": Path("/nowhere/gone.db"), "crm": site.site / "crm.db"}
    targets(site, {name: f"sqlite:///{path}" for name, path in paths.items()})
    workflow(site, "\n  quick: {agent: maintenance, input: {maintenance_type: quick}}\n", "max_concurrent_per_host: 1")
    site(*RUN, "--all").expect(2)
    assert {target: code for (_, target), (_, code) in stages(site).items()} == {"shop": 0, "gone": 2, "crm": 0}
    spans = site.rows("SELECT started_at, ended_at FROM workflow_stages")
    assert not any(begin < at < end for begin, end in spans for at, _ in spans), "one after the other"


def test_a_run_that_could_not_begin_is_told_by_its_id(site: Aishell):
    """The id stands in tables and messages: it was chosen before there was a run."""
    targets(site, {"gone": f"sqlite:///{site.site}/gone.db"})
    result = site(*RUN, "--label", "night", "--output", "json").expect(2).json
    ended = site("runs", "show", result["stages"][0]["run_id"][:8]).expect(2)
    assert "it did not begin: there is no SQLite database at" in ended.err


def test_what_is_wrong_is_told_before_anything_is_run(site: Aishell):
    cases: dict[tuple[str, ...], str] = {
        ("nigth",): "did you mean 'night",
        ("night", "--target", "shpo"): "did you mean 'shop'",
        ("night", "--label", "nihgt"): "did you mean 'night'",
        ("night", "--target", "mysql://u:secret@h/d"): "config/targets.yaml",
        ("night", "--all", "--target", "shop"): "exclude each other",
        (): "--resume ID",
        ("night", "--resume", "1"): "--resume ID",
        ("--resume", "1", "--all"): "leave out --dry-run",
    }
    for words, hint in cases.items():
        told = site("run", "workflow", *words).expect(2).err
        assert hint in told
        assert "secret" not in told
    path = workflow(site, TWO + "    needs: [bakcup]\n")
    for command in (RUN, ("workflows", "list"), ("doctor",)):
        ended = site(*command)
        assert f"{path}:" in ended.err + ended.out, command
        assert ended.code in (1, 2)
    workflow(site, TWO)
    path = site.configure("notifications.yaml", "rules:\n  - {name: night, event: run_fialed, to: [mail]}\n")
    assert f"{path}:2" in site(*RUN, "--all").expect(2).err
    assert not site.state.exists() or site.rows("SELECT id FROM workflow_runs") == []
    assert "'workflow'" in site("plan", "workflow", "night").expect(2).err


def test_what_was_changed_in_the_store_since_it_began_is_not_run(site: Aishell):
    site(*RUN, "--target", "shop", "--max-duration", "0").expect(4)
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute("UPDATE workflow_runs SET definition = replace(definition, 'full', 'quick')")
        state.commit()
    assert "was changed after it began" in site("run", "workflow", "--resume", workflow_id(site)).expect(1).err
    assert stages(site)["tidy", "shop"] == ("skipped", None)


def test_a_stage_whose_process_is_killed_is_tried_again_as_the_same_run(site: Aishell):
    workflow(site, "\n  backup: {agent: backup, retries: 1}\n")
    with held(site.site / "shop.db"):
        running = site.start(*RUN, "--target", "shop")
        until(site, running, "backup", "shop", "running")
        ((pid,),) = site.rows("SELECT pid FROM workflow_stages")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: site.rows("SELECT 1 FROM workflow_stages WHERE attempts = 2") != [], "the second attempt")
        assert site("workflows", "show", workflow_id(site), "--output", "json").expect(0).json["status"] == "running"
    running.wait().expect(0)
    assert "its process was killed (signal 9)" in running.err.read_text()
    assert_each_stage_once(site)


def test_a_hold_makes_its_stages_wait_and_the_workflow_goes_on_after_the_release(site: Aishell):
    site("hold", "--target", "crm", "--reason", "disk replaced").expect(0)
    result = site(*RUN, "--label", "night", "--output", "json").expect(4).json
    assert result["status"] == "partial"
    assert stages(site) == {
        ("backup", "shop"): ("done", 0),
        ("backup", "crm"): ("waiting", 4),
        ("tidy", "shop"): ("done", 0),
        ("tidy", "crm"): ("pending", None),
    }
    (waiting,) = [one for one in result["stages"] if one["status"] == "waiting"]
    assert "disk replaced" in waiting["reason"]
    site("release", "--target", "crm").expect(0)
    site("run", "workflow", "--resume", result["workflow_id"][:8]).expect(0)
    assert_each_stage_once(site)


def test_what_began_in_a_sealed_part_of_the_log_is_not_called_changed(site: Aishell):
    no_backups_of(site, "crm")
    failed = site(*RUN, "--label", "night", "--output", "json").expect(1).json
    site("run", "maintenance", "--type", "quick", "--target", "shop", "--yes").expect(0)
    site("audit", "export", "--seal", str(site.home / "sealed"), "--older-than", "0").expect(0)
    assert "were sealed" in site("run", "workflow", "--resume", failed["workflow_id"]).expect(2).err

"""Workflows that are killed with -9, what drives them and their stages: gone on with, each stage is run once."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from aishell.site import Site
from tests.bloated import Bloated
from tests.faults.killing import KILLED, SWEEPS, Sweep, new_site
from tests.faults.test_rollback import REFUSE
from tests.fix_aishell import Aishell, bloated_on
from tests.seed import dice
from tests.workflows import TWO, assert_each_stage_once, stages, targets, until, workflow, workflow_id, worn

RUN = ("run", "workflow", "night", "--yes", "--target", "shop")
#: What became of both stages in the end.
BOTH = {("backup", "shop"): ("done", 0), ("tidy", "shop"): ("done", 0)}


def a_site(aishell: Aishell, name: str) -> Aishell:
    site = new_site(aishell, name, "")
    targets(site, {"shop": f"sqlite:///{worn(site.site / 'shop.db', rows=400)}"})
    workflow(site, TWO)
    return site


def alive(site: Aishell) -> list[int]:
    """The processes of stages that are at work."""
    found = site.rows("SELECT pid FROM workflow_stages WHERE status = 'running' AND pid IS NOT NULL")
    return [pid for (pid,) in found if Path(f"/proc/{pid}").exists()]


@SWEEPS
def test_what_drives_it_is_killed_at_a_commit_and_each_stage_is_run_once(aishell, sweep: Sweep):
    """Its stages are processes of their own: they go on, and are waited for by who resumes."""
    for fault in sweep.faults(4):
        site = a_site(aishell, str(fault))
        workflow(
            site, f"{TWO}  other: {{agent: maintenance, needs: [tidy], when: \"${{target.engine}} == 'mysql'\"}}\n"
        )
        ended = site(*RUN, fault=fault)
        if not site.state.exists() or not site.rows("SELECT id FROM workflow_runs"):
            site(*RUN).expect(0)
        elif ended.code == KILLED and site.rows("SELECT status FROM workflow_runs") != [("success",)]:
            site("run", "workflow", "--resume", workflow_id(site)).expect(0)
        assert stages(site) == {**BOTH, ("other", "shop"): ("skipped", None)}
        assert_each_stage_once(site)
        if ended.code != KILLED:
            break


@SWEEPS
def test_a_stage_that_is_killed_at_a_commit_is_run_once(aishell, sweep: Sweep):
    for fault in sweep.faults(8):
        site = a_site(aishell, str(fault))
        with Site.open(site.site, state=site.state) as opened:
            night = opened.workflow("night")
            places = night.placed(["shop"], opened.settings)
            opened.workflow_runs.begin("a" * 32, "night", night.data, places, {"yes": True}, None)
        ended = site("run", "workflow", "--stage", "1", fault=fault)
        assert stages(site)["tidy", "shop"] == ("pending", None)
        site("run", "workflow", "--resume", "a" * 32).expect(0)
        assert stages(site) == BOTH
        assert_each_stage_once(site)
        if ended.code != KILLED:
            break


@pytest.fixture
def three(request: pytest.FixtureRequest, aishell: Aishell) -> Any:
    """A worn database of each engine, by the name of its target, and a site for the shipped workflow."""
    with contextlib.ExitStack() as made:
        makers = {
            name: made.enter_context(bloated_on(request, name)) for name in ("pg_distribution", "mariadb", "sqlite")
        }
        found = {name: (maker, maker.make()) for name, maker in makers.items()}
        for _, db in found.values():
            db.execute("CREATE TABLE app_log (id integer PRIMARY KEY, created_at timestamp, line varchar(80))")
            for number, year in ((1, 2020), (2, 2021), (3, 2036)):
                db.execute(f"INSERT INTO app_log VALUES ({number}, '{year}-01-01 00:00:00', 'x')")
        aishell.configure(
            "agents/log_cleanup.yaml", "log_cleanup_agent:\n  retention:\n    - {tables: app_log, retention_days: 30}\n"
        )
        # The three engines are on this host.
        shipped = (Path(__file__).parents[2] / "config" / "workflows" / "nightly.yaml").read_text()
        one, other = "max_concurrent_per_host: 2", "max_concurrent_per_host: 3"
        assert one in shipped
        aishell.configure("workflows/nightly.yaml", shipped.replace(one, other))
        targets(aishell, {name: db.url for name, (_, db) in found.items()})
        yield found


def assert_the_night_is_done(site: Aishell, three: dict[str, tuple[Bloated, Any]]) -> None:
    done = {(stage, name): ("done", 0) for stage in ("backup", "log_cleanup", "maintenance") for name in three}
    assert stages(site) == done
    for maker, db in three.values():
        assert db.execute("SELECT id FROM app_log") == [(3,)]
        assert maker.left_behind(db) == []
    assert_each_stage_once(site)


@pytest.mark.parametrize(
    "kills", [1, pytest.param(0, marks=pytest.mark.thorough), pytest.param(3, marks=pytest.mark.thorough)]
)
def test_the_shipped_night_on_three_engines_at_once_runs_each_stage_once(aishell, three, kills):
    """At random moments what drives it is killed, and every stage that is at work."""
    random = dice("moments")
    command: tuple[str, ...] = ("run", "workflow", "nightly", "--all", "--yes")
    running = aishell.start(*command)
    for _ in range(kills):
        time.sleep(random.uniform(1.0, 4.0))
        if running.ended:
            break
        running.kill()
        for pid in alive(aishell) if aishell.state.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if aishell.state.exists() and aishell.rows("SELECT id FROM workflow_runs"):
            command = ("run", "workflow", "--resume", workflow_id(aishell))
        running = aishell.start(*command)
    running.wait().expect(0)
    assert aishell.rows("SELECT status FROM workflow_runs") == [("success",)]
    assert_the_night_is_done(aishell, three)
    if kills == 0:
        first = aishell.rows("SELECT started_at, ended_at FROM workflow_stages WHERE stage = 'backup'")
        assert max(begin for begin, _ in first) < min(end for _, end in first), "all three at once"


@pytest.mark.thorough
def test_the_shipped_week_on_three_engines_is_killed_and_proves_each_backup(aishell, three):
    aishell("run", "backup", "--all", "--yes").expect(0)
    first = {target: backup for backup, target in aishell.rows("SELECT backup_id, target FROM backups")}
    running = aishell.start("run", "workflow", "weekly", "--all", "--yes")
    until(aishell, running, "restore_test", "pg_distribution", "running")
    time.sleep(dice("moments").uniform(0.5, 2.5))
    running.kill()
    for pid in alive(aishell):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (weekly,) = aishell.rows("SELECT id FROM workflow_runs")
    ended = aishell("run", "workflow", "--resume", *weekly, "--output", "json").expect(0).json
    assert stages(aishell) == {
        (stage, name): ("done", 0) for stage in ("restore_test", "maintenance") for name in three
    }
    for one in ended["stages"]:
        if one["stage"] == "restore_test":
            told = one["output_data"]
            assert (told["backup_id"], told["rung"]) == (first[one["target"]], "restored-and-compared"), one
            assert told["compared"] > 0
            assert told["chosen"].endswith("never restored and compared")
    chosen = "SELECT count(*) FROM steps WHERE tool = ? AND status = 'done'"
    assert aishell.rows(chosen, "find_unproven_backup") == [(3,)]
    for maker, db in three.values():
        assert maker.left_behind(db) == []
        assert len(db.execute("SELECT id FROM app_log")) == 3
    assert list((aishell.site / "backups").rglob("*aishell_scratch*")) == []


@SWEEPS
def test_a_review_that_is_killed_at_a_commit_is_asked_once_and_obeyed(aishell, sweep: Sweep):
    """Killed on the way to the question, and after the answer: the stages are run once."""
    reviewed = (
        "\n  look: {agent: maintenance, input: {maintenance_type: quick}, review: true}\n"
        '  tidy: {agent: maintenance, input: {maintenance_type: "${stages.look.output.maintenance_type}"}}\n'
    )
    for fault in sweep.faults(4):
        site = a_site(aishell, str(fault))
        workflow(site, reviewed)
        with Site.open(site.site, state=site.state) as opened:
            night = opened.workflow("night")
            opened.workflow_runs.begin("a" * 32, "night", night.data, night.placed(["shop"], opened.settings), {}, None)
        asked = site("run", "workflow", "--stage", "1", fault=fault)
        site("run", "workflow", "--resume", "a" * 32, "--yes").expect(3)
        ((review,),) = site.rows("SELECT id FROM approvals WHERE status = 'pending'")
        site("approvals", "edit", review, "--set", "maintenance_type=standard").expect(0)
        ended = site("run", "workflow", "--resume", "a" * 32, fault=fault)
        if ended.code == KILLED and site.rows("SELECT status FROM workflow_runs") != [("success",)]:
            site("run", "workflow", "--resume", "a" * 32).expect(0)
        assert stages(site) == {("look", "shop"): ("done", 0), ("tidy", "shop"): ("done", 0)}
        assert site.rows(
            "SELECT json_extract(result, '$.output_data.maintenance_type') FROM runs ORDER BY created_at"
        ) == [
            ("quick",),
            ("standard",),
        ]
        assert_each_stage_once(site)
        if KILLED not in (asked.code, ended.code):
            break


@pytest.mark.parametrize("kills", [pytest.param(0, marks=pytest.mark.thorough), 2])
def test_a_stage_that_fails_is_rolled_back_on_three_engines_killed_in_the_midst(aishell, three, kills):
    """The second table refuses: the rows of the first, which were archived and deleted, come back on each of them."""
    before = {}
    for name, (_, db) in three.items():
        engine = {"pg_distribution": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[name]
        db.execute("CREATE TABLE z_log (id integer PRIMARY KEY, created_at timestamp NULL)")
        db.execute("INSERT INTO z_log VALUES (1, '2020-01-01 00:00:00'), (2, '2030-01-01 00:00:00')")
        for statement in REFUSE[engine]:
            db.execute(statement)
        before[name] = db.execute("SELECT * FROM app_log ORDER BY id")
    aishell.configure("agents/log_cleanup.yaml", "log_cleanup_agent: {}\n")
    given = "{tables: [app_log, z_log], retention_days: 90, archive: true}"
    workflow(
        aishell,
        f"""
  clean: {{agent: log_cleanup, on_failure: rollback, input: {given}}}
  after: {{agent: maintenance, needs: [clean]}}
""",
        "max_concurrent_per_host: 3",
    )
    running = aishell.start("run", "workflow", "night", "--all", "--yes")
    until(aishell, running, "clean", "sqlite", "running")
    for _ in range(kills):
        time.sleep(dice("moments").uniform(0.5, 2.0))
        running.kill()
        for pid in alive(aishell):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running = aishell.start("run", "workflow", "--resume", workflow_id(aishell))
    running.wait()
    found = stages(aishell)
    assert found == {
        **{("clean", name): ("failed", 1) for name in three},
        **{("after", name): ("skipped", None) for name in three},
    }
    for (reason,) in aishell.rows("SELECT reason FROM workflow_stages WHERE stage = 'clean'"):
        assert "not today" in reason
        assert "Rolled back: delete_app_log" in reason
    for name, (_, db) in three.items():
        assert db.execute("SELECT * FROM app_log ORDER BY id") == before[name]
        assert db.execute("SELECT count(*) FROM z_log") == [(2,)]

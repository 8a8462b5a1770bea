"""`aishell schedule start` as its users run it: a process of its own, on a site that changes under it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from aishell.state.schedule_runs import SHUTDOWN
from tests.fix_aishell import Aishell, Running
from tests.scheduled import back, nightly, rows
from tests.servers import wait_until
from tests.workflows import assert_each_stage_once, workflow


def fill(path: Path) -> None:
    """A table that is worth a VACUUM, which asks for an approval in production."""
    with closing(sqlite3.connect(path)) as shop:
        shop.execute("CREATE TABLE big (i INTEGER PRIMARY KEY, t TEXT)")
        shop.executemany("INSERT INTO big (t) VALUES (?)", (("x" * 200,) for _ in range(20_000)))
        shop.commit()
        shop.execute("DELETE FROM big WHERE i % 10")
        shop.commit()


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    fill(aishell.site / "shop.db")
    nightly(aishell, "sqlite:///shop.db")
    return aishell


def started(site: Aishell) -> Running:
    """A daemon that has looked what is due."""
    daemon = site.start("schedule", "start")
    wait_until(lambda: "started: process" in daemon.err.read_text() or daemon.ended, "the daemon has begun")
    return daemon


def end(daemon: Running, number: int = signal.SIGTERM) -> str:
    """Its log, of one that ends as it should."""
    daemon.signal(number)
    ended = daemon.wait().expect(0)
    assert ended.out == "", "it logs to standard error"
    return ended.err


def over(site: Aishell) -> bool:
    return [row.status for row in rows(site)][-1:] == ["done"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_runs_the_night_and_ends_when_it_is_told_to(site: Aishell, number: int):
    back(site, "nightly", days=1)
    daemon = started(site)
    wait_until(lambda: over(site), "the night is over")
    wait_until(lambda: "shop: success (exit 0) run" in daemon.err.read_text(), "it is told")
    log = end(daemon, number)
    assert "shop: started, log " in log
    assert f"stopped: {signal.Signals(number).name}\n" in log
    assert [(row.outcome, row.attempts) for row in rows(site)] == [("success", 1)]
    (begun,), (ended,) = site.events("daemon_started"), site.events("daemon_stopped")
    assert (begun["schedules"], ended["reason"], ended["running"]) == (["nightly"], signal.Signals(number).name, [])
    assert begun["pid"] == ended["pid"] == daemon.process.pid
    site("audit", "verify").expect(0)
    assert site("schedule", "run-due").expect(0).out == ""


def test_a_site_has_one_daemon(site: Aishell):
    prune = site.state.parent / "schedule-logs" / "prune.log"
    prune.parent.mkdir(mode=0o700)
    prune.touch()
    os.utime(prune, (0, 0))
    daemon = started(site)
    wait_until(lambda: "0 run(s) removed" in prune.read_text(), "what is old is pruned beside it")
    refused = site("schedule", "start").expect(6)
    assert f"process {daemon.process.pid} on " in refused.err
    daemon.kill()
    end(started(site))
    assert len(site.events("daemon_started")) == 2


def test_wrong_configuration_is_told_before_anything_is_started(site: Aishell):
    path = nightly(site, "sqlite:///shop.db", "weekly: {cron: '0 3 * * fri-mon', agent: maintenance, targets: [shop]}")
    assert f"{path}:" in site("schedule", "start").expect(2).err
    assert not site.state.exists()


def test_configuration_that_turns_wrong_keeps_no_night_from_its_turn(site: Aishell):
    """The process of the night reads what was last right: the policy and the targets too."""
    daemon = started(site)
    right = (site.config / "targets.yaml").read_text()
    site.configure("targets.yaml", right.replace("environment", "enviroment"))
    wait_until(lambda: site.events("configuration_refused"), "the file is refused")
    site("schedule", "list").expect(2)
    with closing(sqlite3.connect(site.state, timeout=60)) as state:
        state.execute(
            """INSERT INTO schedule_runs (schedule, nominal_at, target, local_at, status, reason, times, attempts, decided_at)
               VALUES ('nightly', '2026-01-01T00:00:00.000000+00:00', 'shop', '', 'due', '', 1, 0, '')"""
        )
        state.commit()
    wait_until(lambda: over(site), "the night is over")
    site.configure("targets.yaml", right)
    wait_until(lambda: site.events("configuration_loaded"), "the file is right again")
    log = end(daemon)
    assert "the changed configuration is invalid, the previous one stays in force: " in log
    assert "targets.yaml:4: unknown key 'enviroment'" in log
    assert rows(site)[0].outcome == "success"


def test_an_answer_from_another_shell_lets_the_night_go_on_within_seconds(site: Aishell):
    nightly(site, "sqlite:///shop.db", environment="production", kind="full", approve="")
    back(site, "nightly", days=1)
    daemon = started(site)
    wait_until(lambda: rows(site) and rows(site)[0].status == "waiting", "the run waits")
    time.sleep(1.5)  # it has looked again since
    for (name,) in site.rows("SELECT id FROM approvals"):
        site("approvals", "approve", name).expect(0)
    ((decided,),) = site.rows("SELECT max(at) FROM events WHERE type = 'approval_decided'")
    wait_until(lambda: over(site), "the night is over")
    resumed = "SELECT at FROM events WHERE type = 'state_changed' AND data LIKE '%resumed%'"
    ((again,),) = site.rows(resumed)
    assert again > decided
    end(daemon)
    assert [(row.outcome, row.attempts) for row in rows(site)] == [("success", 1)]
    assert len(site.rows("SELECT id FROM runs")) == 1


@contextmanager
def locked(site: Aishell) -> Iterator[None]:
    """The database as somebody else writes to it."""
    with closing(sqlite3.connect(site.site / "shop.db", isolation_level=None)) as shop:
        shop.execute("BEGIN IMMEDIATE")
        yield
        shop.execute("ROLLBACK")


@pytest.mark.parametrize("grace", ["60s", "0s"])
def test_at_its_end_runs_go_on_alone_or_are_paused_and_gone_on_with(site: Aishell, grace: str):
    site.configure("aishell.yaml", f"daemon: {{shutdown_grace: {grace}}}\n")
    nightly(site, "sqlite:///shop.db", kind="full")
    back(site, "nightly", days=1)
    with locked(site):
        daemon = started(site)
        begun = "SELECT 1 FROM events WHERE type = 'step_started' AND step_index > 0"
        wait_until(lambda: site.rows(begun), "a step waits for the lock")
        daemon.signal(signal.SIGTERM)
        if grace == "60s":
            wait_until(lambda: site.rows("SELECT 1 FROM runs WHERE pause_requested"), "it is asked to pause")
        else:
            daemon.wait().expect(0)
    log = daemon.wait().expect(0).err
    (row,) = rows(site)
    if grace == "60s":
        assert "1 run(s) were asked to pause; waiting 60 s" in log
        assert (row.status, row.reason, row.attempts) == ("due", SHUTDOWN, 0)
        assert site.state_of(row.run_id) == "paused"
        daemon = started(site)
    else:
        assert "1 run(s) continue" in log
        assert [one["running"] for one in site.events("daemon_stopped")] == [[row.id]]
    wait_until(lambda: over(site), "the night is over")
    (row,) = rows(site)
    assert (row.outcome, row.attempts, row.reason) == ("success", 1, "")
    assert site.rows("SELECT id FROM runs") == [(row.run_id,)]
    if grace == "60s":
        end(daemon)


def test_a_person_who_pauses_a_run_of_the_night_is_not_overruled(site: Aishell):
    nightly(site, "sqlite:///shop.db", kind="full")
    back(site, "nightly", days=1)
    with locked(site):
        daemon = started(site)
        begun = "SELECT run_id FROM events WHERE type = 'step_started' AND step_index > 0"
        wait_until(lambda: site.rows(begun), "a step waits for the lock")
        site("runs", "pause", site.only_run()).expect(0)
    wait_until(lambda: rows(site)[0].status != "running", "it is paused")
    time.sleep(2)
    end(daemon)
    assert [(row.status, row.exit_code) for row in rows(site)] == [("done", 4)]
    assert site.state_of(site.only_run()) == "paused"


def nightly_workflow(site: Aishell) -> None:
    """The night of the site is a workflow of two stages, of which the first is the long one."""
    stages = """
  tidy: {agent: maintenance, input: {maintenance_type: full}}
  backup: {agent: backup, needs: [tidy]}
"""
    workflow(site, stages)
    nightly(site, "sqlite:///shop.db")
    site.configure(
        "schedules.yaml", "schedules: {nightly: {cron: '30 2 * * *', workflow: night, targets: [shop], missed: once}}"
    )
    back(site, "nightly", days=1)


def test_a_workflow_is_paused_at_its_end_and_gone_on_with(site: Aishell):
    site.configure("aishell.yaml", "daemon: {shutdown_grace: 60s}\n")
    nightly_workflow(site)
    with locked(site):
        daemon = started(site)
        begun = "SELECT 1 FROM events WHERE type = 'step_started' AND step_index > 0"
        wait_until(lambda: site.rows(begun), "a step waits for the lock")
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: site.rows("SELECT 1 FROM runs WHERE pause_requested"), "its stage is asked to pause")
    daemon.wait().expect(0)
    (row,) = rows(site)
    assert (row.status, row.reason, row.attempts) == ("due", SHUTDOWN, 0)
    assert site.rows("SELECT state FROM runs") == [("paused",)]
    daemon = started(site)
    wait_until(lambda: over(site), "the night is over")
    end(daemon)
    assert [(row.outcome, row.attempts) for row in rows(site)] == [("success", 1)]
    assert_each_stage_once(site)


def test_a_person_who_pauses_a_stage_of_the_night_is_not_overruled(site: Aishell):
    nightly_workflow(site)
    with locked(site):
        daemon = started(site)
        begun = "SELECT 1 FROM events WHERE type = 'step_started' AND step_index > 0"
        wait_until(lambda: site.rows(begun), "a step waits for the lock")
        site("runs", "pause", site.only_run()).expect(0)
    wait_until(lambda: rows(site)[0].status != "running", "it is paused")
    time.sleep(2)
    end(daemon)
    assert [(row.status, row.exit_code) for row in rows(site)] == [("done", 4)]
    assert site.state_of(site.only_run()) == "paused"


def test_the_log_obeys_nothing_and_each_line_has_its_time(site: Aishell):
    daemon = started(site)
    site.configure("targets.yaml", "targets:\n  \"shop\\e[31m\": {url: 'sqlite:///shop.db', enviroment: test}\n")
    wait_until(lambda: site.events("configuration_refused"), "the file is refused")
    log = end(daemon)
    assert "\x1b" not in log
    assert all(line[:2] == "20" for line in log.splitlines()), log
    assert json.dumps(site.events("configuration_refused")[0]).count("enviroment")

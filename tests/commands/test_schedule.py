"""`aishell schedule` as its users run it: on a site of its own, with real processes of runs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aishell.execution.locking import target_file
from aishell.state.locks import FileLock
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows
from tests.servers import wait_until
from tests.workflows import TWO, assert_each_stage_once, held, targets, workflow, worn


@pytest.fixture
def site(aishell: Aishell) -> Aishell:
    """A site with a small database, a schedule of every night and one of every hour."""
    with sqlite3.connect(aishell.site / "shop.db") as shop:
        shop.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    shop.close()
    nightly(aishell, "sqlite:///shop.db", "hourly: {cron: '@hourly', agent: maintenance, label: small}")
    return aishell


def ahead(days: int) -> str:
    """The nominal time of `nightly` so many days from now, as a person writes it."""
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    at = now.replace(hour=2, minute=30, second=0, microsecond=0)
    return f"{at + timedelta(days=days + (at <= now)):%Y-%m-%d %H:%M}"


def test_the_list_says_what_the_file_means(site: Aishell):
    first, second = site("schedule", "list", "--output", "json").expect(0).json
    assert (first["schedule"], first["targets"], first["missed"], first["paused"]) == (
        "nightly",
        ["shop"],
        "once",
        None,
    )
    assert (second["schedule"], second["targets"], second["missed"]) == ("hourly", ["shop"], "skip")
    assert datetime.fromisoformat(second["next"]) > datetime.now(UTC)
    assert "nightly" in site("schedule", "list").expect(0).out
    assert not site.state.exists(), "looking makes no store"


def test_the_coming_times_are_those_of_all_schedules(site: Aishell):
    times = site("schedule", "next", "--count", "30", "--output", "json").expect(0).json
    assert [time["nominal_at"] for time in times] == sorted(time["nominal_at"] for time in times)
    assert {time["schedule"] for time in times} == {"nightly", "hourly"}
    own = site("schedule", "next", "nightly", "--output", "json").expect(0).json
    assert [time["local"][11:16] for time in own] == ["02:30"] * 5
    assert "did you mean 'nightly'" in site("schedule", "next", "nighly").expect(2).err


def test_nothing_is_due_of_what_was_just_configured(site: Aishell):
    ended = site("schedule", "run-due").expect(0)
    assert (ended.out, ended.err) == ("", "")
    assert site("schedule", "history").expect(0).out == "nothing has been due yet\n"


def test_a_night_is_run_once_and_what_became_of_it_is_told(site: Aishell):
    back(site, "nightly", days=3)
    ended = site("schedule", "run-due").expect(4)
    told = ended.out.splitlines()
    assert len(told) == 3
    assert told[0].startswith("nightly ")
    assert "missed: nothing looked for it" in told[0]
    assert "shop: success (exit 0) run " in told[2]
    assert site("schedule", "run-due").expect(0).out == ""
    newest, *missed = site("schedule", "history", "nightly", "--output", "json").expect(0).json
    assert (newest["status"], newest["outcome"], newest["attempts"], newest["target"]) == ("done", "success", 1, "shop")
    assert [(row["status"], row["target"]) for row in missed] == [("missed", None)] * 2
    ((run_id, requested),) = site.rows("SELECT id, plan FROM runs")
    assert run_id == newest["run_id"]
    assert json.loads(requested)["task"]["metadata"] == {"schedule": "nightly"}
    assert "success" in (site.state.parent / "schedule-logs" / f"{newest['id']}.log").read_text()
    site("audit", "verify").expect(0)


def test_the_next_time_is_skipped_or_one_that_is_named(site: Aishell):
    first = site("schedule", "next", "nightly", "--output", "json").json
    site("schedule", "skip", "nightly", "--reason", "the host moves").expect(0)
    assert site("schedule", "next", "nightly", "--count", "4", "--output", "json").json == first[1:]
    site("schedule", "skip", "nightly", "--at", ahead(3)).expect(0)
    left = site("schedule", "next", "nightly", "--output", "json").json
    assert ahead(3) not in [time["local"][:16].replace("T", " ") for time in left]
    assert "not a future time" in site("schedule", "skip", "nightly", "--at", "2031-01-01 02:31").expect(2).err
    assert "already decided: skipped" in site("schedule", "skip", "nightly", "--at", ahead(3)).expect(2).err
    assert "'2026-12-24 02:30'" in site("schedule", "skip", "nightly", "--at", "tomorrow").expect(2).err


def test_what_comes_in_a_pause_is_left_out_for_good(site: Aishell):
    back(site, "nightly", days=2)
    site("schedule", "pause", "nightly", "--reason", "migration").expect(0)
    (own, _) = site("schedule", "list", "--output", "json").json
    assert (own["next"], own["paused"].endswith(": migration")) == (None, True)
    assert site("schedule", "run-due").expect(4).out.count("nightly") == 2
    site("schedule", "resume", "nightly").expect(0)
    assert "not paused" in site("schedule", "resume", "nightly").expect(2).err
    assert site("schedule", "run-due").expect(0).out == ""
    assert site.rows("SELECT id FROM runs") == []
    assert "is in the past" in site("schedule", "pause", "nightly", "--until", "2026-01-01").expect(2).err


def test_a_person_runs_it_now_but_not_on_a_blackout(site: Aishell):
    assert "shop: success (exit 0)" in site("schedule", "run-now", "nightly").expect(0).out
    assert "known: shop" in site("schedule", "run-now", "nightly", "--target", "crm").expect(2).err
    nightly(site, "sqlite:///shop.db", top="blackouts: [{from: 2020-01-01, to: 2099-12-31, reason: closed}]")
    assert "closed" in site("schedule", "run-now", "nightly").expect(5).err
    assert [(row.status, row.asked_by is None) for row in rows(site)] == [("done", False)]


def test_a_wrong_file_is_told_before_anything_is_run(site: Aishell):
    back(site, "nightly", days=1)
    path = nightly(site, "sqlite:///shop.db", "weekly: {cron: '0 3 * * fri-mon', agent: maintenance, targets: [shop]}")
    for command in (("run-due",), ("list",), ("run-now", "nightly"), ("work", "1")):
        if command != ("work", "1"):
            ended = site("schedule", *command).expect(2)
            assert f"{path}:" in ended.err
            assert "five fields" in ended.err
    assert site.rows("SELECT id FROM runs") == []


def test_a_target_that_cannot_be_reached_fails_its_own_run_only(site: Aishell):
    nightly(site, "sqlite:///shop.db", targets="[shop, gone]")
    two = (f"  {name}: {{url: 'sqlite:///{name}.db', environment: test}}\n" for name in ("shop", "gone"))
    site.configure("targets.yaml", "targets:\n" + "".join(two))
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(2)
    assert {row.target: (row.status, row.outcome) for row in rows(site)} == {
        "shop": ("done", "success"),
        "gone": ("failed", "failure"),
    }
    assert "gone.db" in next(row.reason for row in rows(site) if row.target == "gone")


def test_a_schedule_answers_up_to_what_its_file_and_the_policy_say(site: Aishell):
    """`rebuild` of a production database asks: the run waits, or the file answers in its own name."""
    with sqlite3.connect(site.site / "shop.db") as shop:
        shop.execute("CREATE TABLE big (i INTEGER PRIMARY KEY, t TEXT)")
        shop.executemany("INSERT INTO big (t) VALUES (?)", (("x" * 200,) for _ in range(20_000)))
        shop.commit()
        shop.execute("DELETE FROM big WHERE i % 10")
    shop.close()
    nightly(site, "sqlite:///shop.db", environment="production", kind="full", approve="")
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(3)
    assert [row.status for row in rows(site)] == ["waiting"]
    assert site("schedule", "run-due").expect(0).out == "", "it waits for a person"
    site("runs", "cancel", rows(site)[0].run_id).expect(0)
    site("schedule", "run-due").expect(0)
    assert [(row.status, row.outcome) for row in rows(site)] == [("done", "cancelled")]
    path = nightly(site, "sqlite:///shop.db", environment="production", kind="full", approve="approve_up_to: medium")
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(0)
    assert path.exists()
    decided = [event for event in site.events("approval_decided") if event["status"] == "approved"]
    assert decided
    assert all(event["by"].startswith("schedule nightly (schedules.yaml sha256:") for event in decided)
    assert all("pre-approved up to medium" in event["reason"] for event in decided)


def test_a_target_in_use_has_its_turn_again(site: Aishell):
    back(site, "nightly", days=1)
    held = FileLock(target_file(site.state.parent, "", site.site / "shop.db"), "another run")
    site("schedule", "run-due").expect(6)
    (row,) = rows(site)
    assert (row.status, row.attempts) == ("due", 0)
    assert "run another run on" in row.reason
    held.release()
    site("schedule", "run-due").expect(0)
    assert [(row.status, row.outcome, row.attempts) for row in rows(site)] == [("done", "success", 1)]


def test_what_a_person_asks_for_and_cannot_begin_is_told(site: Aishell):
    nightly(site, "sqlite:///shop.db", top="max_concurrent: 1")
    back(site, "nightly", days=1)
    with sqlite3.connect(site.state) as state:
        state.execute(
            """INSERT INTO schedule_runs (id, schedule, nominal_at, target, local_at, status, reason, times, attempts, decided_at)
               VALUES (99, 'nightly', '2026-01-01', 'crm', '', 'running', '', 1, 1, '')"""
        )
    state.close()
    held = FileLock(site.state.parent / ".aishell-locks" / "schedule-99.lock", "another")
    assert "a `run-due` within an hour starts it" in site("schedule", "run-now", "nightly").expect(6).out
    held.release()


def test_a_night_over_many_targets_is_a_run_for_each(site: Aishell):
    names = [f"shop{number}" for number in range(5)]
    nightly(site, "sqlite:///shop.db", targets=f"[{', '.join(names)}]", top="max_concurrent: 2")
    for name in names:
        with sqlite3.connect(site.site / f"{name}.db") as shop:
            shop.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
        shop.close()
    lines = (f"  {name}: {{url: 'sqlite:///{name}.db', environment: test, labels: [small]}}\n" for name in names)
    site.configure("targets.yaml", "targets:\n" + "".join(lines))
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(0)
    assert {row.target: (row.status, row.outcome) for row in rows(site)} == dict.fromkeys(names, ("done", "success"))
    spans = site.rows("SELECT started_at, ended_at FROM schedule_runs WHERE target <> ''")
    assert max(sum(begin < at <= end for begin, end in spans) for at, _ in spans) <= 2


def test_an_answer_given_elsewhere_lets_the_night_go_on(site: Aishell):
    with sqlite3.connect(site.site / "shop.db") as shop:
        shop.execute("CREATE TABLE big (i INTEGER PRIMARY KEY, t TEXT)")
        shop.executemany("INSERT INTO big (t) VALUES (?)", (("x" * 200,) for _ in range(20_000)))
        shop.commit()
        shop.execute("DELETE FROM big WHERE i % 10")
    shop.close()
    nightly(site, "sqlite:///shop.db", environment="production", kind="full", approve="")
    back(site, "nightly", days=1)
    site("schedule", "run-due").expect(3)
    for (name,) in site.rows("SELECT id FROM approvals"):
        site("approvals", "approve", name).expect(0)
    site("schedule", "run-due").expect(0)
    assert [(row.status, row.outcome) for row in rows(site)] == [("done", "success")]
    assert len(site.rows("SELECT id FROM runs")) == 1


def test_the_shipped_file_and_its_example_are_right(site: Aishell):
    shipped = (Path(__file__).parents[2] / "config" / "schedules.yaml").read_text()
    site.configure("targets.yaml", "targets:\n  sample: {url: 'sqlite:///shop.db', labels: [nightly]}\n")
    site.configure("schedules.yaml", shipped)
    assert site("schedule", "list", "--output", "json").expect(0).json == []
    text = shipped.replace("schedules: {}\n", "schedules:\n").replace("blackouts: []\n", "blackouts:\n")
    site.configure(
        "schedules.yaml", text.replace("\n#   ", "\n  ").replace("\n# - ", "\n  - ").replace("\n  * *", "\n# * *")
    )
    (own,) = site("schedule", "list", "--output", "json").expect(0).json
    assert (own["schedule"], own["missed"]) == ("nightly", "once_if_open")


def workflow_due(site: Aishell, environment: str) -> None:
    """Make the nights of a site a workflow of two stages, of which one is due."""
    targets(site, {"small": f"sqlite:///{worn(site.site / 'small.db')}"}, environment)
    workflow(site, TWO)
    site.configure(
        "schedules.yaml",
        "schedules:\n  nightly: {cron: '30 2 * * *', workflow: night, targets: [small], missed: once}\n",
    )
    back(site, "nightly", days=1)
    return site


def test_a_workflow_that_is_killed_goes_on_at_the_next_look(site: Aishell):
    workflow_due(site, "test")
    (told,) = site("schedule", "list", "--output", "json").json
    assert (told["workflow"], told["agent"]) == ("night", None)
    with held(site.site / "small.db"):
        looking = site.start("schedule", "run-due")
        wait_until(lambda: site.rows("SELECT 1 FROM workflow_stages WHERE status = 'running'") != [], "a stage runs")
        os.kill(rows(site)[0].pid, signal.SIGKILL)
        ended = looking.wait().expect(1)
    assert "small: its process was killed (signal 9)" in ended.out
    site("schedule", "run-due").expect(0)
    (row,) = rows(site)
    assert (row.status, row.outcome, row.attempts) == ("done", "success", 2)
    assert site.rows("SELECT id FROM workflow_runs") == [(row.run_id,)]
    assert_each_stage_once(site)
    assert site("schedule", "run-due").expect(0).out == ""


def test_a_workflow_that_asks_goes_on_when_it_was_answered(site: Aishell):
    workflow_due(site, "production")
    site("schedule", "run-due").expect(3)
    assert [row.status for row in rows(site)] == ["waiting"]
    assert site("schedule", "run-due").expect(0).out == "", "it waits for a person"
    for (name,) in site.rows("SELECT id FROM approvals"):
        site("approvals", "approve", name).expect(0)
    site("schedule", "run-due").expect(0)
    assert [(row.status, row.outcome) for row in rows(site)] == [("done", "success")]
    assert_each_stage_once(site)

"""`aishell hold` and `release`: no step begins in between, whoever would begin it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from aishell.errors import HeldError
from aishell.execution.run import Silent
from aishell.models import RunResult, Task, timestamp
from aishell.safety.approval import Approve
from aishell.scheduling.starting import settle_all
from aishell.scheduling.working import work
from aishell.site import Site
from tests.bloated import Bloated
from tests.fix_aishell import Aishell
from tests.scheduled import back, nightly, rows


@pytest.fixture
def shop(aishell: Aishell, bloated_sqlite: Bloated) -> Aishell:
    """A site with a target that has work to do, and another."""
    url = bloated_sqlite.make().url
    named = {"shop": {"url": url, "environment": "test"}, "crm": {"url": "sqlite:///crm.db", "environment": "test"}}
    aishell.configure("targets.yaml", json.dumps({"targets": named}))
    with contextlib.closing(sqlite3.connect(aishell.site / "crm.db")) as crm:
        crm.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    return aishell


def run(site: Aishell, *more: str, target: str = "shop") -> Any:
    return site("run", "maintenance", "--type", "quick", "--target", target, "--output", "json", *more)


def held(site: Aishell, observer: Any = None, approve: Any = None) -> RunResult:
    with Site.open(site.site, state=site.state) as opened:
        task = Task("maintenance", "shop", {"maintenance_type": "full", "min_index_size": 65536})
        return opened.run(task, yes=approve is None, observer=observer, approve=approve)


class AfterTheFirst(Silent):
    """Does something when the first step has ended."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act: Callable[[], Any] | None = act

    def step_ended(self, step: Any, result: Any) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()


def test_nothing_is_on_hold_and_looking_makes_no_store(shop: Aishell):
    assert shop("hold").expect(0).out == "nothing is on hold\n"
    assert shop("hold", "--output", "json").expect(0).json == []
    assert not shop.state.exists()


def test_it_refuses_what_would_begin_and_lets_dry_runs_go(shop: Aishell):
    saved = shop.home / "shop.plan"
    shop("plan", "maintenance", "--type", "quick", "--target", "shop", "--out", str(saved)).expect(0)
    shop("hold", "--reason", "disk replaced").expect(0)
    for ended in (run(shop), shop("apply", str(saved), "--yes", "--output", "json")):
        assert "every target is on hold since" in ended.expect(5).err
        assert ": disk replaced" in ended.err
        assert "release" in ended.err
    run(shop, "--dry-run").expect(0)
    shop("apply", str(saved), "--dry-run").expect(0)
    assert shop.rows("SELECT id FROM runs") == []
    shop("release").expect(0)
    run(shop).expect(0)


def test_it_is_on_one_target_or_on_all_and_each_is_lifted_by_itself(shop: Aishell):
    shop("hold", "--target", "shop", "--reason", "index damage").expect(0)
    run(shop).expect(5)
    run(shop, target="crm").expect(0)
    shop("hold", "--reason", "everything").expect(0)
    run(shop, target="crm").expect(5)
    assert "still in force: shop is on hold" in shop("release").expect(0).out
    run(shop).expect(5)
    assert "release --target shop" in shop("release").expect(2).err
    shop("release", "--target", "shop").expect(0)
    assert "nothing is on hold" in shop("release", "--target", "shop").expect(2).err
    run(shop).expect(0)


def test_several_targets_are_refused_each_by_itself(shop: Aishell):
    shop("hold", "--target", "crm", "--reason", "migration").expect(0)
    ended = shop("run", "maintenance", "--type", "quick", "--all", "--output", "json").expect(5)
    assert {one["target"]: one["status"] for one in ended.json["runs"]} == {"shop": "success", "crm": "failure"}


def test_who_when_and_why_are_told_and_audited(shop: Aishell):
    shop("hold", "--target", "shop", "--reason", " index damage ").expect(0)
    (row,) = shop("hold", "--output", "json").expect(0).json
    assert (row["target"], row["reason"]) == ("shop", "index damage")
    again = shop("hold", "--target", "shop", "--reason", "another").expect(0).out
    assert "not recorded" in again
    assert row["by"] in again
    found = {one["subject"]: one for one in shop("doctor", "--target", "crm", "--output", "json").json["findings"]}
    assert (found["hold"]["level"], "index damage" in found["hold"]["text"]) == ("warning", True)
    shop("release", "--target", "shop").expect(0)
    told = {"target": "shop", "reason": "index damage", "by": row["by"]}
    assert [{name: one[name] for name in told} for one in shop.events("hold_placed")] == [told]
    assert [{name: one[name] for name in told} for one in shop.events("hold_released")] == [told]
    shop("audit", "verify").expect(0)


def test_wrong_words_place_no_hold(shop: Aishell):
    assert "did you mean 'shop'" in shop("hold", "--target", "shp", "--reason", "x").expect(2).err
    assert "stops every target" in shop("hold", "--target", "sqlite:///a.db", "--reason", "x").expect(2).err
    assert "--reason" in shop("hold", "--target", "shop").expect(2).err
    assert "empty" in shop("hold", "--reason", "  ").expect(2).err
    assert shop("hold", "--output", "json").json == []


def test_everything_is_stopped_where_the_configuration_cannot_be_read(shop: Aishell):
    shop.configure("targets.yaml", "targets: {shop: {url: 1}}")
    shop("hold", "--reason", "something is wrong").expect(0)
    assert len(shop("hold", "--output", "json").json) == 1


def test_a_run_stops_at_the_next_step_and_goes_on_after_the_release(shop: Aishell):
    result = held(shop, AfterTheFirst(lambda: shop("hold", "--target", "shop", "--reason", "stop").expect(0)))
    assert (result.status, result.state, result.exit_code) == ("partial", "paused", 4)
    (why,) = result.output_data["waiting"]
    assert "shop is on hold since" in why
    assert [one.step_index for one in result.actions_taken] == [0]
    assert shop.rows("SELECT status, count(*) FROM steps WHERE step_index > 0 GROUP BY 1")[0][0] == "pending"
    assert "shop is on hold" in shop.resume(str(result.run_id)).expect(5).err
    released = shop("release", "--target", "shop").expect(0).out
    assert f"runs resume {str(result.run_id)[:8]}" in released
    assert shop.resume(str(result.run_id)).expect(0).json["status"] == "success"
    shop("audit", "verify").expect(0)


def test_a_hold_that_comes_while_a_step_is_asked_about_stops_that_step(shop: Aishell):
    asked: list[str] = []

    def approve(request: Any) -> Approve:
        if not asked:
            shop("hold", "--reason", "stop").expect(0)
        asked.append(request.step.id)
        return Approve("a test")

    shop.configure("policy.yaml", "rules: [{tool: '*', decision: confirm}]")
    result = held(shop, approve=approve)
    assert (result.state, result.exit_code, len(asked)) == ("paused", 4, 1)
    assert shop.events("step_started") == []
    assert shop.events("statement_sent") == []


def test_nobody_is_asked_about_a_step_that_is_on_hold(shop: Aishell):
    asked: list[str] = []

    def approve(request: Any) -> Approve:
        asked.append(request.step.id)
        return Approve("a test")

    shop.configure("policy.yaml", "rules: [{tool: '*', decision: confirm}]")
    stop = AfterTheFirst(lambda: shop("hold", "--reason", "stop").expect(0))
    assert held(shop, stop, approve).state == "paused"
    assert len(asked) == 1


def test_what_was_previewed_before_the_hold_does_not_begin(shop: Aishell):
    with Site.open(shop.site, state=shop.state) as opened:
        planned = opened.plan(Task("maintenance", "shop", {"maintenance_type": "quick"}))
        shop("hold", "--reason", "stop").expect(0)
        with pytest.raises(HeldError, match="every target is on hold"):
            opened.run(planned, yes=True)
    assert shop.rows("SELECT id FROM runs") == []


def test_python_is_refused_before_the_target_is_asked_anything(shop: Aishell):
    shop("hold", "--target", "crm", "--reason", "gone").expect(0)
    (shop.site / "crm.db").unlink()
    with Site.open(shop.site, state=shop.state) as opened, pytest.raises(HeldError):
        opened.run(Task("maintenance", "crm"))


def test_what_schedules_have_due_waits_and_runs_after_the_release(shop: Aishell):
    nightly(shop, json.loads((shop.config / "targets.yaml").read_text())["targets"]["shop"]["url"])
    back(shop, "nightly", days=1)
    shop("hold", "--target", "shop", "--reason", "migration").expect(0)
    assert "shop: due: shop is on hold" in shop("schedule", "run-due").expect(0).out
    assert shop("schedule", "run-due").expect(0).out == "", "cron's mail comes once"
    assert shop("schedule", "run-now", "nightly").expect(5).err.count("on hold") == 1
    (row,) = rows(shop)
    assert (row.status, row.run_id, row.attempts) == ("due", None, 0)
    shop("release", "--target", "shop").expect(0)
    assert "success (exit 0)" in shop("schedule", "run-due").expect(0).out
    (row,) = rows(shop)
    assert (row.status, row.reason, row.attempts) == ("done", "", 1)


def test_a_scheduled_run_that_was_stopped_goes_on_by_itself_after_the_release(shop: Aishell):
    nightly(shop, json.loads((shop.config / "targets.yaml").read_text())["targets"]["shop"]["url"], kind="full")
    back(shop, "nightly", days=1)
    with Site.open(shop.site, state=shop.state) as opened:
        settle_all(opened, datetime.now(UTC))
        work(opened, 1, AfterTheFirst(lambda: shop("hold", "--reason", "stop").expect(0)))
    (row,) = rows(shop)
    assert (row.status, row.exit_code, "on hold" in row.reason) == ("waiting", 4, True)
    assert shop("schedule", "run-due").expect(0).out == ""
    with Site.open(shop.site, state=shop.state) as opened:
        now = datetime.now(UTC)
        assert [one.id for one in opened.ledger.open(now)] == [1]
        with opened.store.write() as connection:
            connection.execute("UPDATE schedule_runs SET until = :until", {"until": timestamp(now)})
        assert opened.ledger.open(now) == [], "its window has closed: it is a person's"
        with opened.store.write() as connection:
            connection.execute("UPDATE schedule_runs SET until = NULL")
    shop("release").expect(0)
    assert "success (exit 0)" in shop("schedule", "run-due").expect(0).out
    (row,) = rows(shop)
    assert (row.status, row.attempts) == ("done", 1)
    assert len(shop.rows("SELECT id FROM runs")) == 1

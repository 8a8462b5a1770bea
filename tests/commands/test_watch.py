"""`aishell runs watch`: what another process does, told as it happens; the watcher writes nothing."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from aishell.execution.run import Silent
from aishell.models import Task
from aishell.site import Site
from tests.bloated import Bloated
from tests.faults.killed import Fault
from tests.faults.killing import KILLED
from tests.fix_aishell import Aishell, Running
from tests.servers import wait_until


@pytest.fixture
def shop(aishell: Aishell, bloated_sqlite: Bloated) -> Aishell:
    aishell.url = bloated_sqlite.make().url
    aishell.configure("targets.yaml", json.dumps({"targets": {"shop": {"url": aishell.url, "environment": "test"}}}))
    return aishell


class Watched(Silent):
    """Has a run watched from the moment at which it exists, and goes on when the watcher has told of each step."""

    def __init__(self, site: Aishell) -> None:
        self.site = site
        self.watcher: Running | None = None

    def created(self, run_id: str) -> None:
        self.watcher = self.site.start("runs", "watch", run_id[:8])

    def step_started(self, step: Any, total: int) -> None:
        watcher = self.watcher
        assert watcher is not None
        wait_until(
            lambda: f"· {step.index + 1}/{total} {step.id} " in watcher.out.read_text(), "the watcher tells of it"
        )


def test_each_step_is_told_as_it_begins_and_ends(shop: Aishell):
    watched = Watched(shop)
    with Site.open(shop.site, state=shop.state) as site:
        planned = site.plan(Task("maintenance", "shop", {"maintenance_type": "full", "min_index_size": 65536}))
        result = site.run(planned, yes=True, observer=watched, on_created=watched.created)
    assert watched.watcher is not None
    ended = watched.watcher.wait().expect(0)
    for step in result.actions_taken:
        assert f" {step.step_id} ({step.tool}) began\n" in ended.out
        assert f" {step.step_id} done in " in ended.out
    assert result.reasoning in ended.out


def test_ctrl_c_ends_the_watching_and_not_the_run(shop: Aishell):
    class Interrupting(Watched):
        def created(self, run_id: str) -> None:
            self.watcher = self.site.start("runs", "watch", run_id, alone=True)

        def step_started(self, step: Any, total: int) -> None:
            super().step_started(step, total)
            assert self.watcher is not None
            self.watcher.signal()
            assert "the run goes on" in self.watcher.wait().expect(130).err
            self.step_started = lambda step, total: None  # type: ignore[method-assign]

    watched = Interrupting(shop)
    with Site.open(shop.site, state=shop.state) as site:
        planned = site.plan(Task("maintenance", "shop", {"maintenance_type": "quick"}))
        result = site.run(planned, yes=True, observer=watched, on_created=watched.created)
    assert result.status == "success"


def test_one_that_is_over_is_told_whole_and_nothing_is_written(shop: Aishell):
    run_id = shop.maintenance("quick").expect(0).run_id

    def files() -> tuple[set[Path], str, int]:
        state = shop.state
        return set(state.parent.rglob("*")), hashlib.sha256(state.read_bytes()).hexdigest(), state.stat().st_mtime_ns

    before = files()
    said = shop("runs", "watch", run_id).expect(0).out
    assert "done" in said
    assert "success in " in said
    assert files() == before


def test_one_that_waits_ends_the_watch_with_its_code(shop: Aishell):
    targets = (shop.config / "targets.yaml").read_text().replace('"test"', '"production"')
    shop.configure("targets.yaml", targets)
    waiting = ("run", "maintenance", "--type", "full", "--target", "shop", "--set", "min_index_size=65536")
    run_id = shop(*waiting, "--output", "json").expect(3).run_id
    said = shop("runs", "watch", run_id[:8]).expect(3).out
    assert "waiting: " in said
    assert f"runs resume {run_id[:8]}" in said
    shop("runs", "cancel", run_id).expect(0)
    assert "cancelled\n" in shop("runs", "watch", run_id).expect(1).out


def test_one_whose_process_is_gone_is_not_waited_for(shop: Aishell):
    assert shop(*shop.arguments("full"), fault=Fault(5, "after")).code == KILLED
    began = time.monotonic()
    said = shop("runs", "watch", shop.only_run()).expect(1).out
    assert time.monotonic() - began < 60
    assert "the process of the run has ended, but the run has not" in said
    assert "runs resume" in said


def test_an_unknown_run_is_told(shop: Aishell):
    shop.maintenance("quick").expect(0)
    assert "unknown run" in shop("runs", "watch", "zzz").expect(2).err


class Midway(Watched):
    """Looks from elsewhere while a step is at its third part."""

    seen: dict[str, Any]

    def step_started(self, step: Any, total: int) -> None: ...

    def step_progress(self, step: Any, done: float, total: float, label: str) -> None:
        if (step.id, done) == ("health", 3):
            assert self.watcher is not None
            out = self.watcher.out
            wait_until(lambda: "  health: " in out.read_text(), "the watcher tells how far it is")
            self.seen = self.site("runs", "show", self.site.only_run(), "--output", "json").expect(0).json


def test_how_far_a_step_is_can_be_seen_while_it_runs(shop: Aishell):
    watched = Midway(shop)
    with Site.open(shop.site, state=shop.state) as site:
        planned = site.plan(Task("maintenance", "shop", {"maintenance_type": "quick"}))
        site.run(planned, yes=True, observer=watched, on_created=watched.created)
    assert watched.watcher is not None
    ended = watched.watcher.wait().expect(0)
    health = watched.seen["steps"][0]
    assert (health["status"], health["progress"]["done"]) == ("started", 1)  # the first is written, others later
    assert health["progress"]["total"] > 3
    assert health["progress"]["percent"] == round(100 / health["progress"]["total"], 1)
    assert f"  health: {health['progress']['percent']:.0f} %" in ended.out
    after = shop("runs", "show", shop.only_run(), "--output", "json").json
    assert not [one for one in after["steps"] if "progress" in one]
    shop("audit", "verify").expect(0)

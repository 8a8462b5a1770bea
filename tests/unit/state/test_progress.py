"""How far a step is, as others see it: written now and then, by whoever drives the run, while the step runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aishell.models import StepStatus
from aishell.reporting.so_far import far
from aishell.state.connection import Record
from aishell.state.progress import EVERY, SEEN, Progress, progress_of
from aishell.state.runs import Runs
from aishell.state.store import Store


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    made = Runs(Store.open(tmp_path / "state.db"))
    steps = [{"index": 0, "id": "tidy", "tool": "vacuum_table"}]
    task = {"task_id": "t", "agent": "a", "target": "x"}
    request = {"engine": "sqlite", "requested_by": "me", "plan_digest": "d"}
    made.create(run_id="r1", owner="me", plan={"task": task, "steps": steps}, tools={}, request=request)
    made.step_started("r1", "me", 0, {"attempt": 1}, task_id="t", total=1)
    return made


def step(runs: Runs) -> Record:
    return runs.steps("r1")[0]


def told(runs: Runs) -> Any:
    progress = step(runs).progress
    return None if progress is None else json.loads(progress)["done"]


def test_it_is_written_every_other_second_and_not_audited(runs: Runs):
    clock = Clock()
    made = Progress(runs.store, "r1", "me", clock)
    head = runs.head()
    written = []
    for done in range(100):
        made.note(0, done, 100, "copying")
        written.append(told(runs))
        clock.now += EVERY / 10
    assert sorted(set(written)) == list(range(0, 100, 10))
    assert runs.head() == head


def test_what_is_left_is_foretold_by_what_was_seen_of_this_count(runs: Runs):
    clock = Clock()
    made = Progress(runs.store, "r1", "me", clock)
    made.note(0, 1000, 2000, "scanning")
    clock.now += SEEN - EVERY
    made.note(0, 1100, 2000, "scanning")
    assert progress_of(step(runs))["eta_seconds"] is None, "too little was seen"  # type: ignore[index]
    clock.now += 10.0 - SEEN + EVERY
    made.note(0, 1500, 2000, "scanning")  # 500 in 10 s
    assert progress_of(step(runs)) | {"at": ""} == {  # type: ignore[operator]
        "done": 1500, "total": 2000, "percent": 75.0, "label": "scanning", "at": "", "eta_seconds": 10.0
    }  # fmt: skip
    assert far(step(runs)) == "75 % (scanning), about 10.0 s left"
    clock.now += EVERY
    made.note(0, 10, 2000, "vacuuming")  # another phase counts anew
    assert progress_of(step(runs))["eta_seconds"] is None  # type: ignore[index]
    clock.now += EVERY
    made.note(0, 20, 0, "")
    assert far(step(runs)) == "20"


def test_behind_the_end_of_a_step_and_by_an_older_process_nothing_is_written(runs: Runs):
    Progress(runs.store, "r1", "somebody else", Clock()).note(0, 1, 2, "")
    assert told(runs) is None
    Progress(runs.store, "r1", "me", Clock()).note(0, 1, 2, "")
    assert told(runs) == 1
    runs.step_started("r1", "me", 0, {"attempt": 2}, task_id="t", total=1)
    assert told(runs) is None, "another attempt begins anew"
    runs.step_ended("r1", "me", 0, {"status": StepStatus.DONE}, task_id="t", total=1)
    Progress(runs.store, "r1", "me", Clock()).note(0, 2, 2, "")
    assert told(runs) is None
    assert progress_of(step(runs)) is None
    assert far(step(runs)) == ""


def test_a_store_that_cannot_be_written_stops_no_step(runs: Runs):
    runs.store.path.rename(runs.store.path.with_suffix(".gone"))
    Progress(runs.store, "r1", "me", Clock()).note(0, 1, 2, "")

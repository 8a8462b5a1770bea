"""What is remembered of earlier runs: speeds as medians, streaks without gain, what was left for another night."""

from __future__ import annotations

import pytest

from aishell.models import RunState, Step, StepStatus, now
from aishell.state import history
from aishell.state.store import Store
from tests.unit.making import start_run

MB = 1 << 20


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def remember(store: Store, *objects: tuple, target: str = "shop", tool: str = "touch", status: str = "ok") -> None:
    """One run for each (object, seconds, bytes before, bytes after), the oldest first."""
    for name, seconds, before, after in objects:
        runs, run_id, owner = start_run(store, target=target)
        row = {
            "target": target, "object": name, "tool": tool, "run_id": run_id, "step_index": 0, "attempt": 1, "status": status,
            "at": now(), "seconds": seconds, "bytes_before": before, "bytes_after": after, "before": "{}",
        }  # fmt: skip
        ended = {"status": StepStatus.DONE}
        runs.step_ended(run_id, owner, 0, ended, task_id="t1", total=1, objects=[row])


def test_a_speed_is_the_median_over_an_objects_runs(store):
    remember(store, ("a", 1, 10 * MB, 0), ("a", 2, 10 * MB, 0), ("a", 10, 10 * MB, 0))
    found = history.load(store, "shop")["touch", "a"]
    assert (found.bytes_per_second, found.runs, found.based_on) == (5 * MB, 3, "this table's history")


def test_a_tools_speed_is_the_median_over_all_its_objects(store):
    remember(store, ("a", 1, 10 * MB, 0), ("b", 2, 10 * MB, 0), ("c", 1, 90 * MB, 0))
    found = history.load(store, "shop")["touch", ""]
    assert (found.bytes_per_second, found.runs) == (10 * MB, 3)
    assert found.based_on == "this tool's history on this target"
    assert found.idle_runs == 0


def test_other_targets_failures_and_what_has_no_figures_are_left_out(store):
    remember(store, ("a", 1, 10 * MB, 0), target="other")
    remember(store, ("b", 1, 10 * MB, 0), status="failed")
    remember(store, ("c", 1, None, None), ("d", 0, 10 * MB, 0))
    assert history.load(store, "shop") == {}


@pytest.mark.parametrize(
    ("gains", "streak"),
    [
        ([(10, 5)], 0),
        ([(10, 10)], 1),
        ([(10, 12)], 1),
        ([(10, 5), (10, 10), (10, 10)], 2),
        ([(10, 10), (10, 10), (10, 10)], 3),
        ([(10, 10), (10, 10), (10, 9)], 0),
    ],
)
def test_the_last_runs_in_a_row_that_gained_nothing_are_counted(store, gains, streak):
    remember(store, *(("a", 1, before * MB, after * MB) for before, after in gains))
    assert history.load(store, "shop")["touch", "a"].idle_runs == streak


def test_only_the_newest_rows_are_looked_at(store, monkeypatch):
    monkeypatch.setattr(history, "RECENT", 2)
    remember(store, ("a", 1, 90 * MB, 0), ("a", 1, 10 * MB, 0), ("a", 1, 10 * MB, 0))
    assert history.load(store, "shop")["touch", "a"].bytes_per_second == 10 * MB


def finish(store: Store, *left: str, target: str = "shop") -> None:
    runs, run_id, owner = start_run(store, target=target)
    runs.change_state(run_id, owner, RunState.EXECUTING)
    deferred = [{"object": name, "reason": "the window closed"} for name in left]
    runs.change_state(run_id, owner, RunState.COMPLETED, result={"output_data": {"deferred": deferred}})


def test_what_the_last_finished_run_of_a_target_left_is_deferred(store):
    assert history.deferred(store, "shop") == frozenset()
    finish(store, "public.old")
    finish(store, "public.a", "public.b")
    finish(store, "public.other", target="other")
    start_run(store)
    assert history.deferred(store, "shop") == {"public.a", "public.b"}
    finish(store)
    assert history.deferred(store, "shop") == frozenset()


@pytest.mark.parametrize(
    ("row", "expected"), [(None, None), ({}, None), ({"bytes": None}, None), ({"bytes": 5}, 5), ({"bytes": 5.0}, 5)]
)
def test_a_size_is_what_the_row_measured(row, expected):
    assert history.size(row) == expected


def made_backup(store: Store, seconds: float, bytes_: int | None, target: str = "shop", kind: str = "full") -> None:
    """A run that made a backup."""
    runs, run_id, owner = start_run(store, Step("backup", f"backup_database_{kind}"), target=target)
    runs.step_ended(run_id, owner, 0, {"status": StepStatus.DONE, "seconds": seconds}, task_id="t1", total=1)
    row = {
        "backup_id": run_id, "target": target, "identity": "it", "engine": "sqlite", "kind": kind, "method": "m",
        "database": "d", "started_at": now(), "finished_at": now(), "path": "/b", "bytes": 1, "source_bytes": bytes_,
        "run_id": run_id, "digest": "d", "rung": "written", "rung_at": now(), "copies": "[]", "pinned": 0,
    }  # fmt: skip
    with store.write() as connection:
        connection.insert("backups", row)


def test_what_backups_took_tells_what_the_next_one_will(store):
    for seconds in (1, 2, 10):
        made_backup(store, seconds, 10 * MB)
    made_backup(store, 5, 10 * MB, kind="incremental")
    made_backup(store, 1, None)
    made_backup(store, 0, 10 * MB)
    made_backup(store, 1, 90 * MB, target="crm")
    found = history.load(store, "shop")
    assert found["backup_database_full", ""].bytes_per_second == 5 * MB
    assert found["backup_database_full", ""].runs == 3
    assert found["backup_database_incremental", ""].bytes_per_second == 2 * MB


@pytest.mark.parametrize(
    ("outcomes", "failed"),
    [
        ([], False),
        ([StepStatus.FAILED], True),
        ([StepStatus.FAILED, StepStatus.DONE], False),
        ([StepStatus.DONE, StepStatus.FAILED], True),
        ([StepStatus.FAILED, StepStatus.SKIPPED], True),
    ],
)
def test_the_last_failure_counts_until_something_succeeds(store, outcomes, failed):
    for status in outcomes:
        runs, run_id, owner = start_run(store)
        runs.step_ended(run_id, owner, 0, {"status": status, "error": "no room"}, task_id="t1", total=1)
    found = history.last_failure(store, "shop", ["touch"])
    assert (found is not None and found[1] == "no room") is failed
    assert history.last_failure(store, "shop", ["other"]) is None
    assert history.last_failure(store, "crm", ["touch"]) is None

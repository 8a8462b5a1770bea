"""What is remembered of earlier runs: what steps took, and streaks without gain."""

from __future__ import annotations

import pytest

from aishell.models import StepStatus, Took, now
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


def took(store: Store, name: str, seconds: float, work: int | None = None, **other: str) -> None:
    row = {"target": "shop", "tool": "touch", "object": name, "at": now(), "seconds": seconds, "work": work}
    with store.write() as connection:
        history.remember(connection, {**row, "unit": None if work is None else "bytes", **other})


def test_what_steps_took_is_known_by_object_and_by_tool_the_newest_first(store):
    for name, seconds in (("a", 1), ("b", 2), ("a", 3)):
        took(store, name, seconds, 10 * MB)
    took(store, "", 4)
    took(store, "a", 9, target="crm")
    found = history.load(store, "shop")
    assert found["touch", "a"].took == (Took(3, 10 * MB, "bytes"), Took(1, 10 * MB, "bytes"))
    assert [one.seconds for one in found["touch", ""].took] == [4, 3, 2, 1]
    assert {key: one.based_on for key, one in found.items()} == {
        ("touch", "a"): "this table's history",
        ("touch", "b"): "this table's history",
        ("touch", ""): "this tool's history on this target",
    }


def test_a_few_of_each_object_are_kept(store):
    for number in range(3 * history.KEPT):
        took(store, "a", number)
    took(store, "b", 1)
    with store.read() as connection:
        assert connection.value("SELECT count(*) FROM step_costs") == history.KEPT + 1
    assert history.load(store, "shop")["touch", "a"].took[0].seconds == 3 * history.KEPT - 1


def test_other_targets_and_failures_are_left_out(store):
    remember(store, ("a", 1, 10 * MB, 0), target="other")
    remember(store, ("b", 1, 10 * MB, 0), status="failed")
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


@pytest.mark.parametrize(
    ("row", "expected"), [(None, None), ({}, None), ({"bytes": None}, None), ({"bytes": 5}, 5), ({"bytes": 5.0}, 5)]
)
def test_a_size_is_what_the_row_measured(row, expected):
    assert history.size(row) == expected


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

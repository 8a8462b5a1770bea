"""Totals: what is counted when, in the transaction that it is of; nothing that falls, nothing twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aishell.codec import canonical
from aishell.models import RunState, Step, StepStatus
from aishell.state.pruning import prune
from aishell.state.readings import Readings, read
from aishell.state.store import Store
from tests.unit.making import start_run
from tests.unit.state.test_store import earlier


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def value(store: Store, metric: str, **labels: str) -> float:
    """The sum of a metric over what fits the labels."""
    found: Readings = read(store)
    return sum(t.value for t in found.totals if t.metric == metric and labels.items() <= t.labels.items())


class Driven:
    """A run of two steps, whose first begins and ends as it is told."""

    def __init__(self, store: Store) -> None:
        self.runs, self.id, self.owner = start_run(store, Step("a", "delete_old_records"), Step("b", "look"))
        self.runs.change_state(self.id, self.owner, RunState.EXECUTING)

    def begin(self) -> None:
        self.runs.step_started(self.id, self.owner, 0, {"attempt": 1}, task_id="t1", total=2)

    def end(self, status: StepStatus, output: Any = None, seconds: float | None = 2.0) -> None:
        values: dict[str, Any] = {"status": status, "output": canonical(output) if output is not None else None}
        if seconds is not None:
            values["seconds"] = seconds
        self.runs.step_ended(self.id, self.owner, 0, values, task_id="t1", total=2)


def test_a_step_counts_when_it_ends(store: Store):
    run = Driven(store)
    run.begin()
    assert value(store, "aishell_steps_total") == 0
    run.end(StepStatus.DONE, {"rows_deleted": 7})
    assert value(store, "aishell_steps_total", tool="delete_old_records", status="done") == 1
    assert value(store, "aishell_step_duration_seconds_sum") == 2
    assert value(store, "aishell_rows_deleted_total") == 7


def test_an_interrupted_step_counts_its_rows_and_no_outcome(store: Store):
    run = Driven(store)
    run.begin()
    run.end(StepStatus.PENDING, {"rows_deleted": 3}, seconds=None)
    assert (value(store, "aishell_steps_total"), value(store, "aishell_rows_deleted_total")) == (0, 3)
    run.begin()
    run.end(StepStatus.DONE, {"rows_deleted": 10})
    assert (value(store, "aishell_steps_total"), value(store, "aishell_rows_deleted_total")) == (1, 10)


def test_what_a_step_tells_again_is_not_counted_again_though_it_had_no_figures_meanwhile(store: Store):
    run = Driven(store)
    for output in ({"rows_deleted": 5}, None, {"rows_deleted": 5}, {"rows_deleted": 2}, {"rows_deleted": 9}):
        run.begin()
        run.end(StepStatus.FAILED, output)
    assert value(store, "aishell_rows_deleted_total") == 9
    assert value(store, "aishell_steps_total", status="failed") == 5


@pytest.mark.parametrize(
    ("output", "reclaimed"),
    [
        ({"bytes_before": 100, "bytes_after": 40}, 60),
        ({"bytes_before": 40, "bytes_after": 100}, 0),
        ({"bytes_before": None, "bytes_after": 40}, 0),
        ({"bytes_before": "much", "bytes_after": []}, 0),
        ([1], 0),
        (None, 0),
    ],
)
def test_bytes_are_what_was_given_back(store: Store, output: Any, reclaimed: int):
    run = Driven(store)
    run.begin()
    run.end(StepStatus.DONE, output)
    assert value(store, "aishell_bytes_reclaimed_total") == reclaimed


def test_a_doubt_that_stays_is_counted_once(store: Store):
    run = Driven(store)
    run.begin()
    run.end(StepStatus.IN_DOUBT)
    run.end(StepStatus.IN_DOUBT)
    assert value(store, "aishell_steps_total", status="in_doubt") == 1
    run.end(StepStatus.DONE)
    assert value(store, "aishell_steps_total", status="done") == 1


def test_a_run_counts_when_it_is_over_with_all_the_time_it_worked(store: Store):
    run = Driven(store)
    run.runs.change_state(run.id, run.owner, RunState.PAUSED, result={"status": "partial", "execution_time": 5})
    assert (value(store, "aishell_runs_total"), value(store, "aishell_run_duration_seconds_sum")) == (0, 5)
    run.runs.change_state(run.id, run.owner, RunState.EXECUTING)
    run.runs.change_state(run.id, run.owner, RunState.COMPLETED, result={"status": "success", "execution_time": 2})
    assert value(store, "aishell_runs_total", status="success") == 1
    assert value(store, "aishell_runs_total") == 1
    assert value(store, "aishell_run_duration_seconds_sum") == 7
    assert value(store, "aishell_run_duration_seconds_count") == 1
    assert value(store, "aishell_run_last_end_timestamp_seconds", status="success") > 1_700_000_000


@pytest.mark.parametrize(("state", "status"), [(RunState.FAILED, "failure"), (RunState.CANCELLED, "cancelled")])
def test_a_run_without_a_result_of_its_own_counts_as_what_it_became(store: Store, state: RunState, status: str):
    run = Driven(store)
    run.runs.change_state(run.id, run.owner, RunState.PAUSED, result={"status": "partial", "execution_time": 1})
    run.runs.change_state(run.id, run.owner, RunState.EXECUTING)
    run.runs.change_state(run.id, run.owner, state)
    assert value(store, "aishell_runs_total", status=status) == value(store, "aishell_runs_total") == 1


def test_pruning_takes_nothing_off(store: Store):
    run = Driven(store)
    run.begin()
    run.end(StepStatus.DONE, {"rows_deleted": 7, "bytes_before": 9, "bytes_after": 1})
    run.runs.change_state(run.id, run.owner, RunState.COMPLETED, result={"status": "success", "execution_time": 2})
    before = read(store).totals
    assert prune(store, keep=0, older_than_days=0).runs == 1
    assert read(store).totals == before
    assert len(before) >= 7


def test_a_store_that_gets_the_table_has_counted_what_was_there(tmp_path: Path):
    """A result that is no JSON any more is no reason not to open the store."""
    path = tmp_path / "state.db"
    with contextlib.closing(earlier(path, 4)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        results = (json.dumps({"status": "success", "execution_time": 4}), None, "{")
        for number, result in enumerate(results):
            made: dict[str, Any] = dict.fromkeys(columns, 0) | {"id": str(number), "agent": "a", "target": "t"}
            made |= {"state": "completed" if result else "executing", "result": result}
            made["ended_at"] = "2026-11-22T01:00:00.5+00:00"
            marks = ", ".join(f":{name}" for name in columns)
            connection.execute(f"INSERT INTO runs ({', '.join(columns)}) VALUES ({marks})", made)
        for number, (status, output) in enumerate(
            (("done", '{"rows_deleted": 4}'), ("failed", "{"), ("started", None))
        ):
            connection.execute(
                """INSERT INTO steps (run_id, step_index, step_id, tool, status, attempt, output, seconds)
                VALUES ('0', ?, 's', 'd', ?, 1, ?, 1.5)""",
                (number, status, output),
            )
    store = Store.open(path)
    assert value(store, "aishell_runs_total", agent="a", target="t", status="success") == 1
    assert value(store, "aishell_run_duration_seconds_sum") == 4
    assert value(store, "aishell_run_last_end_timestamp_seconds", status="success") == 1795309200
    assert value(store, "aishell_steps_total") == 2
    assert value(store, "aishell_step_duration_seconds_sum") == 3
    assert value(store, "aishell_rows_deleted_total") == 4
    store.close()


def test_a_total_is_taken_back_with_what_it_is_of(store: Store):
    """The event that comes last in the transaction has no JSON form."""
    run = Driven(store)
    run.begin()
    before = read(store).totals
    values, broken = {"status": StepStatus.DONE, "seconds": 1.0}, [("x", {"a": object()})]
    with pytest.raises(TypeError):
        run.runs.step_ended(run.id, run.owner, 0, values, task_id="t1", total=2, happened=broken)
    assert read(store).totals == before
    assert run.runs.steps(run.id)[0].status == "started"


def test_a_step_that_never_began_took_no_time(store: Store):
    run = Driven(store)
    run.end(StepStatus.FAILED, seconds=0.0)
    assert value(store, "aishell_steps_total", status="failed") == 1
    assert value(store, "aishell_step_duration_seconds_count") == 0


def test_a_run_that_is_said_to_be_over_again_counts_once(store: Store):
    run = Driven(store)
    for _ in range(2):
        run.runs.change_state(run.id, run.owner, RunState.COMPLETED, result={"status": "success", "execution_time": 0})
    assert value(store, "aishell_runs_total") == value(store, "aishell_run_duration_seconds_count") == 1


@pytest.mark.parametrize(("tables", "known"), [(None, 1), ([["main", "t"]], 0)])
def test_health_is_that_of_a_whole_target(store: Store, tables: Any, known: int):
    runs, run_id, owner = start_run(store, Step("health", "analyze_database_health"))
    runs.change_state(run_id, owner, RunState.EXECUTING)
    began = {"attempt": 1, "params": canonical({"tables": tables})}
    runs.step_started(run_id, owner, 0, began, task_id="t1", total=1)
    ended = {"status": StepStatus.DONE, "seconds": 1.0, "output": canonical({"findings": []})}
    runs.step_ended(run_id, owner, 0, ended, task_id="t1", total=1)
    assert len(read(store).health) == known

"""What goes with old runs, and what stays whatever its age."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from aishell.errors import UnknownNameError
from aishell.models import RunState
from aishell.state import backlog
from aishell.state.backlog import PlannedWork
from aishell.state.pruning import KEPT, Pruned, prune
from aishell.state.store import Store
from tests.unit.making import start_run

OLD, YOUNG = 40, 1  # days


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")


def ledger(
    store: Store, days: float, status: str = "done", outcome: str | None = "success", schedule: str = "nightly"
) -> None:
    row = {"schedule": schedule, "nominal_at": ago(days), "target": "shop", "local_at": "", "status": status, "reason": "",
           "times": 1, "attempts": 1, "decided_at": ago(days), "outcome": outcome}  # fmt: skip
    with store.write() as connection:
        connection.insert("schedule_runs", row)


def remember(store: Store, days: float, name: str = "a", run_id: str = "gone", index: int = 0) -> None:
    row = {"target": "shop", "object": name, "tool": "touch", "run_id": run_id, "step_index": index, "attempt": 1,
           "status": "ok", "at": ago(days), "seconds": 1.0, "before": "{}"}  # fmt: skip
    with store.write() as connection:
        connection.insert("table_history", row)


def count(store: Store, table: str) -> int:
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def pruned(store: Store, keep: int = 0) -> Pruned:
    return prune(store, keep=keep, older_than_days=30)


def test_old_rows_of_the_ledger_go_but_those_open_and_the_last_of_each_outcome(store):
    for number in range(5):
        ledger(store, OLD + number)
    ledger(store, OLD, "missed", None)
    ledger(store, OLD + 1, "missed", None)
    ledger(store, OLD + 9, "waiting", None)
    ledger(store, OLD + 8, "due", None)
    ledger(store, OLD + 7, "due", None)
    ledger(store, YOUNG)
    ledger(store, YOUNG + 1)
    ledger(store, OLD, schedule="weekly")
    assert pruned(store).schedule_runs == 6  # five successes, of which a young one is the last, and one that was missed
    with store.read() as connection:
        left = [(row.schedule, row.status) for row in connection.all("SELECT * FROM schedule_runs ORDER BY id")]
    kept = {"missed": 1, "waiting": 1, "due": 2, "done": 2}
    expected = [("nightly", status) for status, number in kept.items() for _ in range(number)]
    assert sorted(left) == sorted([*expected, ("weekly", "done")])


def test_of_each_object_the_newest_stay_and_all_of_a_run_that_is_still_there(store):
    _, run_id, _ = start_run(store)
    for number in range(KEPT + 4):
        remember(store, OLD, index=number)
    for number in range(3):
        remember(store, OLD, name="b", index=number)
    remember(store, OLD, run_id=run_id, index=1)
    for number in range(KEPT):
        remember(store, YOUNG, name="a", index=100 + number)
    assert pruned(store).objects == KEPT + 4
    assert count(store, "table_history") == 3 + 1 + KEPT


def test_old_nights_go_but_the_newest_of_each_agent(store):
    for number in range(KEPT + 3):
        with store.write() as connection:
            backlog.begin(connection, f"n{number}", PlannedWork("shop", "maintenance", ""))
            connection.execute(
                "UPDATE backlog_nights SET at = :at WHERE run_id = :run", {"at": ago(OLD), "run": f"n{number}"}
            )
    assert pruned(store).nights == 3
    assert count(store, "backlog_nights") == KEPT


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.EXECUTING])
def test_a_run_that_goes_on_stays_and_so_does_what_it_recorded(store, state):
    runs, run_id, owner = start_run(store)
    runs.change_state(run_id, owner, RunState.EXECUTING)
    if state is RunState.COMPLETED:
        runs.change_state(run_id, owner, state)
    with store.write() as connection:
        connection.execute("UPDATE runs SET created_at = :at", {"at": ago(OLD)})
    assert pruned(store).runs == (state is RunState.COMPLETED)
    assert pruned(store).runs == 0


def test_how_much_went_is_in_the_audit_log(store):
    ledger(store, OLD)
    ledger(store, OLD + 1)
    pruned(store)
    with store.read() as connection:
        told = connection.value("SELECT data FROM events ORDER BY id DESC LIMIT 1")
    assert '"schedule_runs":1' in told
    assert '"pruned_runs":0' in told


def workflow(store: Store, name: str, days: float, status: str = "success", stage: str = "done", run: str = "") -> None:
    row = {"id": name, "workflow": "nightly", "definition": "{}", "options": "{}", "status": status, "requested_by": "",
           "host": "", "created_at": ago(days), "ended_at": None if status == "running" else ago(days), "event": 0}  # fmt: skip
    part = {"workflow_id": name, "stage": "backup", "target": "shop", "status": stage, "reason": "", "attempts": 1,
            "run_id": run or None}  # fmt: skip
    with store.write() as connection:
        connection.insert("workflow_runs", row)
        connection.insert("workflow_stages", part)


def test_old_workflows_go_with_their_stages_after_the_runs_of_these_and_only_when_they_are_over(store):
    _, run_id, _ = start_run(store)
    workflow(store, "over", OLD)
    workflow(store, "failed", OLD, "failure", "failed")
    workflow(store, "young", YOUNG)
    workflow(store, "at work", OLD, "running", "running")
    workflow(store, "waits", OLD, "waiting_approval", "waiting")
    workflow(store, "cut off", OLD, "cancelled", "pending")
    workflow(store, "its run is there", OLD, run=run_id)
    assert pruned(store).workflows == 2
    with store.read() as connection:
        left = {row.id for row in connection.all("SELECT id FROM workflow_runs")}
    assert left == {"young", "at work", "waits", "cut off", "its run is there"}
    assert count(store, "workflow_stages") == len(left)


def test_an_id_of_a_workflow_is_told_from_an_unknown_run(store):
    runs, _, _ = start_run(store)
    workflow(store, "5eed" * 8, YOUNG)
    with pytest.raises(UnknownNameError) as caught:
        runs.find("5eed")
    assert "workflow nightly" in str(caught.value.hint)
    assert "workflows show 5eed5eed" in str(caught.value.hint)

"""Runs in the store: transitions, ownership, steps with their checkpoints and events, in one transaction each."""

from __future__ import annotations

import json

import pytest

from aishell.codec import digest
from aishell.errors import AmbiguousNameError, StateError, UnknownNameError
from aishell.models import RunState, Step, StepStatus
from aishell.state import audit
from aishell.state.runs import RESUMABLE, TRANSITIONS, Runs, check_transition
from aishell.state.store import Store
from tests.unit.making import start_run

#: spec: model.md, States.
LEGAL = {
    ("idle", "planning"), ("planning", "executing"), ("planning", "failed"), ("planning", "cancelled"),
    ("executing", "checkpointing"), ("checkpointing", "executing"), ("executing", "completed"),
    ("executing", "waiting_approval"), ("executing", "paused"), ("executing", "failed"), ("executing", "cancelled"),
    ("waiting_approval", "executing"), ("waiting_approval", "paused"), ("waiting_approval", "cancelled"),
    ("waiting_approval", "failed"),
    ("paused", "executing"), ("paused", "cancelled"), ("failed", "executing"),
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def events(runs: Runs, run_id: str) -> list[tuple[str, dict]]:
    return [(row.type, json.loads(row.data)) for row in runs.events(run_id)]


@pytest.mark.parametrize("new", RunState)
@pytest.mark.parametrize("old", RunState)
def test_every_transition_is_legal_or_raises(old, new):
    if (old.value, new.value) in LEGAL:
        check_transition(old, new)
        assert new in TRANSITIONS[old]
    else:
        with pytest.raises(StateError) as caught:
            check_transition(old, new)
        assert caught.value.message == f"a run cannot change from {old.value} to {new.value}"


@pytest.mark.parametrize("state", RunState)
def test_what_is_over_stays_over_and_what_can_be_resumed_can_execute(state):
    if state in (RunState.COMPLETED, RunState.CANCELLED):
        assert not TRANSITIONS[state]
        assert state not in RESUMABLE
    if state in RESUMABLE:
        assert state is RunState.EXECUTING or RunState.EXECUTING in TRANSITIONS[state]


def test_a_new_run_is_planning_with_all_steps_pending(store):
    runs, run_id, _ = start_run(store, Step("a", "touch"), Step("b", "look"))
    assert runs.find(run_id).state == "planning"
    assert [(s.step_id, s.status, s.attempt) for s in runs.steps(run_id)] == [("a", "pending", 0), ("b", "pending", 0)]
    assert [(c.name, c.total_steps) for c in runs.checkpoints(run_id)] == [("plan_created", 2)]
    assert [kind for kind, _ in events(runs, run_id)] == ["state_changed"]


def test_a_transition_is_recorded_with_its_event(store):
    runs, run_id, owner = start_run(store)
    assert runs.change_state(run_id, owner, RunState.EXECUTING, reason="go") is RunState.PLANNING
    assert runs.find(run_id).ended_at is None
    assert runs.change_state(run_id, owner, RunState.COMPLETED, result={"x": 1}) is RunState.EXECUTING
    row = runs.find(run_id)
    assert (row.state, json.loads(row.result)) == ("completed", {"x": 1})
    assert row.ended_at is not None
    assert events(runs, run_id)[1:] == [
        ("state_changed", {"from": "planning", "to": "executing", "reason": "go"}),
        ("state_changed", {"from": "executing", "to": "completed", "reason": "", "result": digest('{"x":1}')}),
    ]


def test_an_illegal_transition_changes_nothing(store):
    runs, run_id, owner = start_run(store)
    before = events(runs, run_id)
    with pytest.raises(StateError):
        runs.change_state(run_id, owner, RunState.COMPLETED, result={})
    assert (runs.find(run_id).state, runs.find(run_id).result) == ("planning", None)
    assert events(runs, run_id) == before


def test_only_the_owner_writes(store):
    runs, run_id, owner = start_run(store)
    runs.claim(run_id, "another")
    writes = (
        lambda: runs.change_state(run_id, owner, RunState.EXECUTING),
        lambda: runs.step_started(run_id, owner, 0, {}, task_id="t1", total=1),
        lambda: runs.step_ended(run_id, owner, 0, {"status": StepStatus.DONE}, task_id="t1", total=1),
        lambda: runs.workflow_completed(run_id, owner, "t1", 1),
    )
    for write in writes:
        with pytest.raises(StateError) as caught:
            write()
        assert "driven by another process" in caught.value.message
    assert [row.status for row in runs.steps(run_id)] == ["pending"]
    assert runs.change_state(run_id, "another", RunState.EXECUTING) is RunState.PLANNING


@pytest.mark.parametrize(
    ("status", "checkpoint", "event"),
    [
        (StepStatus.DONE, "step_0_completed", "step_completed"),
        (StepStatus.FAILED, "step_0_failed", "step_failed"),
        (StepStatus.SKIPPED, "step_0_skipped", "step_skipped"),
    ],
)
def test_a_step_is_recorded_before_and_after_with_its_checkpoints(store, status, checkpoint, event):
    runs, run_id, owner = start_run(store)
    started = {"attempt": 1, "digest": "d", "params": '{"table": "t"}'}
    runs.step_started(run_id, owner, 0, started, task_id="t1", total=1)
    (row,) = runs.steps(run_id)
    assert (row.status, row.attempt, row.digest, row.ended_at) == ("started", 1, "d", None)
    told = [("statement_sent", {"sql": "ANALYZE"})]
    runs.step_ended(run_id, owner, 0, {"status": status, "seconds": 0.5}, task_id="t1", total=1, happened=told)
    (row,) = runs.steps(run_id)
    assert (row.status, row.seconds, row.attempt) == (status.value, 0.5, 1)
    assert row.ended_at is not None
    assert [c.name for c in runs.checkpoints(run_id)] == ["plan_created", "step_0_started", checkpoint]
    assert [kind for kind, _ in events(runs, run_id)] == ["state_changed", "step_started", "statement_sent", event]


def test_an_outcome_that_cannot_be_recorded_whole_is_not_recorded_at_all(store):
    runs, run_id, owner = start_run(store)
    runs.step_started(run_id, owner, 0, {"attempt": 1}, task_id="t1", total=1)
    before = events(runs, run_id)
    broken = [{"target": "shop", "object": "o"}]  # lacks what the history needs
    with pytest.raises(StateError):
        runs.step_ended(run_id, owner, 0, {"status": StepStatus.DONE}, task_id="t1", total=1, objects=broken)
    assert [row.status for row in runs.steps(run_id)] == ["started"]
    assert events(runs, run_id) == before
    assert [c.name for c in runs.checkpoints(run_id)] == ["plan_created", "step_0_started"]


@pytest.mark.parametrize("what", ["pause", "cancel"])
def test_what_another_process_asks_is_told_at_the_next_write(store, what):
    runs, run_id, owner = start_run(store)
    assert runs.requested(run_id) is None
    Runs(store).request(run_id, what)
    assert runs.requested(run_id) == what
    assert runs.step_ended(run_id, owner, 0, {"status": StepStatus.DONE}, task_id="t1", total=1) == what


def test_cancel_goes_before_pause_and_a_claim_forgets_a_pause(store):
    runs, run_id, _ = start_run(store)
    runs.request(run_id, "pause")
    runs.request(run_id, "cancel")
    assert runs.requested(run_id) == "cancel"
    other, second, _ = start_run(store)
    other.request(second, "pause")
    other.claim(second, "new")
    assert other.requested(second) is None


def test_a_run_is_found_by_the_beginning_of_its_id(store):
    runs, _, _ = start_run(store, run_id="abc111")
    start_run(store, run_id="abc222")
    start_run(store, run_id="x%y")
    assert runs.find("abc1").id == "abc111"
    assert runs.find("x%").id == "x%y"
    for text in ("nobody", "%", "a_c1", ""):
        with pytest.raises(UnknownNameError, match="unknown run"):
            runs.find(text)
    with pytest.raises(AmbiguousNameError, match="ambiguous run 'abc'") as caught:
        runs.find("abc")
    assert caught.value.hint == "these begin so: abc111, abc222"


def test_runs_are_listed_newest_first_by_target_and_state(store):
    runs, first, owner = start_run(store)
    _, second, _ = start_run(store, target="other")
    runs.change_state(first, owner, RunState.EXECUTING)
    assert [row.id for row in runs.recent()] == [second, first]
    assert [row.id for row in runs.recent(target="shop")] == [first]
    assert [row.id for row in runs.recent(states=[RunState.PLANNING])] == [second]
    assert [row.id for row in runs.recent(limit=1)] == [second]


def test_tools_are_counted_with_their_success(store):
    runs, run_id, owner = start_run(store, *(Step(name, "touch") for name in "abc"), Step("d", "look"))
    for index, status in enumerate((StepStatus.DONE, StepStatus.FAILED, StepStatus.DONE, StepStatus.SKIPPED)):
        runs.step_ended(run_id, owner, index, {"status": status, "seconds": 1.0 + index}, task_id="t1", total=4)
    (found,) = runs.tool_statistics()
    assert (found["tool"], found["calls"], found["mean_seconds"]) == ("touch", 3, 2.0)
    assert found["success_rate"] == pytest.approx(2 / 3)


def test_every_write_continues_the_audit_chain(store):
    runs, run_id, owner = start_run(store)
    runs.step_started(run_id, owner, 0, {"attempt": 1}, task_id="t1", total=1)
    runs.step_ended(run_id, owner, 0, {"status": StepStatus.DONE}, task_id="t1", total=1)
    runs.event("error_occurred", {"url": "mysql://u:pw@h"}, run_id=run_id)
    with store.read() as connection:
        assert audit.verify(connection, runs.head()[1]) == []
    assert "pw" not in str(events(runs, run_id))

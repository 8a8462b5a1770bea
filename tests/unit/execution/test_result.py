"""From what became of the steps to status, state and exit code."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aishell import errors
from aishell.errors import PRECEDENCE
from aishell.execution.recovery import reopened
from aishell.execution.result import Ending, conclude, deferred
from aishell.models import Cause, RunState, StepResult, StepStatus
from aishell.registry.tool import WAYS

DONE, FAILED, SKIPPED, REJECTED, IN_DOUBT = (
    StepStatus.DONE, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.REJECTED, StepStatus.IN_DOUBT,
)  # fmt: skip
LATER = Cause.DEFERRED


def concluded(outcome: Ending, *results: StepStatus | tuple[StepStatus, Cause]) -> tuple[str, RunState, int]:
    pairs = [(item, None) if isinstance(item, StepStatus) else item for item in results]
    made = {
        str(number): StepResult(number, str(number), "touch", {}, status, cause=cause)
        for number, (status, cause) in enumerate(pairs)
    }
    return conclude(SimpleNamespace(results=made), outcome)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((), ("success", RunState.COMPLETED, 0)),
        ((DONE,), ("success", RunState.COMPLETED, 0)),
        ((DONE, SKIPPED), ("success", RunState.COMPLETED, 0)),
        ((DONE, (SKIPPED, Cause.IDLE)), ("success", RunState.COMPLETED, 0)),
        ((DONE, (SKIPPED, LATER)), ("partial", RunState.COMPLETED, 4)),
        ((DONE, FAILED), ("partial", RunState.COMPLETED, 1)),
        ((DONE, REJECTED), ("rejected", RunState.COMPLETED, 5)),
        ((REJECTED, FAILED, (SKIPPED, LATER)), ("partial", RunState.COMPLETED, 1)),
        ((REJECTED, (SKIPPED, LATER)), ("rejected", RunState.COMPLETED, 5)),
    ],
)
def test_a_walk_to_the_end_is_judged_by_its_worst_step(results, expected):
    assert concluded(Ending(), *results) == expected


@pytest.mark.parametrize("results", [(), (DONE,), (REJECTED,), ((SKIPPED, LATER),)])
def test_damage_is_no_success_although_every_step_was(results):
    made = {str(n): StepResult(n, str(n), "t", {}, s) for n, s in enumerate(results) if isinstance(s, StepStatus)}
    assert conclude(SimpleNamespace(results=made), Ending(), alarming=True) == ("partial", RunState.COMPLETED, 1)


@pytest.mark.parametrize(
    ("results", "code"),
    [((), 3), ((DONE,), 3), (((SKIPPED, LATER),), 3), ((REJECTED,), 5), ((FAILED,), 1), ((FAILED, REJECTED), 1)],
)
def test_a_run_that_waits_for_a_person_says_so_and_hides_no_failure(results, code):
    assert concluded(Ending(waiting=("a",)), *results) == ("waiting_approval", RunState.WAITING_APPROVAL, code)


@pytest.mark.parametrize(
    ("stopped", "expected"),
    [
        ("interrupted", ("cancelled", RunState.PAUSED, 130)),
        ("paused", ("partial", RunState.PAUSED, 4)),
        ("cancelled", ("cancelled", RunState.CANCELLED, 1)),
    ],
)
def test_a_run_that_was_stopped_says_by_what(stopped, expected):
    for results in ((), (DONE,), (FAILED,), (REJECTED,)):
        assert concluded(Ending(stopped=stopped, waiting=("a",)), *results) == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StateError("x"), 2),
        (errors.StepError("x"), 1),
        (errors.DatabaseError("x", kind="connect"), 1),
        (errors.TargetBusyError("x"), 6),
    ],
)
def test_what_broke_a_run_gives_its_code(error, code):
    assert concluded(Ending(broken=error), DONE) == ("failure", RunState.FAILED, code)


def test_a_step_that_stops_the_run_is_a_failure():
    assert concluded(Ending(error_step="a"), FAILED) == ("failure", RunState.FAILED, 1)


@pytest.mark.parametrize("reason", ["deferred: by what it says", "step 'a' failed earlier", None])
@pytest.mark.parametrize("cause", [None, *Cause])
def test_what_is_left_for_another_night_is_told_by_its_cause_alone(cause, reason):
    result = StepResult(0, "a", "touch", {}, SKIPPED, reason=reason, cause=cause)
    assert deferred(result) is (cause is Cause.DEFERRED)


@pytest.mark.parametrize("cause", [None, *Cause])
@pytest.mark.parametrize("attempt", [0, 2])
@pytest.mark.parametrize("runs", ["batched", "each"])
def test_what_waited_for_a_failure_is_tried_again_with_it(cause, attempt, runs):
    """What was begun before it was left out is looked up in the database; of batches stands written what was reached."""
    nothing = dict.fromkeys("params output error started_at seconds approved_by deferred".split())
    reason = "step 'a' failed earlier"
    rows = [
        SimpleNamespace(
            step_index=0, step_id="a", tool="t", status=FAILED, cause=None, reason=None, attempt=1, **nothing
        ),
        SimpleNamespace(
            step_index=1, step_id="b", tool="t", status=SKIPPED, cause=cause, reason=reason, attempt=attempt, **nothing
        ),
        SimpleNamespace(
            step_index=2, step_id="c", tool="t", status=DONE, cause=None, reason=None, attempt=1, **nothing
        ),
    ]
    plan = SimpleNamespace(
        steps=[SimpleNamespace(id=name, tool="t", params={}, undoes=None, on_error="fail") for name in "abc"]
    )
    left_out = StepStatus.STARTED if attempt and runs == "each" else StepStatus.PENDING
    again = {0: StepStatus.PENDING}
    if cause in (Cause.STOPPED, Cause.NEED, Cause.CONDITION):
        again[1] = left_out
    assert reopened(plan, rows, lambda name: SimpleNamespace(way=WAYS[runs])) == again


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.AishellError, 1),
        (errors.UsageError, 2),
        (errors.SettingsError, 2),
        (errors.ParameterError, 2),
        (errors.PlanError, 2),
        (errors.TargetUnavailableError, 2),
        (errors.StateError, 2),
        (errors.StepError, 1),
        (errors.OutgrownError, 1),
        (errors.WaitingError, 3),
        (errors.DeniedError, 5),
        (errors.TargetBusyError, 6),
        (errors.InterruptedRunError, 130),
    ],
)
def test_every_error_has_its_exit_code_and_a_message(error, code):
    assert error().exit_code == code
    assert error().message == (error.__doc__ or "").strip().splitlines()[0]


def test_the_tree_in_the_docstring_is_the_tree():
    classes = {
        name: item
        for name, item in vars(errors).items()
        if isinstance(item, type) and item.__module__ == errors.__name__
    }
    drawn = [line.split("── ")[-1].split()[0] for line in (errors.__doc__ or "").splitlines() if "Error " in line]
    assert {name for name in drawn if name.endswith("Error")} == set(classes)


def test_of_several_targets_the_code_that_counts_most_is_told():
    assert [code for code in PRECEDENCE if code != 2] == [130, 1, 6, 5, 3, 4, 0]


def test_objects_a_step_left_are_deferred_though_the_step_is_done():
    left = ({"object": "public.held", "reason": "locked"},)
    assert deferred(StepResult(0, "a", "touch", {}, DONE, deferred=left))

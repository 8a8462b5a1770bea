"""What a step leaves and makes good in the backlog, and the order of a plan by it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.models import BacklogSize, Cause, Estimate, Left, Shift, Step, StepResult, StepStatus
from aishell.planning.backlog import called_for, first, keys_of, sentences, shift
from aishell.planning.graph import Graph

ORDERS = {"schema": "public", "table": "orders"}
LISTED = {"tables": [{"schema": "public", "table": name} for name in ("a", "b")]}
WINDOW = "deferred: the window has closed"


def ended(params: dict, status: StepStatus = StepStatus.DONE, **facts) -> StepResult:
    return StepResult(0, "s", "touch", params, status, **facts)


def step(params: dict, seconds: float | None = 9.0, **facts) -> Step:
    return Step("s", "touch", params, estimate=Estimate(seconds, **facts))


def moved(result: StepResult, one: Step | None = None, *, read_only: bool = False) -> Shift | None:
    return shift(one or step(dict(result.params)), result, read_only=read_only)


def deferred(name: str, reason: str = "locked") -> dict:
    return {"object": name, "reason": reason}


def test_the_names_of_a_step_are_its_object_and_each_of_its_list():
    assert keys_of("touch", ORDERS) == {("touch", "public.orders")}
    assert keys_of("touch", LISTED) == {("touch", ""), ("touch", "public.a"), ("touch", "public.b")}
    assert called_for([step(ORDERS), step(LISTED)]) == {
        ("touch", "public.orders"): 9.0, ("touch", ""): 9.0, ("touch", "public.a"): None, ("touch", "public.b"): None,
    }  # fmt: skip


def test_another_way_to_the_same_end_is_the_same_work():
    by_date, by_key = (keys_of(f"delete_old_records{way}", ORDERS) for way in ("_by_date", ""))
    assert by_date == by_key == {("delete_old_records", "public.orders")}
    found = shift(
        Step("s", "optimize_offline_table"), replace(ended(ORDERS), tool="optimize_offline_table"), read_only=False
    )
    assert found == Shift((("optimize_table", "public.orders"),))


def test_a_name_with_a_reference_s_beginning_is_the_same_in_a_plan_and_in_a_result():
    planned = step({"schema": "public", "table": "odd$${x}"})
    assert called_for([planned]).keys() == keys_of("touch", {"schema": "public", "table": "odd${x}"})


def test_what_was_done_goes():
    assert moved(ended(ORDERS)) == Shift((("touch", "public.orders"),))


def test_what_the_window_left_whole_comes_with_its_forecast():
    found = moved(ended(ORDERS, StepStatus.SKIPPED, cause=Cause.DEFERRED, reason=WINDOW))
    assert found == Shift((), (Left("touch", "public.orders", "the window has closed", seconds=9.0),))


def test_of_a_list_what_was_left_comes_and_the_others_go():
    found = moved(ended(LISTED, deferred=(deferred("public.b"),)))
    assert found == Shift((("touch", ""), ("touch", "public.a")), (Left("touch", "public.b", "locked"),))


def test_a_list_of_which_all_was_left_is_no_longer_left_as_a_whole():
    left = tuple(deferred(f"public.{name}") for name in "ab")
    found = moved(ended(LISTED, StepStatus.SKIPPED, cause=Cause.DEFERRED, deferred=left))
    assert found == Shift((("touch", ""),), tuple(Left("touch", f"public.{name}", "locked") for name in "ab"))


def test_an_object_by_a_name_that_no_plan_gives_it_is_the_step_s_own():
    found = moved(ended({"schema": "main"}, deferred=(deferred("main"),)))
    assert found is not None
    assert [(item.object, item.seconds) for item in found.left] == [("", 9.0)]


@pytest.mark.parametrize(("expected", "seconds"), [(1.0, 0.8), (100.0, 80.0), (None, None)])
def test_what_was_done_in_part_is_forecast_by_its_share_of_what_was_expected(expected, seconds):
    done = ended(ORDERS, output={"rows_deleted": 200}, execution_time=4.0, deferred=(deferred("public.orders"),))
    found = moved(done, step(ORDERS, expected, work=1000, unit="rows"))
    assert found == Shift((), (Left("touch", "public.orders", "locked", seconds=seconds),))


@pytest.mark.parametrize("cause", [Cause.IDLE, Cause.CONDITION])
def test_what_is_not_called_for_goes(cause):
    assert moved(ended(ORDERS, StepStatus.SKIPPED, cause=cause)) == Shift((("touch", "public.orders"),))


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (StepStatus.FAILED, None),
        (StepStatus.REJECTED, None),
        (StepStatus.IN_DOUBT, None),
        (StepStatus.PENDING, None),
        (StepStatus.SKIPPED, None),
        (StepStatus.SKIPPED, Cause.NEED),
        (StepStatus.SKIPPED, Cause.STOPPED),
        (StepStatus.SKIPPED, Cause.PRIVILEGE),
    ],
)
def test_what_says_nothing_of_the_work_leaves_the_backlog_as_it_is(status, cause):
    assert moved(ended(ORDERS, status, cause=cause)) is None


def test_what_only_looks_is_no_work_but_for_the_check_for_damage():
    left = ended(ORDERS, StepStatus.SKIPPED, cause=Cause.DEFERRED, reason=WINDOW)
    assert moved(left, read_only=True) is None
    check = replace(left, tool="check_table_corruption")
    assert moved(check, replace(step(ORDERS), tool=check.tool), read_only=True) is not None


def numbered(*steps: Step) -> tuple[Step, ...]:
    return tuple(replace(one, index=number) for number, one in enumerate(steps))


def make(name: str, *needs: str, **facts) -> Step:
    return Step(name, "touch", {"schema": "public", "table": name}, needs=needs, **facts)


def left(name: str, since: str = "2026-11-20T01:00:00") -> Left:
    return Left("touch", f"public.{name}", "the window has closed", since, nights=2)


def order(steps: tuple[Step, ...]) -> list[str]:
    assert [one.index for one in steps] == list(range(len(steps)))
    return [one.id for one in steps]


def test_the_oldest_of_the_backlog_comes_first_with_what_it_needs_and_the_report_stays_last():
    steps = numbered(make("health"), make("new", "health"), make("measure", "health"), make("old", "measure"), make("older"),
                     make("report", "health", "new", "old", always=True))  # fmt: skip
    backlog = [left("old"), left("older", "2026-11-19T01:00:00")]
    found = first(steps, backlog, lambda one: False)
    assert order(found) == ["older", "health", "measure", "old", "new", "report"]
    told = found[3]
    assert told.rationale.startswith("Left over from an earlier window, so it comes first.")
    assert told.evidence[0].metric == "nights_left_undone"
    assert told.evidence[0].value == 2
    assert told.evidence[0].method == "backlog, since 2026-11-20 01:00Z: the window has closed"
    assert found[4] == replace(steps[1], index=4)


def test_what_is_urgent_goes_before_the_backlog():
    steps = numbered(make("a"), make("b"), make("c"))
    assert order(first(steps, [left("b")], lambda one: one.id == "c")) == ["c", "b", "a"]


def test_a_plan_without_work_of_the_backlog_stays_as_it_is():
    steps = numbered(make("a"), make("b"))
    assert first(steps, [left("gone")], lambda one: True) == steps


def test_a_reference_by_number_still_means_its_step():
    refers = make("b", when="${step_0.output.x} > 1")
    found = first(numbered(make("a"), refers, make("c")), [left("c")], lambda one: False)
    assert order(found) == ["c", "a", "b"]
    assert found[2].when == "${steps.a.output.x} > 1"


@given(st.data())
def test_any_plan_keeps_its_steps_and_no_step_comes_before_one_it_needs(data):
    number = data.draw(st.integers(1, 8))
    steps = numbered(
        *(
            make(str(n), *data.draw(st.sets(st.sampled_from([str(m) for m in range(n)])) if n else st.just(set())))
            for n in range(number)
        )
    )
    names = st.sets(st.sampled_from([one.id for one in steps]))
    owed, urgent = data.draw(names), data.draw(names)
    found = order(first(steps, [left(name) for name in owed], lambda one: one.id in urgent))
    assert sorted(found) == sorted(one.id for one in steps)
    needs = Graph(steps).needs
    for name in found:
        assert all(found.index(need) < found.index(name) for need in needs[name])
    serving = {n for one in (owed | urgent) for n in (one, *needs[one])}
    for one in owed:  # before it only what is urgent, owed as well, or needed by such
        assert set(found[: found.index(one)]) <= _with_needs(serving, needs)


def _with_needs(names: set[str], needs: dict) -> set[str]:
    while more := {need for name in names for need in needs[name]} - names:
        names = names | more
    return names


def size(items: int, seconds: float = 0.0, unknown: int = 0, longest: Left | None = None) -> BacklogSize:
    return BacklogSize(items, seconds, unknown, longest=longest)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (size(0), size(0), []),
        (size(0), size(2, 90), ["The backlog grew from 0 to 2 item(s), about 1 min 30 s."]),
        (
            size(3),
            size(2, 4, 1),
            ["The backlog shrank from 3 to 2 item(s), about 4.0 s and 1 of unknown length."],
        ),
        (size(2), size(2, 0, 2), ["The backlog stays at 2 item(s), time unknown."]),
        (size(2, 5), size(0), ["The backlog is empty again: 2 item(s) were in it."]),
    ],
)
def test_whether_it_grows_or_shrinks_is_said(before, after, told):
    assert sentences(before, after, (), 60.0) == told


def test_work_longer_than_the_whole_window_and_a_window_too_small_are_said():
    long = replace(left("big"), seconds=70.0)
    told = sentences(size(1), size(1, 70, longest=long), [(100.0, 40.0), (80.0, 60.0), (90.0, 50.0)], 60.0)
    assert told[1:] == [
        "touch of public.big alone takes about 1 min 10 s, more than the whole window of 1 min 0 s.",
        "The window is too short: over the last 3 nights about 1 min 30 s of work came up per night, and 50.0 s was done.",
    ]
    assert len(sentences(size(1), size(1, 70, longest=long), (), None)) == 1

"""The backlog in the store: what comes and goes with steps, what is no longer needed, and when a window is too small."""

from __future__ import annotations

import json

import pytest

from aishell.codec import plain
from aishell.errors import UnknownNameError
from aishell.models import Left, Shift, StepStatus
from aishell.state import backlog
from aishell.state.backlog import Backlog, PlannedWork
from aishell.state.runs import Runs
from aishell.state.store import Store
from tests.unit.making import make_plan, start_run

KEY = ("touch", "public.a")


@pytest.fixture
def store(tmp_path):
    made = Store.open(tmp_path / "state.db")
    yield made
    made.close()


def facts(
    *called: str, inputs: str = "these", window: float | None = 60.0, seconds: float | None = None, **where: str
) -> PlannedWork:
    calls = {("touch", f"public.{name}"): seconds for name in called}
    return PlannedWork(
        **{"target": "shop", "agent": "maintenance", **where}, inputs=inputs, called_for=calls, window=window
    )


def begin(store: Store, run_id: str, one: PlannedWork) -> None:
    with store.write() as connection:
        backlog.begin(connection, run_id, one)


def left(*names: str, seconds: float | None = 10.0, reason: str = "the window has closed") -> tuple[Left, ...]:
    return tuple(Left("touch", f"public.{name}", reason, seconds=seconds) for name in names)


def change(store: Store, run_id: str, *items: Left, gone: tuple[str, ...] = (), one: PlannedWork | None = None) -> None:
    with store.write() as connection:
        backlog.change(connection, run_id, one or facts(), Shift(tuple(("touch", f"public.{n}") for n in gone), items))


def objects(store: Store, target: str = "shop", agent: str = "maintenance") -> list[str]:
    return [item.object.removeprefix("public.") for item in Backlog(store).items(target, agent)]


def test_an_item_keeps_its_age_and_counts_the_runs_that_left_it(store):
    change(store, "one", *left("a", seconds=4))
    (before,) = Backlog(store).items("shop", "maintenance")
    change(store, "one", *left("a", seconds=5, reason="locked"))  # a run that is resumed leaves it once
    change(store, "two", *left("a", "b", seconds=6, reason="locked"))
    after, other = Backlog(store).items("shop", "maintenance")
    assert (before.nights, before.seconds, before.reason) == (1, 4, "the window has closed")
    assert (after.nights, after.seconds, after.reason, after.since) == (2, 6, "locked", before.since)
    assert other.nights == 1


def test_what_was_done_goes_and_only_on_that_target_by_that_agent(store):
    for where in ({}, {"target": "crm"}, {"agent": "log_cleanup"}):
        change(store, "one", *left("a"), one=facts(**where))
    change(store, "two", gone=("a", "never_there"))
    assert objects(store) == []
    assert objects(store, target="crm") == objects(store, agent="log_cleanup") == ["a"]


def test_what_a_plan_by_the_same_inputs_does_not_call_for_goes_and_what_another_looks_for_stays(store):
    change(store, "one", *left("a", "b"))
    begin(store, "other", facts("x", inputs="others"))
    assert objects(store) == ["a", "b"]
    begin(store, "two", facts("b", "new"))
    assert objects(store) == ["b"]
    night = Backlog(store).ended("two", 1.0, cut=False)
    assert night is not None
    assert (night.before.items, night.after.items) == (2, 1)


def test_a_plan_expects_anew_what_an_item_takes(store):
    change(store, "one", *left("a", "b", seconds=1))
    begin(store, "two", facts("a", "b", seconds=7.5))
    begin(store, "three", facts("a", "b", seconds=None))
    assert [item.seconds for item in Backlog(store).items("shop", "maintenance")] == [7.5, 7.5]


def test_a_step_s_share_is_written_with_its_outcome_or_not_at_all(store):
    runs, run_id, owner = start_run(store)
    ended = {"status": StepStatus.SKIPPED}
    runs.step_ended(run_id, owner, 0, ended, task_id="t", total=1, shift=(facts(), Shift((), left("a"))))
    assert objects(store) == ["a"]
    with pytest.raises(Exception, match="driven by another process"):
        runs.step_ended(run_id, "a stale owner", 0, ended, task_id="t", total=1, shift=(facts(), Shift((KEY,))))
    assert objects(store) == ["a"]


def test_a_run_that_is_recorded_begins_its_night(store):
    change(store, "one", *left("a"))
    plan, owner = make_plan(), "me"
    request = {"engine": "sqlite", "requested_by": "me@here", "plan_digest": plan.digest}
    Runs(store).create(run_id="two", owner=owner, plan=plain(plan), tools={}, request=request, facts=facts())
    assert objects(store) == []


def test_sizes_are_by_target(store):
    assert Backlog(store).sizes() == {}
    change(store, "one", *left("a", seconds=4), *left("b", seconds=8), *left("c", seconds=None))
    change(store, "one", *left("d", seconds=1), one=facts(target="crm", agent="log_cleanup"))
    stands = Backlog(store).sizes()
    assert (stands["shop"].items, stands["shop"].seconds, stands["shop"].unknown) == (3, 12, 1)
    assert stands["shop"].longest is not None
    assert stands["shop"].longest.object == "public.b"
    assert stands["shop"].oldest == Backlog(store).items("shop", "maintenance")[0].since
    assert stands["crm"].items == 1


def test_an_item_that_is_dropped_is_gone_and_in_the_audit_log(store):
    change(store, "one", *left("a", "b"))
    first, second = Backlog(store).rows()
    with pytest.raises(UnknownNameError, match="item of the backlog"):
        Backlog(store).drop([first.id, 99], "me@here")
    assert objects(store) == ["a", "b"]
    Backlog(store).drop([second.id], "me@here", "retired")
    assert objects(store) == ["a"]
    with store.read() as connection:
        (event,) = connection.all("SELECT data FROM events WHERE type = 'backlog_dropped'")
    told = json.loads(event.data)
    assert (told["object"], told["by"], told["reason"]) == ("public.b", "me@here", "retired")


def test_a_run_of_an_earlier_release_has_no_night(store):
    assert Backlog(store).ended("unknown", 1.0, cut=True) is None


def nights(store: Store, *plan: tuple[int, int], window: float | None = 60.0, cut: bool = True) -> list[tuple]:
    """Nights that each find so many new tables and do so many, of ten seconds each, the oldest first; what each says is short."""
    told, standing, number = [], list[str](), 0
    for night, (new, done) in enumerate(plan):
        run_id = f"night {night}"
        arisen = [f"t{number + n}" for n in range(new)]
        number += new
        standing += arisen
        begin(store, run_id, facts(*standing, window=window, seconds=10.0))
        gone, standing = standing[:done], standing[done:]
        change(store, run_id, *left(*standing), gone=tuple(gone))
        ended = Backlog(store).ended(run_id, 10.0 * len(gone), cut=cut and bool(standing))
        assert ended is not None
        told.append(ended.short)
    return told


def test_a_window_in_which_more_arises_than_fits_is_too_small_after_three_nights_that_began_with_a_backlog(store):
    *before, last = nights(store, (8, 6), (8, 6), (8, 6), (8, 6))
    assert before == [(), (), ()]
    assert last == ((80.0, 60.0),) * 3


@pytest.mark.parametrize(
    "plan",
    [
        [(30, 6), (1, 6), (1, 6), (1, 6)],  # the work of years, and it becomes less
        [(15, 5), (0, 5), (0, 5)],
        [(9, 6), (6, 6), (6, 6), (6, 6), (6, 6)],  # it neither grows nor shrinks
        [(8, 6), (8, 6), (2, 12), (8, 6), (8, 6)],  # a night between made it all good
    ],
)
def test_a_backlog_that_does_not_grow_from_night_to_night_says_nothing_of_the_window(store, plan):
    assert not any(nights(store, *plan))


def test_runs_without_an_end_measure_no_window(store):
    assert not any(nights(store, *[(8, 6)] * 5, window=None))


def test_what_was_no_longer_needed_did_not_become_less_by_work(store):
    """Each night ten come, six are done, and four become needless: the backlog is empty, and the window is too small."""
    standing: list[str] = []
    short: list = []
    for night in range(5):
        new = [f"n{night}_{n}" for n in range(10)]
        begin(store, str(night), facts(*new, seconds=10.0))
        standing = new[6:]
        change(store, str(night), *left(*standing), gone=tuple(new[:6]))
        ended = Backlog(store).ended(str(night), 60.0, cut=True)
        assert ended is not None
        short.append(ended.short)
    assert short[-1][0] == (100.0, 60.0)

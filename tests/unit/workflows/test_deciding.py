"""What is done next with each stage on each target: the order, the limits, and what a failure means, without a store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.workflows.deciding import (
    LONGEST,
    Board,
    Limits,
    Status,
    Why,
    concluded,
    is_over,
    retry_at,
)
from aishell.workflows.workflows import Workflow

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
NIGHT = {"backup": {"agent": "backup"}, "clean": {"agent": "log-cleanup", "needs": ["backup"]}}
NIGHT |= {"tidy": {"agent": "maintenance", "needs": ["clean"]}}


@dataclass(frozen=True)
class Row:
    id: int
    stage: str
    target: str = "shop"
    status: str = "pending"
    cause: str | None = None
    attempts: int = 0
    exit_code: int | None = None
    ended_at: str | None = None

    def ended(self, code: int, attempts: int = 1) -> Row:
        status = Status.DONE if code in (0, 4) else Status.FAILED
        return replace(self, status=status, exit_code=code, attempts=attempts, ended_at=NOW.isoformat())


def night(**changes: dict[str, Any]) -> Workflow:
    stages = {name: {**one, **changes.get(name, {})} for name, one in NIGHT.items()}
    return Workflow.of("night", {"stages": stages})


def rows(*targets: str) -> list[Row]:
    places = [(stage, target) for stage in NIGHT for target in targets or ("shop",)]
    return [Row(number, stage, target) for number, (stage, target) in enumerate(places)]


def ready(workflow: Workflow, known: list[Row], now: datetime) -> list[Row]:
    return Board(workflow, known).ready(now)


def hindered(row: Row, workflow: Workflow, known: list[Row]) -> str | None:
    return Board(workflow, known).hindered(row)


def names(found: list[Row]) -> list[tuple[str, str]]:
    return [(row.stage, row.target) for row in found]


def test_a_stage_begins_when_all_that_it_needs_is_over_on_its_target():
    first, second, *others = rows("shop", "crm")
    assert names(ready(night(), [first, second, *others], NOW)) == [("backup", "shop"), ("backup", "crm")]
    after = [first.ended(0), second, *others]
    assert names(ready(night(), after, NOW)) == [("backup", "crm"), ("clean", "shop")]


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6])
def test_what_did_not_do_its_work_holds_back_what_needs_it_on_that_target_only(code):
    first, second, clean_shop, clean_crm, *others = rows("shop", "crm")
    known = [first.ended(code), second.ended(0), clean_shop, clean_crm, *others]
    assert hindered(clean_shop, night(), known) is not None
    assert hindered(clean_crm, night(), known) is None
    assert hindered(clean_shop, night(backup={"on_failure": "continue"}), known) is None


def test_what_was_not_run_holds_back_though_its_own_failure_would_not():
    """`on_failure: continue` speaks of a stage that failed; the backup before it did not happen."""
    backup, clean, tidy = rows()
    left = replace(clean, status=Status.SKIPPED, cause=Why.NEED)
    known = [backup.ended(1), left, tidy]
    assert hindered(tidy, night(clean={"on_failure": "continue"}), known) == "needs clean, which was not run"


def test_a_false_condition_holds_nothing_back():
    backup, clean, tidy = rows()
    known = [backup.ended(0), replace(clean, status=Status.SKIPPED, cause=Why.CONDITION), tidy]
    assert hindered(tidy, night(), known) is None
    assert names(ready(night(), known, NOW)) == [("tidy", "shop")]


def test_a_stage_of_another_target_is_waited_for_on_all_of_its_targets():
    primary, other, tidy = Row(1, "backup", "db1"), Row(2, "backup", "db2"), Row(3, "clean", "report")
    assert names(ready(night(), [primary.ended(0), other, tidy], NOW)) == [("backup", "db2")]
    known = [primary.ended(0), other.ended(1), tidy]
    assert hindered(tidy, night(), known) == "needs backup on db2, which failed (exit 1)"


def test_what_waits_for_a_person_holds_its_target_and_no_other():
    first, second, *others = rows("shop", "crm")
    known = [replace(first, status=Status.WAITING, exit_code=3), second.ended(0), *others]
    assert ("clean", "shop") not in names(ready(night(), known, NOW))
    assert ("clean", "crm") in names(ready(night(), known, NOW))


def test_what_failed_is_tried_again_so_often_each_time_later():
    workflow = night(backup={"retries": 8})
    backup, stage = rows()[0], workflow.stage("backup")
    waits = [retry_at(backup.ended(1, attempts), stage) for attempts in range(1, 10)]
    seconds = [None if at is None else (at - NOW).total_seconds() for at in waits]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, LONGEST.total_seconds(), None]
    assert ready(workflow, [backup.ended(1)], NOW) == []
    assert names(ready(workflow, [backup.ended(1)], NOW + timedelta(seconds=1))) == [("backup", "shop")]


@pytest.mark.parametrize(("code", "again"), [(1, True), (2, True), (6, True), (4, False), (5, False), (0, False)])
def test_only_what_may_go_well_another_time_is_tried_again(code, again):
    workflow = night(backup={"retries": 1})
    assert is_over(rows()[0].ended(code), workflow.stage("backup")) is not again


def limits(total: int = 99, per_host: int = 99, **took: float) -> Limits:
    return Limits(total, per_host, lambda target: target[0], lambda agent, target: took.get(target))


def test_the_target_with_the_most_left_begins_and_what_never_ran_before_all():
    known = rows("a", "b", "c")
    begun = Board(night(), known).startable(ready(night(), known, NOW), (), limits(total=2, a=5, b=60))
    assert names(begun) == [("backup", "c"), ("backup", "b")]


@given(
    st.lists(st.sampled_from(["a1", "a2", "a3", "b1", "b2", "c1"]), min_size=1, unique=True),
    st.sets(st.integers(0, 17)),
    st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 4)),
)
def test_no_limit_is_ever_passed_and_none_is_left_unused(targets, working, most):
    """What is at work may be anything; whatever could begin besides does."""
    total, per_host, per_stage = most
    workflow = night(backup={"max_concurrent": per_stage}, clean={"needs": []}, tidy={"needs": []})
    known, bounds = rows(*targets), limits(total, per_host)
    at_work = [row for row in known if row.id in working]
    candidates = [row for row in known if row.id not in working]
    begun = Board(workflow, known).startable(candidates, {row.id for row in at_work}, bounds)
    before, after = _loads(at_work), _loads([*at_work, *begun])
    for load, most_ in (("", total), *((host, per_host) for host in "abc"), ("backup", per_stage)):
        assert after[load] <= max(most_, before[load])
    assert all(after[target] == 1 for target in {row.target for row in begun})
    for row in set(candidates) - set(begun):
        full = after[""] >= total or after[row.target[0]] >= per_host or after[row.target] > 0
        assert full or (row.stage == "backup" and after["backup"] >= per_stage), row


def _loads(found: list[Row]) -> Counter[str]:
    return Counter(key for row in found for key in ("", row.target[0], row.target, row.stage))


@pytest.mark.parametrize(("codes", "expected"), [
    ((0, 0), ("success", 0)), ((0, 1), ("partial", 1)), ((1, 1), ("failure", 1)), ((0, 4), ("partial", 4)),
    ((0, 5), ("rejected", 5)), ((2, 2), ("failure", 2)), ((6, 4), ("partial", 6)),
])  # fmt: skip
def test_the_result_is_that_of_the_stage_that_counts_most(codes, expected):
    found = [row.ended(code) for row, code in zip(rows("shop", "crm"), codes, strict=False)]
    assert concluded(found) == expected


def test_what_was_left_out_waits_or_was_cut_off_counts_too():
    backup, clean, tidy = rows()
    done, waiting = backup.ended(0), replace(clean, status=Status.WAITING, exit_code=3)
    assert concluded([done, waiting, tidy]) == ("waiting_approval", 3)
    assert concluded([done, replace(clean, status=Status.RUNNING), tidy]) == ("cancelled", 130)
    assert concluded([done, clean], interrupted=True) == ("cancelled", 130)
    left = {why: replace(clean, status=Status.SKIPPED, cause=why) for why in Why}
    assert concluded([done, left[Why.DEFERRED]]) == ("partial", 4)
    assert concluded([done, left[Why.CONDITION]]) == ("success", 0)
    assert concluded([backup.ended(1), left[Why.NEED]]) == ("failure", 1)

"""What a step took is remembered where it says something of the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aishell.execution.recording import cost_of
from aishell.models import Estimate, Step, StepResult, StepStatus

STEP = Step("a", "touch", estimate=Estimate(1.0, None, "x", 500, "bytes"))
RESULT = StepResult(
    0, "a", "touch", {"schema": "s", "table": "t"}, StepStatus.DONE, output={}, attempts=1, execution_time=20.0
)


def test_a_finished_step_tells_its_time_and_its_work():
    cost = cost_of("shop", STEP, RESULT)
    assert cost is not None
    assert {name: cost[name] for name in ("target", "tool", "object", "seconds", "work", "unit")} == {
        "target": "shop", "tool": "touch", "object": "s.t", "seconds": 20.0, "work": 500, "unit": "bytes",
    }  # fmt: skip


@pytest.mark.parametrize("field", ["rows_deleted", "rows_archived", "rows_loaded"])
def test_rows_that_were_counted_are_the_work(field):
    cost = cost_of("shop", STEP, replace(RESULT, output={field: 7}))
    assert cost is not None
    assert (cost["work"], cost["unit"]) == (7, "rows")


def test_what_a_window_cut_short_tells_what_its_rows_took():
    """Else what never fits into its window is expected wrongly for ever."""
    left = {"deferred": ({"object": "s.t", "reason": "the window has closed"},)}
    cost = cost_of("shop", STEP, replace(RESULT, output={"rows_deleted": 7}, **left))
    assert cost is not None
    assert (cost["seconds"], cost["work"], cost["unit"]) == (20.0, 7, "rows")
    assert cost_of("shop", STEP, replace(RESULT, output={"rows_deleted": 0}, **left)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": StepStatus.FAILED},
        {"status": StepStatus.SKIPPED},
        {"attempts": 2},
        {"deferred": ({"object": "s.t", "reason": "locked"},)},
        {"execution_time": 0.0},
    ],
)
def test_what_is_not_a_whole_step_tells_nothing(change):
    assert cost_of("shop", STEP, replace(RESULT, **change)) is None

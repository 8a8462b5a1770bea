"""How many rows came in a day, from what a clean-up found and left: pure."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.models import StepResult, StepStatus
from aishell.reporting.report import _a_day


@pytest.mark.parametrize(
    ("output", "left", "dropped", "params", "rate"),
    [
        ({}, 0, 0, {}, 10.0),
        ({}, 900, 0, {"max_rows": 100}, 100.0),  # what is left came in the same days
        ({}, 0, 400, {}, 50.0),  # so did what went with partitions
        ({}, None, 0, {}, None),
        ({}, 0, None, {}, None),  # a partition that was not counted
        ({}, 0, 0, {"filters": [{"column": "level", "operator": "=", "value": "debug"}]}, None),
        ({"uncounted_batches": 1}, 0, 0, {}, None),
    ],
)
def test_all_old_rows_by_all_their_days(output: Any, left: Any, dropped: Any, params: Any, rate: float | None) -> None:
    result = StepResult(0, "delete", "delete_old_records", params, StepStatus.DONE, {"rows_deleted": 100, **output})
    assert _a_day(result, left, 10.0, dropped) == rate
    assert _a_day(result, left, None, dropped) is None

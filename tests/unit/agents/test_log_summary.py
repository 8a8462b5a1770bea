"""What a log clean-up says of itself: exact figures, those that may miss something, and those of a step that was stopped."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.agents.log_cleanup import LogCleanupAgent
from aishell.models import StepResult, StepStatus, Task


def told(output: dict[str, Any] | None, status: StepStatus = StepStatus.DONE) -> tuple[dict[str, Any], str]:
    params = {"schema": "public", "table": "app_log", "cutoff": "2026-01-01"}
    result = StepResult(0, "delete_app_log", "delete_old_records", params, status, output=output)
    return LogCleanupAgent().summarise(Task("log_cleanup", "shop"), [result])


def test_what_was_counted_is_said_as_it_is():
    data, text = told({"rows_deleted": 5000, "remaining": 0, "uncounted_batches": 0, "rows_uncounted": 0})
    assert text == "5,000 old row(s) were deleted (public.app_log: 5,000)."
    assert not {"uncounted_batches", "rows_uncounted"} & data.keys()


@pytest.mark.parametrize(
    ("most", "said"),
    [(None, "the rows of one or two batches may have gone"), (2000, "up to 2,000 more row(s) may have gone")],
)
@pytest.mark.parametrize("rows", [0, 5000])
def test_what_may_be_missing_is_said(rows, most, said):
    data, text = told({"rows_deleted": rows, "remaining": 0, "uncounted_batches": 2, "rows_uncounted": most})
    assert text.startswith(f"At least {rows:,} old row(s) were deleted (public.app_log: at least {rows:,}). 2 time(s)")
    assert said in text
    assert (data["uncounted_batches"], data["rows_uncounted"]) == (2, most)
    assert data["tables"]["public.app_log"]["uncounted_batches"] == 2


@pytest.mark.parametrize("status", [StepStatus.PENDING, StepStatus.FAILED])
def test_a_step_that_did_not_come_to_its_end_tells_what_it_did(status):
    data, text = told({"rows_deleted": 5000, "batches": 3, "uncounted_batches": 0}, status)
    assert data["rows_deleted"] == 5000
    assert text.startswith("5,000 old row(s) were deleted (public.app_log: 5,000).")
    assert ("was stopped before its end" in text) == (status is StepStatus.PENDING)

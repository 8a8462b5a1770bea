"""What a log clean-up says of itself: exact figures, those that may miss something, and those of a step that was stopped."""

from __future__ import annotations

from typing import Any

import pytest

from aishell.agents.log_cleanup.agent import LogCleanupAgent
from aishell.models import StepResult, StepStatus, Task


def told(
    output: dict[str, Any] | None, status: StepStatus = StepStatus.DONE, **more: Any
) -> tuple[dict[str, Any], str]:
    params = {"schema": "public", "table": "app_log", "cutoff": "2026-01-01", **more}
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


CASCADES = {"public.detail": 330}


def test_all_old_rows_took_along_what_the_plan_counted():
    data, text = told({"rows_deleted": 5000, "remaining": 0}, cascades=CASCADES)
    assert data["tables"]["public.app_log"]["cascades"] == CASCADES
    assert "With them went 330 row(s) of public.detail, as counted before." in text


def test_rows_that_stay_are_told_from_those_that_went():
    data, text = told({"rows_deleted": 5000, "remaining": 0}, cascades=CASCADES, changes={"public.detail": 30})
    table = data["tables"]["public.app_log"]
    assert (table["cascades"], table["cascades_changed"]) == (CASCADES, {"public.detail": 30})
    assert "With them went 300 row(s) of public.detail, as counted before. 30 row(s) of public.detail stay and" in text
    data, text = told({"rows_deleted": 5, "remaining": 4995}, cascades=CASCADES, changes=CASCADES)
    assert "cascades_changed" not in data["tables"]["public.app_log"]


@pytest.mark.parametrize(
    ("output", "status", "more"),
    [
        ({"rows_deleted": 5, "remaining": 4995}, StepStatus.DONE, {}),
        ({"rows_deleted": 5}, StepStatus.PENDING, {}),
        ({"rows_deleted": 5, "remaining": None}, StepStatus.FAILED, {}),
        ({"rows_deleted": 0, "uncounted_batches": 1, "rows_uncounted": 9}, StepStatus.PENDING, {}),
        ({"rows_deleted": 5, "remaining": 0}, StepStatus.DONE, {"archive": "a"}),
    ],
    ids=["limited", "stopped", "failed", "killed", "some archived"],
)
def test_a_part_of_the_old_rows_took_along_no_more_than_the_plan_counted(output, status, more):
    data, text = told(output, status, cascades=CASCADES, **more)
    table = data["tables"]["public.app_log"]
    assert "cascades" not in table
    assert table["cascades_at_most"] == CASCADES
    assert "With them went or changed at most 330 row(s) of public.detail" in text


@pytest.mark.parametrize("output", [{"rows_deleted": 0, "remaining": 9}, {"rows_deleted": 0}])
def test_where_no_row_went_none_went_along(output):
    data, text = told(output, cascades=CASCADES)
    assert not {"cascades", "cascades_at_most"} & data["tables"]["public.app_log"].keys()
    assert "public.detail" not in text

"""When batches end: with their window, and those of an archive in time for the deletion of what it has."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from aishell.execution import closing
from aishell.execution.closing import BETWEEN, CLOSED, MARGIN, SPARED, Closing

KINDS = {"archive": "write", "delete": "delete", "clean": None}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still but for what is rested, and is put on by hand."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(closing, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def a_step(tool: str, seconds: float | None, *needs: str) -> Any:
    return SimpleNamespace(id=tool, tool=tool, needs=needs, estimate=SimpleNamespace(seconds=seconds))


def a_run(clock: Any, left: float, *steps: Any) -> Any:
    def wait(seconds: float) -> None:
        clock.now += seconds

    return SimpleNamespace(
        options=SimpleNamespace(left=left),
        plan=SimpleNamespace(steps=steps),
        job=SimpleNamespace(pick=lambda name: SimpleNamespace(archives=KINDS[name])),
        cancelled=SimpleNamespace(wait=wait),
    )


@pytest.mark.parametrize(("takes", "longer"), [((20.0, 5.0), 0.25), ((20.0, None), 1), ((None, 5.0), 1)])
def test_an_archive_leaves_time_for_the_deletion(
    clock: Any, takes: tuple[float | None, float | None], longer: float
) -> None:
    archive = a_step("archive", takes[0])
    run = a_run(clock, 60.0, archive, a_step("delete", takes[1], "archive"))
    made = Closing(run, archive)
    made.rest(4.0)
    clock.now += 10
    needed = BETWEEN + MARGIN * (4 + longer * 10)
    run.options.left = 1 + needed + 0.01
    assert made.closes(1.0) is None
    run.options.left = 1 + needed - 0.01
    assert made.closes(1.0) == SPARED
    run.options.left = 0.9
    assert made.closes(1.0) == CLOSED


def test_what_earlier_processes_archived_is_to_be_deleted_too(clock: Any) -> None:
    archive = a_step("archive", 20.0)
    run = a_run(clock, BETWEEN + MARGIN * 30.0 + 1, archive, a_step("delete", 20.0, "archive"))
    assert Closing(run, archive, 30.0).closes(0.5) is None
    assert Closing(run, archive, 32.0).closes(0.5) == SPARED


@pytest.mark.parametrize("tool", ["clean", "delete", "archive"])
def test_others_have_the_window_to_its_end(clock: Any, tool: str) -> None:
    """Also an archive that nothing deletes after."""
    step = a_step(tool, 20.0)
    run = a_run(clock, 1.0, step)
    made = Closing(run, step)
    clock.now += 1000
    assert made.closes(0.9) is None
    assert made.closes(1.1) == CLOSED


def test_without_a_window_nothing_closes(clock: Any) -> None:
    archive = a_step("archive", 20.0)
    made = Closing(a_run(clock, math.inf, archive, a_step("delete", 20.0, "archive")), archive)
    clock.now += 1e9
    assert made.closes(1e9) is None

"""When batches end: with their window, and those of an archive in time for the deletion of what it has."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aishell.execution import closing
from aishell.execution.closing import BETWEEN, CLOSED, MARGIN, SPARED, Closing
from aishell.models import now
from aishell.state.history import remember
from aishell.state.store import Store

KINDS = {"archive": "write", "delete": "delete", "clean": None}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that is put on by hand."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(closing, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def a_step(tool: str, *needs: str) -> Any:
    return SimpleNamespace(id=tool, tool=tool, needs=needs, params={"schema": "s", "table": "t"})


ARCHIVE = a_step("archive")
DELETE = a_step("delete", "archive")


def a_run(tmp_path: Path, left: float, *steps: Any, took: dict[str, tuple[float, int]] | None = None) -> Any:
    """`took`: tool -> seconds and rows of a night before."""
    store = Store.open(tmp_path / "state.db")
    for tool, (seconds, rows) in (took or {}).items():
        with store.write() as connection:
            cost = {"target": "shop", "tool": tool, "object": "s.t", "at": now(), "seconds": seconds}
            remember(connection, {**cost, "work": rows, "unit": "rows"})
    return SimpleNamespace(
        options=SimpleNamespace(left=left),
        plan=SimpleNamespace(steps=steps),
        job=SimpleNamespace(
            pick=lambda name: SimpleNamespace(archives=KINDS[name]), target=SimpleNamespace(name="shop")
        ),
        runs=SimpleNamespace(store=store),
    )


@pytest.mark.parametrize(
    ("took", "longer"),
    [
        ({}, 1),
        ({"archive": (20.0, 100)}, 1),
        ({"delete": (20.0, 100)}, 1),
        ({"archive": (20.0, 100), "delete": (5.0, 50)}, 0.5),
        ({"archive": (20.0, 100), "delete": (50.0, 50)}, 5),
    ],
)
def test_an_archive_leaves_time_for_the_deletion(tmp_path: Path, clock: Any, took: Any, longer: float) -> None:
    run = a_run(tmp_path, 600.0, ARCHIVE, DELETE, took=took)
    made = Closing(run, ARCHIVE)
    clock.now += 10
    needed = BETWEEN + MARGIN * longer * 10
    run.options.left = 1 + needed + 0.01
    assert made.closes(1.0) is None
    run.options.left = 1 + needed - 0.01
    assert made.closes(1.0) == SPARED
    run.options.left = 0.9
    assert made.closes(1.0) == CLOSED


def test_what_earlier_processes_archived_is_to_be_deleted_too(tmp_path: Path, clock: Any) -> None:
    run = a_run(tmp_path, BETWEEN + MARGIN * 30.0 + 1, ARCHIVE, DELETE)
    assert Closing(run, ARCHIVE, 30.0).closes(0.5) is None
    assert Closing(run, ARCHIVE, 32.0).closes(0.5) == SPARED


@pytest.mark.parametrize("tool", ["clean", "delete", "archive"])
def test_others_have_the_window_to_its_end(tmp_path: Path, clock: Any, tool: str) -> None:
    """Also an archive that nothing deletes after."""
    step = a_step(tool)
    made = Closing(a_run(tmp_path, 1.0, step), step)
    clock.now += 1000
    assert made.closes(0.9) is None
    assert made.closes(1.1) == CLOSED


def test_without_a_window_nothing_closes(tmp_path: Path, clock: Any) -> None:
    made = Closing(a_run(tmp_path, math.inf, ARCHIVE, DELETE), ARCHIVE)
    clock.now += 1e9
    assert made.closes(1e9) is None

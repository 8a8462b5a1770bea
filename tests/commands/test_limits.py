"""Limits of a machine hold over all workflows and schedules of a site, and a killed process keeps no place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.fix_aishell import Aishell
from tests.mariadb import MariadbDatabase
from tests.postgresql import PostgresqlDatabase
from tests.scheduled import back, rows
from tests.servers import wait_until
from tests.workflows import targets, workflow

LOOK = "\n  look: {agent: maintenance, input: {maintenance_type: quick}}\n"


def at_once(spans: list[tuple[str, str]]) -> int:
    """How many of these ran at the same time, at most."""
    moments = sorted(
        (datetime.fromisoformat(text), step) for begin, end in spans for text, step in ((begin, 1), (end, -1))
    )
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


@pytest.fixture
def placed(aishell: Aishell, pg_current: PostgresqlDatabase, mariadb: MariadbDatabase) -> Iterator[Aishell]:
    """Two targets on each of two machines, by what the configuration says of them."""
    second = pg_current.server.create("second_of_limits")
    try:
        targets(aishell, {"a1": pg_current.url, "a2": second.url, "b1": mariadb.url})
        path = aishell.config / "targets.yaml"
        text = "".join(
            line.replace("labels:", f"host: {'one' if line.strip().startswith('a') else 'two'}, labels:")
            for line in path.read_text().splitlines(keepends=True)
        )
        path.write_text(text)
        yield aishell
    finally:
        second.drop()


def spans(site: Aishell, *names: str) -> list[tuple[str, str]]:
    marks = ", ".join("?" for _ in names)
    return [
        *map(tuple, site.rows(f"SELECT started_at, ended_at FROM workflow_stages WHERE target IN ({marks})", *names))
    ]


def test_two_workflows_and_a_schedule_share_a_machine(placed: Aishell) -> None:
    workflow(placed, LOOK, "max_concurrent_per_host: 1")
    placed.configure(
        "schedules.yaml",
        "max_concurrent_per_host: 1\nschedules:\n  nightly:\n    cron: '30 2 * * *'\n    agent: maintenance\n"
        "    input: {maintenance_type: quick}\n    targets: [a1, a2, b1]\n    missed: once\n",
    )
    back(placed, "nightly", 1)
    both = [placed.start("run", "workflow", "night", "--all", "--yes") for _ in range(2)]
    placed("schedule", "run-due")
    for one in both:
        one.wait().expect(0)
    placed("schedule", "run-due").expect(0)
    found = rows(placed)
    assert [row.status for row in found] == ["done"] * 3
    for host in (("a1", "a2"), ("b1",)):
        mine = [(row.started_at, row.ended_at) for row in found if row.target in host]
        assert at_once([*spans(placed, *host), *mine]) == 1, host


def test_a_killed_stage_keeps_no_place(placed: Aishell) -> None:
    workflow(placed, LOOK, "max_concurrent_per_host: 1")
    placed.configure("aishell.yaml", "max_concurrent: 2\n")
    running = placed.start("run", "workflow", "night", "--all", "--yes")

    def at_work() -> Any:
        there = placed.state.exists() and placed.rows("SELECT 1 FROM sqlite_schema WHERE name = 'workflow_stages'")
        return there and placed.rows("SELECT pid FROM workflow_stages WHERE status = 'running' AND target LIKE 'a%'")

    wait_until(at_work, "a stage works")
    ((pid,),) = at_work()
    os.kill(pid, signal.SIGKILL)
    running.wait().expect(1)
    statuses = sorted(status for (status,) in placed.rows("SELECT status FROM workflow_stages"))
    assert statuses == ["done", "done", "failed"]
    assert at_once(spans(placed, "a1", "a2", "b1")) <= 2

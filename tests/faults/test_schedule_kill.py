"""Nights that are killed with -9, and looked for by several processes at once: each runs once, or is missed with its reason."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from aishell.scheduling.starting import settle_all
from aishell.site import Site
from aishell.state.locks import is_held
from aishell.state.schedule_runs import MOST_ATTEMPTS
from tests.bloated import Bloated
from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_no_finished_step_ran_again, new_site
from tests.fix_aishell import Aishell, bloated_on
from tests.fix_tools import label
from tests.scheduled import back, nightly, rows
from tests.seed import dice
from tests.servers import wait_until
from tests.totals import assert_totals_exact


@pytest.fixture(params=("sqlite", "pg_current"), ids=label)
def bloated_any(request: pytest.FixtureRequest) -> Iterator[Bloated]:
    with bloated_on(request, request.param) as made:
        yield made


def due(aishell: Aishell, name: str, url: str) -> Aishell:
    """A site with one night that is due, and that nothing has claimed."""
    site = new_site(aishell, name, url)
    nightly(site, url, kind="full")
    back(site, "nightly", days=1)
    with Site.open(site.site, state=site.state) as opened:
        settle_all(opened, datetime.now(UTC))
    (row,) = rows(site)
    assert (row.status, row.run_id) == ("due", None)
    return site


def assert_ran_once(site: Aishell, bloated: Bloated, db: object, whole: object) -> None:
    (row,) = rows(site)
    assert (row.status, row.outcome) == ("done", "success"), row.reason
    assert site.rows("SELECT id, state FROM runs") == [(row.run_id, "completed")]
    assert bloated.facts(db) == whole
    assert_no_finished_step_ran_again(site)
    assert_totals_exact(site)
    site("audit", "verify").expect(0)
    assert site("schedule", "run-due").expect(0).out == ""


@SWEEPS
def test_a_night_that_is_killed_at_a_commit_runs_once(aishell, bloated_any, sweep: Sweep):
    undisturbed = bloated_any.make()
    site = due(aishell, "undisturbed", undisturbed.url)
    site("schedule", "work", "1").expect(0)
    whole = bloated_any.facts(undisturbed)
    for fault in sweep.faults(20):
        db = bloated_any.make()
        site = due(aishell, str(fault), db.url)
        ended = site("schedule", "work", "1", fault=fault)
        if ended.code == KILLED:
            site("schedule", "run-due").expect(0)
        assert_ran_once(site, bloated_any, db, whole)
        if ended.code != KILLED:
            break


def test_a_night_that_is_killed_between_its_claim_and_its_run_runs_once(aishell, bloated_any):
    """The claim is its first commit; the run is made in a later one."""
    db = bloated_any.make()
    site = due(aishell, "claimed", db.url)
    assert site("schedule", "work", "1", fault=Fault(1, "after")).code == KILLED
    (row,) = rows(site)
    assert (row.status, row.attempts) == ("running", 1)
    assert row.run_id
    assert site.rows("SELECT id FROM runs") == []
    site("schedule", "run-due").expect(0)
    (after,) = rows(site)
    assert (after.status, after.attempts, after.run_id) == ("done", 2, row.run_id)
    assert site.rows("SELECT id FROM runs") == [(row.run_id,)]


def test_what_is_killed_again_and_again_is_given_up_and_says_why(aishell, bloated_sqlite):
    site = due(aishell, "again", bloated_sqlite.make().url)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert site("schedule", "work", "1", fault=Fault(1, "after")).code == KILLED
        assert rows(site)[0].attempts == attempt
    site("schedule", "run-due").expect(0)
    (row,) = rows(site)
    assert (row.status, row.reason) == (
        "missed",
        f"its process was killed before the run began, and that was attempt {attempt}",
    )
    assert site("schedule", "run-due").expect(0).out == ""


@pytest.mark.parametrize("commit", [1, 8])
def test_what_is_killed_is_not_taken_up_when_its_window_has_closed(aishell, bloated_sqlite, commit):
    site = due(aishell, "closed", bloated_sqlite.make().url)
    assert site("schedule", "work", "1", fault=Fault(commit, "after")).code == KILLED
    with contextlib.closing(sqlite3.connect(site.state)) as state:
        state.execute("UPDATE schedule_runs SET until = ?", [datetime.now(UTC).isoformat(timespec="microseconds")])
        state.commit()
    site("schedule", "run-due").expect(0)
    (row,) = rows(site)
    assert row.status == ("missed" if commit == 1 else "failed")
    assert "the window has closed" in row.reason
    if row.status == "failed":
        assert f"runs resume {row.run_id[:8]}`" in row.reason
        site("runs", "resume", row.run_id).expect(0)


def test_processes_that_look_at_once_run_each_night_once(aishell, bloated_any):
    """Three at a time, night after night; the child of every other night is killed in the midst of it."""
    db = bloated_any.make()
    site = new_site(aishell, "crowd", db.url)
    nightly(site, db.url, kind="full")
    random = dice("moments")
    for night in range(1, 4):
        back(site, "nightly", days=1)
        looking = [site.start("schedule", "run-due") for _ in range(3)]
        if night == 2:
            wait_until(lambda: rows(site)[-1].status != "due", "the night is claimed")
            time.sleep(random.uniform(0, 0.5))
            pid = rows(site)[-1].pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        codes = [running.wait().code for running in looking]
        assert set(codes) <= {0, 1}, [running.err.read_text() for running in looking]
        site("schedule", "run-due")
        assert [row.status for row in rows(site)] == ["done"] * night
    made = site.rows("SELECT id, state FROM runs ORDER BY created_at")
    assert made == [(row.run_id, "completed") for row in rows(site)]
    assert all(row.attempts <= 2 for row in rows(site))
    site("audit", "verify").expect(0)


def test_a_run_goes_on_when_what_started_it_is_killed(aishell, bloated_sqlite):
    site = due(aishell, "orphan", bloated_sqlite.make().url)
    looking = site.start("schedule", "run-due")
    wait_until(lambda: rows(site)[0].status != "due", "the night is claimed")
    os.killpg(looking.process.pid, signal.SIGKILL)  # with all that is of its group, as a terminal or cron would
    looking.wait()
    lock = site.state.parent / ".aishell-locks" / "schedule-1.lock"
    wait_until(lambda: rows(site)[0].status != "running" or not is_held(lock), "the night is over")
    assert rows(site)[0].status == "done"
    assert (rows(site)[0].outcome, rows(site)[0].attempts) == ("success", 1), rows(site)[0].reason

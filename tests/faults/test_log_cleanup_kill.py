"""kill -9 in the middle of a log clean-up: what is old goes, what is new stays, whenever it hits and however often."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests import logs
from tests.faults.test_kill import KILLED, assert_no_finished_step_ran_again, killers, new_site
from tests.fix_aishell import Aishell

ROWS = 12_000
#: Short batches, so that there are many commits to be killed at.
INPUTS = ("--retention-days", "90", "--batch-target-ms", "1", "--set", "table=app_log")


def arguments(db: Any) -> tuple[str, ...]:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return ("run", "log-cleanup", *INPUTS, *fixed)


def renewed(db: Any, engine: str, *, indexed: bool = False) -> None:
    """The log as it was. With an index on the date the rows are found by it, without one along the table."""
    db.execute("DROP TABLE IF EXISTS app_log")
    logs.fill(db, engine, ROWS, indexed=indexed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clean_up_killed_at_a_commit_goes_on_from_there(log_db: tuple[Any, str], aishell: Aishell, when: str) -> None:
    db, engine = log_db
    with killers(aishell, 1) as (killer,):
        for at in (4, 5, 6, 7, 9, 12, 15):
            renewed(db, engine, indexed=when == "before")
            site = new_site(aishell, f"{when}_{at}", db.url)
            killed = killer.run(site, *arguments(db), at=at, when=when)
            if killed.code == KILLED:
                resumed = killer.run(site, "runs", "resume", site.only_run(), "--output", "json").expect(0)
                assert resumed.json["status"] == "success"
            assert logs.left(db) == logs.kept(ROWS), f"killed {when} commit {at}"
            assert_no_finished_step_ran_again(site)
            killer.run(site, "audit", "verify").expect(0)


@pytest.mark.timeout(300)
def test_a_clean_up_killed_at_random_moments_is_finished_in_the_end(log_db: tuple[Any, str], aishell: Aishell) -> None:
    """A run, then one resume after the other, each killed a random moment after its start, until one ends."""
    db, engine = log_db
    renewed(db, engine)
    dice = random.Random(engine)
    running = aishell.start(*arguments(db))
    for _ in range(6):
        time.sleep(dice.uniform(0.3, 1.6))
        if running.ended:
            break
        running.kill()
        assert set(logs.kept(ROWS)) <= set(logs.left(db)), "a new row is gone"
        if not aishell.state.exists() or not aishell.rows("SELECT id FROM runs"):
            running = aishell.start(*arguments(db))
        else:
            running = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    running.wait()
    if aishell.state_of(aishell.only_run()) != "completed":
        aishell.resume(aishell.only_run()).expect(0)
    assert aishell.state_of(aishell.only_run()) == "completed"
    assert logs.left(db) == logs.kept(ROWS)
    aishell("audit", "verify").expect(0)

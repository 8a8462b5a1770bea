"""kill -9 in the middle of a log clean-up: what is old goes, what is new stays, whenever it hits and however often."""

from __future__ import annotations

import random
from typing import Any

from tests import logs
from tests.faults.killing import SWEEPS, Sweep, assert_sound, finish, kill_at_random, new_site
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


@SWEEPS
def test_a_clean_up_killed_at_a_commit_goes_on_from_there(
    log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep
) -> None:
    db, engine = log_db
    for fault in sweep.among(4, 5, 6, 7, 9, 12, 15):
        renewed(db, engine, indexed=fault.when == "before")
        site = new_site(aishell, str(fault), db.url)
        finish(site, site(*arguments(db), fault=fault))
        assert logs.left(db) == logs.kept(ROWS), fault
        assert_sound(site)


def test_a_clean_up_killed_at_random_moments_is_finished_in_the_end(log_db: tuple[Any, str], aishell: Aishell) -> None:
    db, engine = log_db
    renewed(db, engine)

    def look() -> None:
        assert set(logs.kept(ROWS)) <= set(logs.left(db)), "a new row is gone"

    kill_at_random(aishell, arguments(db), random.Random(engine), 6, look)
    assert logs.left(db) == logs.kept(ROWS)

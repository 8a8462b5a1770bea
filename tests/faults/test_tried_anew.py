"""A run that failed and is taken up again makes good all that its failure left out, killed or stopped in that as it may be."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, new_site
from tests.faults.test_archive_kill import assert_together_whole
from tests.faults.test_log_cleanup_kill import arguments, renewed
from tests.faults.test_rollback import Site, approve_all, step
from tests.fix_aishell import Aishell, Ended

NO_A = "CREATE TRIGGER no_a BEFORE INSERT ON marks WHEN new.word = 'a' BEGIN SELECT RAISE(ABORT, 'not yet'); END"


NO_REPORT = ["sh", "-c", "test $AISHELL_TOOL != generate_maintenance_report"]


def failed(db: Any, site: Aishell) -> Callable[[], None]:
    """A clean-up that could not archive, has deleted nothing and cannot report that; what takes the obstacles out of its way."""
    archives = site.site / "archives"
    archives.touch()
    hooks = site.configure("aishell.yaml", json.dumps({"hooks": [{"on": "before_step", "command": NO_REPORT}]}))
    ended = site(*arguments(db), "--archive").expect(1)
    assert (ended.statuses()["delete_app_log"], ended.json["state"]) == ("skipped", "failed")

    def clear() -> None:
        archives.unlink()
        hooks.unlink()

    return clear


def resumed(site: Aishell, **fault: Any) -> Ended:
    return site("runs", "resume", site.only_run(), "--output", "json", **fault)


def assert_all_done(ended: Ended) -> None:
    """Also what follows from the deletion, such as the VACUUM that PostgreSQL needs."""
    assert set(ended.expect(0).statuses().values()) == {"done"}


@SWEEPS
def test_what_a_failed_archive_left_is_deleted_in_the_end(
    log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep
) -> None:
    """Killed while the archive is written at last: what needs it was left out for its failure, and waits for it now."""
    db, engine = log_db
    for fault in sweep.among(3, 4, 6):
        renewed(db, engine)
        site = new_site(aishell, str(fault), db.url)
        failed(db, site)()
        assert resumed(site, fault=fault).code == KILLED
        assert_all_done(resumed(site))
        assert_together_whole(db, site)
        site("audit", "verify").expect(0)


@pytest.mark.sampled
def test_a_ctrl_c_in_the_second_attempt_forgets_nothing(log_db: tuple[Any, str], aishell: Aishell) -> None:
    db, engine = log_db
    renewed(db, engine)
    failed(db, aishell)()
    resumed(aishell, fault=Fault(4, "after", signal=signal.SIGINT)).expect(130)
    assert_all_done(resumed(aishell))
    assert_together_whole(db, aishell)


def test_a_failure_in_the_second_attempt_stands(sqlite: Any, aishell: Aishell) -> None:
    """Killed right behind it, the run does not try for ever: what is tried once more is what a person has asked for."""
    renewed(sqlite, "sqlite")
    clear = failed(sqlite, aishell)
    assert resumed(aishell, fault=Fault(6, "after")).code == KILLED
    assert len(aishell.events("step_failed")) == 2
    clear()
    again = resumed(aishell).expect(1).statuses()
    assert (again["archive_app_log"], again["delete_app_log"]) == ("failed", "skipped")


def test_an_approval_in_the_second_attempt_is_followed(aishell: Aishell) -> None:
    site = Site(aishell)
    site.do(NO_A)
    ended = site.run(step("a"), step("b", needs=["a"]), environment="production").expect(3)
    approve_all(site)
    ended = site.aishell.resume(ended.run_id).expect(1)
    assert ended.statuses() == {"a": "failed", "b": "skipped"}
    site.do("DROP TRIGGER no_a")
    for waits in (3, 0):
        print(site.aishell("approvals", "list"))
        ended = site.aishell.resume(ended.run_id).expect(waits)
        approve_all(site)
    assert ended.statuses() == {"a": "done", "b": "done"}
    assert site.words() == ["a", "b"]


@pytest.mark.parametrize("at", [3, 4, 5])
def test_what_a_second_attempt_did_is_taken_back(aishell: Aishell, at: int) -> None:
    """The first has done nothing, so that nothing was to be taken back: that is no longer so."""
    site = Site(aishell)
    site.do(NO_A)
    steps = (step("a"), step("no", on_error="rollback", needs=["a"]))
    assert site.run(*steps).expect(1).statuses()["undo_a"] == "skipped"
    site.do("DROP TRIGGER no_a")
    assert resumed(aishell, fault=Fault(at, "after")).code == KILLED
    ended = resumed(aishell).expect(1)
    assert ended.json["output_data"]["rolled_back"] == ["a"]
    assert (site.words(), site.words("gone")) == ([], ["a"])
    aishell("audit", "verify").expect(0)

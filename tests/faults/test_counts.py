"""What a log clean-up says of itself against what a client counts: exact after an orderly stop, with its doubt after a kill.

And `--max-rows`, which no kill makes it exceed.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests import logs
from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_sound, new_site
from tests.faults.test_log_cleanup_kill import ROWS, arguments, renewed
from tests.fix_aishell import Aishell, Ended, Running
from tests.seed import dice
from tests.servers import wait_until

OLD = ROWS // 2
#: Batches of a few hundred rows: it is reached in the midst of one.
LIMIT = 2_000
KEPT = pytest.mark.parametrize("kept", [(), ("--archive",)], ids=["deleted", "archived"])


def gone(db: Any) -> int:
    """How many rows are not there any more, as a separate client counts them."""
    return ROWS - len(logs.left(db))


def over(site: Aishell) -> bool:
    """Whether there is nothing to resume: it was killed before its run began, or behind its end."""
    return not site.rows("SELECT id FROM runs WHERE state <> 'completed'")


def assert_told(ended: Ended, db: Any, went: int | None = None) -> None:
    """The figures hold what is gone: exactly, or between the count and the most that it may have missed.

    `went`: how many rows these are, where the table has another name meanwhile.
    """
    went = gone(db) if went is None else went
    told = ended.json["output_data"]
    counted, missed = told["rows_deleted"], told.get("rows_uncounted", 0)
    assert counted <= went
    if missed is not None:
        assert went <= counted + missed
    if "uncounted_batches" in told:
        assert ended.json["reasoning"].startswith(f"At least {counted:,} old row(s) were deleted")
        assert "killed" in ended.json["reasoning"]
    else:
        assert counted == went
        expected = f"{counted:,} old row(s) were deleted" if counted else "No row was deleted."
        assert ended.json["reasoning"].startswith(expected)


@SWEEPS
def test_no_kill_makes_it_delete_more_than_the_limit(log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep) -> None:
    """Killed at one commit after the other, and each time it is resumed once more: what may have run counts as if it had."""
    db, engine = log_db
    for fault in sweep.among(*range(5, 22)):
        renewed(db, engine, indexed=bool(fault.at % 2))
        site = new_site(aishell, f"{fault}", db.url)
        ended = site(*arguments(db), "--max-rows", str(LIMIT), fault=fault)
        again = [Fault(3 + (fault.at + number) % 4, fault.when) for number in range(3)]
        while ended.code == KILLED:
            assert gone(db) <= LIMIT, fault
            if over(site):
                break
            ended = site("runs", "resume", site.only_run(), "--output", "json", fault=again.pop() if again else None)
        if ended.code == KILLED:
            continue
        assert gone(db) <= LIMIT, fault
        assert set(logs.kept(ROWS)) <= set(logs.left(db)), "a new row is gone"
        assert_told(ended.expect(0), db)
        assert_sound(site)


@SWEEPS
@KEPT
def test_after_a_kill_the_figures_say_what_may_be_missing(
    log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep, kept: tuple[str, ...]
) -> None:
    db, engine = log_db
    for fault in sweep.among(*(range(10, 30, 2) if kept else range(4, 14))):
        renewed(db, engine)
        site = new_site(aishell, str(fault), db.url)
        killed = site(*arguments(db), *kept, fault=fault)
        if killed.code != KILLED or over(site):
            continue
        ended = site.resume(site.only_run()).expect(0)
        assert gone(db) == OLD
        assert_told(ended, db)
        if kept and engine != "postgresql":
            assert "uncounted_batches" not in ended.json["output_data"], "the chunks of the archive know"
        told = site("runs", "show", site.only_run()).out
        if "uncounted_batches" in ended.json["output_data"]:
            assert "at least" in told.lower()


def stopped(site: Aishell, running: Running, how: str) -> Ended:
    if how == "pause":
        assert site("runs", "pause", site.only_run()).code == 0 or running.wait().code == 0, "or it was over just then"
    else:
        running.signal(signal.SIGINT if how == "ctrl-c" else signal.SIGTERM)
    return running.wait()


@pytest.mark.sampled
@KEPT
@pytest.mark.parametrize("how", ["pause", "ctrl-c", "sigterm"])
@pytest.mark.parametrize("batches", [1, 4, 9])
def test_after_an_orderly_stop_the_figures_are_exact(
    log_db: tuple[Any, str], aishell: Aishell, how: str, batches: int, kept: tuple[str, ...]
) -> None:
    """Stopped again and again at drawn moments, and resumed: each time what is said is what is gone."""
    db, engine = log_db
    renewed(db, engine)
    aishell.url = db.url
    running = aishell.start(*arguments(db), *kept, "--sleep", str(dice("sleep").choice([0.01, 0.03])))
    codes, before = [], 0
    for _ in range(3):
        enough = f"SELECT 1 FROM events WHERE type = 'batch_committed' LIMIT 1 OFFSET {before + batches}"
        wait_until(lambda: running.ended or (aishell.state.exists() and has(aishell, enough)), "a few batches")  # noqa: B023
        ended = stopped(aishell, running, how) if not running.ended else running.wait()
        codes.append(ended.code)
        assert ended.code in (0, 4, 130)
        assert_told(ended, db)
        assert "uncounted_batches" not in ended.json["output_data"]
        if ended.code == 0:
            break
        assert aishell.state_of(aishell.only_run()) == "paused"
        ((before,),) = aishell.rows("SELECT count(*) FROM events WHERE type = 'batch_committed'")
        running = aishell.start("runs", "resume", aishell.only_run(), "--output", "json")
    if codes[-1] != 0:
        ended = running.wait().expect(0)
        assert_told(ended, db)
    assert codes[0] != 0, "it was stopped in the midst"
    assert logs.left(db) == logs.kept(ROWS)
    aishell("audit", "verify").expect(0)


def has(site: Aishell, query: str) -> bool:
    return bool(site.rows("SELECT name FROM sqlite_schema WHERE name = 'events'") and site.rows(query))


@pytest.mark.sampled
@KEPT
def test_the_text_of_a_stopped_run_says_what_its_document_says(
    log_db: tuple[Any, str], aishell: Aishell, kept: tuple[str, ...]
) -> None:
    db, engine = log_db
    renewed(db, engine)
    words = [word for word in arguments(db) if word not in ("--output", "json")]
    running = aishell.start(*words, *kept, "--sleep", "0.02")
    deleting = """SELECT 1 FROM events e JOIN steps s ON s.run_id = e.run_id AND s.step_index = e.step_index
                  WHERE e.type = 'batch_committed' AND s.step_id LIKE 'delete%' LIMIT 1 OFFSET 2"""
    wait_until(lambda: running.ended or (aishell.state.exists() and has(aishell, deleting)), "a few batches")
    running.signal()
    ended = running.wait().expect(130)
    assert 0 < gone(db) < OLD
    assert f"{gone(db):,} old row(s) were deleted" in ended.out
    assert "runs resume" in ended.out


#: Each old row has three in this table, which go with it.
DETAIL = (
    "CREATE TABLE detail (log_id bigint NOT NULL, n int, PRIMARY KEY (log_id, n), "
    "FOREIGN KEY (log_id) REFERENCES app_log (id) ON DELETE CASCADE)"
)


def with_details(db: Any, engine: str) -> int:
    """The log with its details; how many these are."""
    db.execute("DROP TABLE IF EXISTS detail")
    renewed(db, engine)
    db.execute(DETAIL)
    db.execute(
        "INSERT INTO detail SELECT id, n FROM app_log CROSS JOIN (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS t"
    )
    return details(db)


def details(db: Any) -> int:
    return int(db.execute("SELECT count(*) FROM detail")[0][0])


@pytest.mark.sampled
@pytest.mark.parametrize("how", ["whole", "limited", "stopped", "limited and archived"])
def test_what_went_with_the_rows_is_not_overstated(log_db: tuple[Any, str], aishell: Aishell, how: str) -> None:
    """A run that deletes a part of the old rows does not say that all went that refers to old rows."""
    db, engine = log_db
    before = with_details(db, engine)
    aishell.url = db.url
    more = {"whole": (), "limited": ("--max-rows", "500"), "stopped": ("--sleep", "0.02")}.get(
        how, ("--max-rows", "500", "--archive")
    )
    running = aishell.start(*arguments(db), *more)
    if how == "stopped":
        enough = "SELECT 1 FROM events WHERE type = 'batch_committed' LIMIT 1 OFFSET 2"
        wait_until(lambda: running.ended or (aishell.state.exists() and has(aishell, enough)), "a few batches")
        stopped(aishell, running, "pause")
    ended = running.wait().expect(4 if how == "stopped" else 0)
    went = before - details(db)
    assert went == 3 * gone(db) > 0
    (table,) = ended.json["output_data"]["tables"].values()
    (told,) = aishell.rows("SELECT output FROM steps WHERE tool = 'generate_maintenance_report'")
    report = json.loads(told[0] or "{}").get("report", "")
    if how == "whole":
        (counted,) = table["cascades"].values()
        assert counted == went == 3 * OLD
        assert f"{counted:,} as counted before" in report
    elif how == "limited and archived":
        assert table["relatives_deleted"] == went
        assert f"| {went:,}, and 0 were changed |" in report
    else:
        assert "cascades" not in table
        (most,) = table["cascades_at_most"].values()
        assert went < most == 3 * OLD
        assert f"at most {most:,} row(s) of" in ended.json["reasoning"]
        assert how == "stopped" or f"at most {most:,} as counted before" in report

"""A clean-up that was stopped in its deletion, and does not come to its end when it is resumed, says what is gone."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killed import Fault
from tests.faults.test_counts import assert_told, details, gone, has, over, with_details
from tests.faults.test_log_cleanup_kill import ROWS, arguments, renewed
from tests.fix_aishell import Aishell, Ended
from tests.seed import dice
from tests.servers import wait_until

DELETING = """SELECT 1 FROM events e JOIN steps s ON s.run_id = e.run_id AND s.step_index = e.step_index
              WHERE e.type = 'batch_committed' AND s.step_id LIKE 'delete%' LIMIT 1 OFFSET {}"""
STOPS = ["killed", "killed around a commit", "sigterm"]
#: What goes, and what is kept of it: with `related`, three rows of another table go with each.
KINDS = ["deleted", "archived", "related"]


@dataclass(frozen=True)
class Obstacle:
    """What a resumed run meets. `make` puts it into the way, and returns what takes it out again; `exits`: with which code."""

    make: Callable[[Any, Path], Callable[[], object]]
    arguments: tuple[str, ...] = ()
    exits: tuple[int, ...] = (1,)
    fault: Fault | None = None
    archived: bool = False  # there is one for an archive only


def renamed(db: Any, archives: Path) -> Callable[[], object]:
    db.execute("ALTER TABLE app_log RENAME TO app_log_away")
    return lambda: db.execute("ALTER TABLE app_log_away RENAME TO app_log")


def referred_to(db: Any, archives: Path) -> Callable[[], object]:
    db.execute("CREATE TABLE refers (id bigint PRIMARY KEY REFERENCES app_log (id) ON DELETE CASCADE)")
    if db.execute("SELECT count(*) FROM app_log")[0][0]:
        db.execute("INSERT INTO refers SELECT max(id) FROM app_log WHERE id % 2 = 1")
    return lambda: db.execute("DROP TABLE refers")


def unwritable(db: Any, archives: Path) -> Callable[[], object]:
    """Nobody, not even root, writes to a folder as to a file."""
    (notes,) = archives.rglob("deleted.jsonl")
    kept = notes.rename(notes.with_name("kept"))
    notes.mkdir()

    def take_away() -> None:
        notes.rmdir()
        kept.rename(notes)

    return take_away


def unreadable(db: Any, archives: Path) -> Callable[[], object]:
    (manifest,) = archives.rglob("manifest.json")
    kept = manifest.rename(manifest.with_name("kept"))
    return lambda: kept.rename(manifest)


def nothing(db: Any, archives: Path) -> Callable[[], object]:
    return lambda: None


OBSTACLES = {
    "renamed table": Obstacle(renamed),
    "new foreign key": Obstacle(referred_to, exits=(0, 1, 4)),  # without an archive what refers goes along
    "unwritable notes": Obstacle(unwritable, archived=True),
    "no manifest": Obstacle(unreadable, archived=True),
    "closed window": Obstacle(nothing, ("--max-duration", "0"), (4,)),
    "ctrl-c": Obstacle(nothing, exits=(0, 130), fault=Fault(4, "after", signal=signal.SIGINT)),
}


CASES = [(name, kind) for name, one in OBSTACLES.items() for kind in KINDS if kind != "deleted" or not one.archived]


def stop(site: Aishell, db: Any, kept: tuple[str, ...], how: str) -> bool:
    """Begin a clean-up and stop it in its deletion; whether there is one to be resumed."""
    site.url = db.url
    running = site.start(*arguments(db), *kept, "--sleep", "0.02")
    enough = DELETING.format(dice("batches").randint(0, 4))
    wait_until(lambda: running.ended or (site.state.exists() and has(site, enough)), "a few batches")
    running.signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
    running.wait()
    if how == "killed around a commit" and not over(site):
        fault = Fault(dice("at").randint(4, 7), dice("side").choice(["before", "after"]))
        site("runs", "resume", site.only_run(), "--output", "json", fault=fault)
    return not over(site)


def went(db: Any, obstacle: str) -> int:
    """How many rows are gone, wherever the others are meanwhile."""
    if obstacle == "renamed table":
        return ROWS - int(db.execute("SELECT count(*) FROM app_log_away")[0][0])
    return gone(db)


def assert_reported(site: Aishell, ended: Ended) -> None:
    """The report, where the run came to write one, says what the document says."""
    told = ended.json["output_data"]
    reports = site.rows("SELECT output FROM steps WHERE tool = 'generate_maintenance_report' AND output IS NOT NULL")
    least = "at least " if told.get("uncounted_batches") else ""
    if told["rows_deleted"] or least:
        for (output,) in reports:
            assert f"{least}{told['rows_deleted']:,} row(s) deleted" in json.loads(output)["report"]


@pytest.mark.sampled
@pytest.mark.parametrize("cancelled", [False, True], ids=["killed", "cancelled"])
@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("kind", ["deleted", "archived"])
def test_a_run_that_is_not_resumed_shows_what_is_known_to_be_gone(
    log_db: tuple[Any, str], aishell: Aishell, kind: str, how: str, cancelled: bool
) -> None:
    db, engine = log_db
    renewed(db, engine)
    if not stop(aishell, db, () if kind == "deleted" else ("--archive",), how):
        pytest.skip("it was over")
    if cancelled:
        aishell("runs", "cancel", aishell.only_run()).expect(0)
    shown = aishell("runs", "show", aishell.only_run(), "--output", "json").expect(0).json
    (told,) = [step["so_far"] for step in shown["steps"] if "so_far" in step]
    assert told["at_least"] == (how != "sigterm")
    assert 0 < told["rows_deleted"] <= gone(db)
    assert told["at_least"] or told["rows_deleted"] == gone(db)
    least = "at least " if told["at_least"] else ""
    text = aishell("runs", "show", aishell.only_run()).expect(0)
    assert f"has deleted {least}{told['rows_deleted']:,} row(s) so far" in text.out + text.err


def assert_relatives_told(ended: Ended, went: int) -> None:
    told = ended.json["output_data"]
    (table,) = told["tables"].values()
    assert table["relatives_deleted"] <= went
    assert table["relatives_deleted"] == went or table["uncounted_batches"]


@pytest.mark.sampled
@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize(("obstacle", "kind"), CASES)
def test_a_resumed_run_that_does_not_end_says_what_is_gone(
    log_db: tuple[Any, str], aishell: Aishell, obstacle: str, kind: str, how: str
) -> None:
    """Also when it is resumed twice, and at its end: a doubt is not forgotten with a failure."""
    db, engine = log_db
    meets = OBSTACLES[obstacle]
    if kind == "related":
        with_details(db, engine)
    else:
        renewed(db, engine)
    if not stop(aishell, db, () if kind == "deleted" else ("--archive",), how):
        pytest.skip("it was over")
    take_away = meets.make(db, aishell.home)
    for _ in range(2):
        resume = ("runs", "resume", aishell.only_run(), "--output", "json", *meets.arguments)
        ended = aishell(*resume, fault=meets.fault)
        assert ended.code in meets.exits, f"{ended.code} {ended.out[-2000:]} {ended.err[-2000:]}"
        assert_told(ended, db, went(db, obstacle))
        assert_reported(aishell, ended)
        if kind == "related":
            assert_relatives_told(ended, 3 * ROWS - details(db))
        if over(aishell):
            break
    take_away()
    if not over(aishell):
        assert_told(aishell.resume(aishell.only_run()), db)
    aishell("audit", "verify").expect(0)

"""kill -9 while an archive is loaded into a table without a key: every row is there once, or a person is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_sound, finish, new_site
from tests.faults.test_log_cleanup_kill import ROWS, arguments, renewed
from tests.fix_aishell import Aishell
from tests.servers import wait_until

OLD = [number for number in range(1, ROWS + 1) if number % 2]


def scratch(db: Any) -> list[int]:
    return [row[0] for row in db.execute("SELECT id FROM scratch ORDER BY id")]


class Loads:
    """Loads of one archive into an empty table without a key, each in a site of its own that has the archive."""

    def __init__(self, aishell: Aishell, db: Any, engine: str) -> None:
        self.aishell, self.db = aishell, db
        renewed(db, engine)
        aishell(*arguments(db), "--archive").expect(0)
        (self.archive,) = (aishell.site / "archives").glob("*/*/*")
        db.execute("CREATE TABLE scratch AS SELECT * FROM app_log WHERE 1 = 0")

    def killed(self, fault: Fault) -> tuple[Aishell, bool]:
        """A load that is killed there, and whether it was."""
        self.db.execute("DELETE FROM scratch")
        site = new_site(self.aishell, str(fault), self.db.url)
        (site.site / "archives").symlink_to(self.aishell.site / "archives")
        into = ("--table", "scratch", "--url", self.db.url, "--environment", "test", "--yes", "--output", "json")
        ended = site("archives", "load", self.archive.name, *into, fault=fault)
        if ended.code != KILLED:
            assert ended.expect(0).json["output_data"]["rows_loaded"] == len(OLD)
            assert scratch(self.db) == OLD
        return site, ended.code == KILLED


@SWEEPS
def test_killed_at_any_chunk_it_is_loaded_anew(log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep) -> None:
    db, engine = log_db
    loads = Loads(aishell, db, engine)
    for fault in sweep.among(1, 2, 3, of="rows"):
        site, killed = loads.killed(fault)
        assert killed, "an archive has more chunks than that"
        resumed = site("runs", "resume", site.only_run(), "--output", "json").expect(0)
        assert resumed.json["output_data"]["rows_loaded"] == len(OLD)
        assert scratch(db) == OLD, fault
        assert_sound(site)


@SWEEPS
def test_killed_at_its_commit_it_is_in_doubt(log_db: tuple[Any, str], aishell: Aishell, sweep: Sweep) -> None:
    """In any moment that is written down before or behind the commit: a person looks, and what they say is done."""
    db, engine = log_db
    asked: list[bool] = []
    loads = Loads(aishell, db, engine)
    for fault in sweep.faults(8, first=4):  # before it there is no run yet that could be resumed
        site, killed = loads.killed(fault)
        if not killed:
            assert fault.at > 8
            break
        before = scratch(db)
        assert before in ([], OLD)
        ended = site("runs", "resume", site.only_run(), "--output", "json")
        if ended.code == 3:
            asked.append(bool(before))
            (waiting,) = ended.json["output_data"]["waiting"]
            assert "all of its rows are in the table, or none" in waiting
            assert scratch(db) == before, "nothing is sent before a person has spoken"
            said = ("--in-doubt", "done" if before else "retry", "--output", "json")
            ended = site("runs", "resume", site.only_run(), *said)
        elif ended.code == 2:
            assert site.state_of(site.only_run()) == "completed"
            break
        finish(site, ended)
        assert scratch(db) == OLD, fault
        assert_sound(site)
    assert not sweep.whole or asked == [sweep.when == "before"]


BRAKE = (
    "CREATE TABLE brake AS SELECT 1 AS on",
    """CREATE FUNCTION brake() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN IF EXISTS (SELECT FROM brake) THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$""",
    f"CREATE TRIGGER brake BEFORE INSERT ON scratch FOR EACH ROW WHEN (NEW.id = {OLD[-1]}) EXECUTE FUNCTION brake()",
)
BRAKED = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.mark.parametrize("how", ["ctrl-c", "connection lost"])
def test_interrupted_at_its_last_row_it_is_rolled_back_and_loaded_anew(pg: Any, aishell: Aishell, how: str) -> None:
    loads = Loads(aishell, pg, "postgresql")
    for statement in BRAKE:
        pg.execute(statement)
    into = ("--table", "scratch", "--url", pg.url, "--environment", "test", "--yes", "--output", "json")
    running = aishell.start("archives", "load", loads.archive.name, *into)
    wait_until(lambda: pg.execute(BRAKED), "the last row")
    pg.execute("DELETE FROM brake")
    assert scratch(pg) == []
    if how == "ctrl-c":
        running.signal()
        stopped = running.wait().expect(130)
        assert scratch(pg) == []
        ended = aishell.resume(stopped.run_id)
    else:
        pg.execute(f"SELECT pg_terminate_backend(pid) FROM ({BRAKED}) AS s")
        ended = running.wait()
    assert ended.expect(0).json["output_data"]["rows_loaded"] == len(OLD)
    assert scratch(pg) == OLD

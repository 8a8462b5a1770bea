"""A restore in place that is taken back: the database is what it was before the restore, and the restored one is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.backups import mariadb_samples, test_in_place_mariadb, test_in_place_postgresql, test_sqlite
from tests.backups.in_place import InPlace
from tests.faults.killing import Sweep
from tests.fix_aishell import Aishell


@dataclass
class Shop:
    """A database in use: `content` is all that is in it, `later` writes to it."""

    place: InPlace
    content: Callable[[], Any]
    later: Callable[[], object]

    def restored(self) -> tuple[Any, Any]:
        """Backed up, written to, and restored in place: what was lost by that, and what came back."""
        backup, back = self.place.back_up(), self.content()
        self.later()
        lost = self.content()
        assert lost != back
        told = self.place.restored(backup)
        assert told["replaced"]
        assert self.content() == back
        return lost, back


@pytest.fixture
def on_sqlite(aishell: Aishell, request: pytest.FixtureRequest) -> Shop:
    db = request.getfixturevalue("sqlite")
    test_sqlite.fill(db, 30)
    later = "INSERT INTO plain (name) VALUES ('later')"
    return Shop(InPlace(aishell, db.url), lambda: test_sqlite.content(db.path), lambda: db.execute(later))


@pytest.fixture
def on_postgresql(aishell: Aishell, request: pytest.FixtureRequest) -> Iterator[Shop]:
    db = request.getfixturevalue("pg_current")
    before = test_in_place_postgresql.databases(db)
    test_in_place_postgresql.fill(db)

    def content() -> Any:
        return db.execute("SELECT * FROM orders ORDER BY id"), test_in_place_postgresql.itself(db)

    def later() -> None:
        db.execute("INSERT INTO orders (note) VALUES ('later')")
        db.execute(f'ALTER DATABASE "{db.dbname}" CONNECTION LIMIT 9')  # of the database itself: it comes back too

    yield Shop(test_in_place_postgresql.in_place(aishell, db), content, later)
    test_in_place_postgresql.drop_new(db, before)


@pytest.fixture
def on_mariadb(aishell: Aishell, request: pytest.FixtureRequest) -> Shop:
    db = request.getfixturevalue("shop")
    test_in_place_mariadb.fill_small(db)

    def later() -> None:
        for statement in (
            "INSERT INTO parent SELECT max(id) + 1, 'later' FROM parent",
            "DROP VIEW IF EXISTS a_view",
            "CREATE OR REPLACE TRIGGER newer BEFORE INSERT ON counted FOR EACH ROW SET NEW.note = 'newer'",
            "CREATE OR REPLACE EVENT soon ON SCHEDULE EVERY 2 DAY STARTS '2030-01-01' DO DELETE FROM counted",
        ):
            db.execute(statement)

    def content() -> Any:
        return mariadb_samples.content(db), sorted(mariadb_samples.enabled_events(db))

    return Shop(InPlace(aishell, db.url), content, later)


@pytest.fixture(params=["on_sqlite", "on_postgresql", "on_mariadb"])
def one(request: pytest.FixtureRequest) -> Shop:
    made: Shop = request.getfixturevalue(request.param)
    return made


def test_the_exchange_back_brings_back_what_was_there(one: Shop) -> None:
    lost, back = one.restored()
    ended, _ = one.place.undo()
    assert one.content() == lost
    assert ended.json["output_data"]["rolled_back"] == ["replace"]
    one.place.run("audit", "verify").expect(0)
    # And once more: what was restored was kept, so that the way back can be gone back too.
    again = one.place.run("runs", "undo", ended.run_id, *FIXED, "--url", one.place.url).expect(3)
    assert one.place.approve()
    one.place.resume(again.run_id).expect(0)
    assert one.content() == back


FIXED = ("--environment", "test", "--yes", "--output", "json")


def test_the_prompt_and_the_preview_say_that_it_can_be_undone(one: Shop) -> None:
    backup = one.place.back_up()
    shown = one.place.run("backups", "restore", backup, "--in-place", "--url", one.place.url, "--dry-run").expect(0).out
    (line,) = [line for line in shown.splitlines() if "exchanged back" in line or "written back" in line]
    assert line.strip().startswith("can be undone: ")


def test_what_cannot_be_undone_is_said(aishell: Aishell, tmp_path: Path, on_sqlite: Shop) -> None:
    on_sqlite.place.back_up()
    said = aishell("runs", "undo", aishell.only_run()).expect(2).err
    assert "nothing of the run" in said
    assert not list(tmp_path.glob("*.restored"))


@pytest.mark.thorough  # the kills of a rollback that `make test` draws are in tests/faults/test_rollback.py
@pytest.mark.parametrize("sweep", [Sweep("before"), Sweep("after")], ids=str)
def test_killed_at_any_commit_the_way_back_is_gone_to_its_end(one: Shop, sweep: Sweep) -> None:
    for fault in sweep.faults(4):
        lost, _ = one.restored()
        _, killed = one.place.undo(fault)
        assert one.content() == lost, fault
        one.place.run("audit", "verify").expect(0)
        if not killed:
            assert fault.at > 4
            break

"""Restores in place on SQLite: the live file gets the content of the backup in one transaction, under open connections."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aishell.backups.store.repository import PAGE, SCRIPT
from tests.backups.in_place import HALVES, STEPS, InPlace
from tests.backups.test_sqlite import change, content, fill
from tests.faults.killing import SWEEPS, Sweep
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase
from tests.servers import HANG

#: A row that is written after the backup, so that there is something to lose.
LATER = "INSERT INTO plain (name) VALUES ('later')"


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> InPlace:
    return InPlace(aishell, sqlite.url)


def files(site: Aishell) -> list[str]:
    """What lies in the folder of backups beside the targets' own folders."""
    return sorted(
        path.name
        for path in (site.site / "backups").iterdir()
        if (path.is_file() and path.name not in (PAGE, SCRIPT)) or path.name[0] == "."
    )


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_it_comes_back_as_of_the_backup_and_an_open_connection_sees_it(
    shop: InPlace, sqlite: SqliteDatabase, journal: str
) -> None:
    sqlite.execute(f"PRAGMA journal_mode = {journal}")
    fill(sqlite, 300)
    shop.back_up("--type", "full")
    change(sqlite, 0)
    increment, expected = shop.back_up("--type", "incremental"), content(sqlite.path)
    change(sqlite, 1)
    sqlite.execute("DROP TABLE bare")
    lost, inode = content(sqlite.path), sqlite.path.stat().st_ino
    with closing(sqlite.connect(timeout=HANG)) as application:
        before = application.execute("SELECT name FROM sqlite_schema").fetchall()
        told = shop.restored(increment)
        assert application.execute("SELECT name FROM sqlite_schema").fetchall() != before
        assert application.execute("SELECT count(*) FROM bare").fetchone() == (290,)
        application.execute(LATER)
        assert application.execute("PRAGMA journal_mode").fetchone() == (journal,)
    sqlite.execute("DELETE FROM plain WHERE name = 'later'")
    assert content(sqlite.path) == expected
    assert sqlite.path.stat().st_ino == inode
    assert told["replaced"]
    assert told["compared"]
    assert content(Path(told["kept"])) == lost
    assert files(shop.site) == [Path(told["kept"]).name]
    safety = next((shop.site.site / "backups").rglob(told["safety_backup"])) / "database.sqlite"
    assert content(Path(shutil.copy(safety, sqlite.path.with_name("safety.db")))) == lost
    shop.run("audit", "verify").expect(0)


def test_without_an_approval_nothing_happens(shop: InPlace, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    backup = shop.back_up()
    sqlite.execute(LATER)
    lost = content(sqlite.path)
    preview = shop.restore(backup, "--dry-run").expect(0).json
    assert [step["tool"] for step in preview["plan"]["steps"]] == STEPS
    assert preview["plan"]["steps"][-1]["verdict"]["decision"] == "review"
    assert files(shop.site) == []
    assert shop.newest_run() is None
    waiting = shop.restore(backup).expect(3)
    assert waiting.statuses()["restore"] == "done"
    assert "replace" not in waiting.statuses()
    assert content(sqlite.path) == lost
    (asked,) = shop.run("approvals", "list", "--output", "json").expect(0).json
    assert (asked["tool"], asked["level"]) == ("replace_database", "review")
    shop.run("approvals", "reject", asked["id"], "--reason", "not today").expect(0)
    rejected = shop.resume(waiting.run_id).expect(5)
    assert rejected.json["output_data"]["replaced"] is False
    assert content(sqlite.path) == lost


def test_another_file_of_its_name_is_refused(shop: InPlace, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    backup = shop.back_up()
    copy = sqlite.path.with_name("copy.db")
    shutil.copy(sqlite.path, copy)
    copy.replace(sqlite.path)
    refused = shop.restore(backup).expect(2)
    assert "is of another database" in refused.json["error"]["message"]
    assert "--to" in refused.json["error"]["hint"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", "x.db"), "exclude each other"),
        (("--no-compare", "--tables", "plain"), "as a whole"),
        (("--point-in-time", "2026-11-21T00:00:00Z"), "as a whole"),
    ],
)
def test_what_does_not_go_together_is_refused(
    shop: InPlace, sqlite: SqliteDatabase, options: tuple[str, ...], said: str
) -> None:
    fill(sqlite, 10)
    backup = shop.back_up()
    assert said in shop.restore(backup, *options).expect(2).err
    fixed = ("--url", sqlite.url, "--environment", "test")
    assert "--in-place" in shop.run("backups", "restore", backup, "--terminate", *fixed).expect(2).err


def test_a_place_that_was_written_to_meanwhile_replaces_nothing(shop: InPlace, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    backup = shop.back_up()
    sqlite.execute(LATER)
    lost = content(sqlite.path)
    waiting = shop.restore(backup).expect(3)
    with closing(sqlite3.connect(waiting.json["output_data"]["place"])) as place:
        place.execute("DELETE FROM bare WHERE number = 50")
        place.commit()
    ended = shop.approved(waiting).expect(1)
    assert "differs from the backup, and nothing was replaced" in ended.json["error"]["message"]
    assert content(sqlite.path) == lost


def test_a_backup_without_fingerprints_is_refused_unless_that_is_said(shop: InPlace, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    backup, expected = shop.back_up("--no-compare"), content(sqlite.path)
    sqlite.execute(LATER)
    assert "without fingerprints" in shop.restore(backup).expect(2).err
    assert shop.restored(backup, "--no-compare")["compared"] is False
    assert content(sqlite.path) == expected


def test_who_holds_the_database_is_waited_for_and_then_nothing_has_changed(
    shop: InPlace, sqlite: SqliteDatabase
) -> None:
    fill(sqlite, 100)
    backup, expected = shop.back_up(), content(sqlite.path)
    sqlite.execute(LATER)
    lost = content(sqlite.path)
    waiting = shop.restore(backup).expect(3)
    with closing(sqlite.connect()) as application:
        application.execute("BEGIN IMMEDIATE")
        held = shop.approved(waiting).expect(1)
    assert "locked by others" in held.json["error"]["message"]
    assert content(sqlite.path) == lost
    shop.finish(waiting.run_id)
    assert content(sqlite.path) == expected


def damage(path: Path) -> None:
    """A page in the middle of a table."""
    data = bytearray(path.read_bytes())
    half = len(data) // 2 // 4096 * 4096
    data[half : half + 4096] = b"\xff" * 4096
    path.write_bytes(data)


def test_what_is_too_broken_for_a_safety_backup_is_replaced_without(shop: InPlace, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 1000)
    backup, expected = shop.back_up(), content(sqlite.path)
    damage(sqlite.path)
    broken = sqlite.path.read_bytes()
    failed = shop.restore(backup).expect(1)
    assert "malformed" in failed.json["error"]["message"]
    assert (failed.statuses()["safety"], failed.statuses()["replace"]) == ("failed", "skipped")
    assert sqlite.path.read_bytes() == broken
    planned = shop.restore(backup, "--without-safety-backup", "--dry-run").expect(0).json
    assert [step["tool"] for step in planned["plan"]["steps"]] == STEPS[3:]
    assert "no safety backup is made" in " ".join(planned["output_data"]["warnings"])
    told = shop.restored(backup, "--without-safety-backup")
    assert told["safety_backup"] is None
    assert content(sqlite.path) == expected


@SWEEPS
@pytest.mark.parametrize("half", HALVES)
def test_killed_at_any_commit_the_resumed_run_ends_in_the_restored_state(
    aishell: Aishell, sqlite: SqliteDatabase, half: str, sweep: Sweep
) -> None:
    fill(sqlite, 30)
    one = InPlace(aishell, sqlite.url)
    backup, expected = one.back_up(), content(sqlite.path)
    for fault in sweep.faults(HALVES[half]):
        sqlite.execute(LATER)
        lost = content(sqlite.path)
        killed = getattr(one, half)(backup, fault)
        assert content(sqlite.path) == expected, fault
        (name,) = files(aishell)
        kept = aishell.site / "backups" / name
        assert content(kept) == lost, fault
        one.assert_sound()
        kept.unlink()
        if not killed:
            assert fault.at > HALVES[half]
            break


@SWEEPS
def test_killed_before_or_behind_each_write_it_is_the_old_or_the_new(
    shop: InPlace, sqlite: SqliteDatabase, sweep: Sweep
) -> None:
    fill(sqlite, 100)
    backup, expected = shop.back_up(), content(sqlite.path)
    sqlite.execute(LATER)
    lost = content(sqlite.path)

    def look() -> None:
        assert content(sqlite.path) in (lost, expected)

    assert shop.killed_at_every_change(backup, sweep, look, known=1) in (1, 2)
    assert content(sqlite.path) == expected
    (kept,) = files(shop.site)
    assert content(shop.site.site / "backups" / kept) == lost
    shop.assert_sound()

"""Backups of SQLite: what comes back is what was there, at each point of a chain; what is damaged is refused and named."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aishell.databases.base import SessionOptions
from aishell.models import Task
from aishell.running import dispatch
from aishell.running.context import Context
from aishell.site import Site
from tests.faults.killing import KILLED, SWEEPS, Sweep, assert_sound, new_site
from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase
from tests.servers import HANG

#: One of each kind of thing a SQLite file can hold.
SCHEMA = """
CREATE TABLE plain (id integer PRIMARY KEY, name text, amount real, data blob, anything);
CREATE TABLE bare (tenant text, number integer, note text, PRIMARY KEY (tenant, number)) WITHOUT ROWID;
CREATE TABLE strict_one (
  id integer PRIMARY KEY AUTOINCREMENT, price real NOT NULL, twice real GENERATED ALWAYS AS (price * 2)
) STRICT;
CREATE TABLE child (id integer PRIMARY KEY, plain_id integer REFERENCES plain (id) ON DELETE CASCADE);
CREATE TABLE "we""ird`x %s :y; -- 50% \\" ("select" text);
CREATE INDEX plain_name ON plain (name) WHERE name IS NOT NULL;
CREATE UNIQUE INDEX plain_lower ON plain (lower(name), id);
CREATE VIEW expensive AS SELECT id, price FROM strict_one WHERE price > 10;
CREATE TRIGGER noted AFTER INSERT ON child BEGIN INSERT INTO plain (name) VALUES ('child ' || new.id); END;
CREATE VIRTUAL TABLE words USING fts5 (body);
"""
ROWS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("INSERT INTO plain (name, amount, data, anything) VALUES (?, ?, ?, ?)", ("a", 1.5, b"\x00\xff", 7)),
    ("INSERT INTO plain (name, amount, data, anything) VALUES (?, ?, ?, ?)", ("", float("inf"), b"", "7")),
    ("INSERT INTO plain (name, amount, data, anything) VALUES (?, ?, ?, ?)", (None, None, None, None)),
    ("INSERT INTO plain (name) VALUES (?)", ("é 漢 🐘 \U0010fffd",)),
    ("INSERT INTO bare VALUES (?, ?, ?)", ("t", 1, "first")),
    ("INSERT INTO strict_one (price) VALUES (?)", (12.25,)),
    ("INSERT INTO child (plain_id) VALUES (?)", (1,)),
    ('INSERT INTO "we""ird`x %s :y; -- 50% \\" VALUES (?)', ("odd",)),
    ("INSERT INTO words VALUES (?)", ("every word counts",)),
)


def fill(db: SqliteDatabase, rows: int = 3000) -> None:
    with closing(db.connect()) as connection:
        connection.executescript(SCHEMA)
        for statement, values in ROWS:
            connection.execute(statement, values)
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO bare VALUES (?, ?, ?)", ((f"t{n % 7}", n, "x" * 200) for n in range(10, rows))
        )
        connection.execute("COMMIT")


def change(db: SqliteDatabase, number: int) -> None:
    db.execute("UPDATE bare SET note = ? WHERE number % 500 = 0", (f"changed {number}",))
    db.execute("INSERT INTO plain (name) VALUES (?)", (f"row {number}",))
    db.execute(f"CREATE TABLE made_{number} (id integer)")
    db.execute("DELETE FROM bare WHERE number = ?", (20 + number,))


def content(path: Path) -> list[str]:
    """Everything in a file, as statements that would make it again."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def back_up(aishell: Aishell, db: SqliteDatabase, *more: str) -> Ended:
    return aishell("run", "backup", "--url", db.url, "--environment", "test", "--yes", "--output", "json", *more)


def made(ended: Ended) -> dict[str, Any]:
    return dict(ended.expect(0).json["output_data"])


def listed(aishell: Aishell) -> list[dict[str, Any]]:
    return list(aishell("backups", "list", "--output", "json").json)


@contextmanager
def writer(db: SqliteDatabase) -> Iterator[None]:
    """An application that writes on."""
    stop = threading.Event()

    def write() -> None:
        with closing(db.connect(timeout=HANG)) as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO plain (name) VALUES ('meanwhile')")
                time.sleep(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_chain_comes_back_as_it_was_at_each_point(
    aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path, journal: str
) -> None:
    sqlite.execute(f"PRAGMA journal_mode = {journal}")
    fill(sqlite)
    points = {}
    for number, kind in enumerate(("full", "incremental", "incremental")):
        found = made(back_up(aishell, sqlite, "--type", kind, "--restore-test"))
        assert found["rung"] == "restored-and-compared"
        points[found["backup_id"]] = content(sqlite.path)
        change(sqlite, number)
    backups = listed(aishell)
    assert [backup["parent"] for backup in backups] == [None, *list(points)[:2]]
    assert all(backup["bytes"] < backups[0]["bytes"] / 4 for backup in backups[1:])
    for number, (backup_id, expected) in enumerate(points.items()):
        place = tmp_path / f"{number}.db"
        restored = aishell(
            "backups", "restore", backup_id, "--to", str(place), "--url", sqlite.url, "--environment", "test", "--yes"
        )
        restored.expect(0)
        assert content(place) == expected
        assert place.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_while_a_writer_runs_a_backup_is_of_one_moment(aishell: Aishell, sqlite: SqliteDatabase, journal: str) -> None:
    sqlite.execute(f"PRAGMA journal_mode = {journal}")
    fill(sqlite, 30_000)
    with writer(sqlite):
        assert made(back_up(aishell, sqlite, "--restore-test"))["rung"] == "restored-and-compared"
        found = made(back_up(aishell, sqlite, "--type", "incremental", "--restore-test"))
    assert found["rung"] == "restored-and-compared"


def test_without_a_full_backup_there_is_no_incremental_one(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    ended = back_up(aishell, sqlite, "--type", "incremental").expect(1)
    assert "make a full backup first" in ended.out + ended.err
    assert listed(aishell) == []


def test_another_file_of_the_same_name_is_another_database(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    made(back_up(aishell, sqlite))
    copy = sqlite.path.with_name("copy.db")
    shutil.copy(sqlite.path, copy)
    copy.replace(sqlite.path)
    assert "make a full backup first" in back_up(aishell, sqlite, "--type", "incremental").expect(1).out


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes((byte[0] ^ 1,)))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"kind": "full"', '"kind": "fuII"').replace('"target"', '"tarqet"'))


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "cut off": ("database.sqlite", cut, "instead of"),
    "a flipped bit": ("database.sqlite", flip, "was changed or is damaged"),
    "emptied": ("database.sqlite", empty, "has 0 bytes"),
    "missing": ("database.sqlite", Path.unlink, "is missing"),
    "manifest edited": ("manifest.json", edit, "was changed or cut off"),
    "manifest cut off": ("manifest.json", cut, "was changed or cut off"),
    "manifest missing": ("manifest.json", Path.unlink, "cannot be read"),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("link", [0, 1], ids=["the full one", "the increment"])
def test_damage_is_refused_and_named(
    aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path, name: str, link: int
) -> None:
    fill(sqlite)
    file, damage, said = DAMAGE[name]
    made(back_up(aishell, sqlite))
    change(sqlite, 0)
    last = made(back_up(aishell, sqlite, "--type", "incremental"))["backup_id"]
    backups = listed(aishell)
    damaged = Path(backups[link]["path"]) / (file if link == 0 or file == "manifest.json" else "pages.bin")
    damage(damaged)
    told = aishell("backups", "verify", last).expect(1)
    assert said in told.out + told.err
    place = tmp_path / "restored.db"
    options = ("--to", str(place), "--url", sqlite.url, "--environment", "test", "--yes")
    refused = aishell("backups", "restore", last, *options).expect(1)
    assert said in refused.out + refused.err
    assert not place.exists()
    assert not [b for b in listed(aishell) if b["backup_id"] == last and b["verified"]]


def test_a_missing_or_changed_parent_is_named(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    fill(sqlite)
    first = made(back_up(aishell, sqlite))["backup_id"]
    change(sqlite, 0)
    last = made(back_up(aishell, sqlite, "--type", "incremental"))["backup_id"]
    shutil.rmtree(Path(listed(aishell)[0]["path"]))
    told = aishell("backups", "verify", last).expect(1)
    assert first in told.out + told.err


def test_a_file_that_is_there_is_never_written_over(aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    fill(sqlite, 100)
    last = made(back_up(aishell, sqlite))["backup_id"]
    place = tmp_path / "precious.db"
    place.write_text("precious")
    options = ("--to", str(place), "--url", sqlite.url, "--environment", "test", "--yes")
    refused = aishell("backups", "restore", last, *options)
    assert refused.code in (1, 2)
    assert place.read_text() == "precious"


@SWEEPS
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_a_backup_that_is_killed_is_whole_or_not_there(
    aishell: Aishell, sqlite: SqliteDatabase, kind: str, sweep: Sweep
) -> None:
    """At every commit to the state, before it and after it."""
    fill(sqlite, 200)
    options = ("--url", sqlite.url, "--environment", "test", "--yes", "--output", "json")
    for fault in sweep.faults(8):
        site = new_site(aishell, f"{kind} {fault}", sqlite.url)
        before = ""
        if kind == "incremental":
            before = site("run", "backup", *options).expect(0).run_id
            change(sqlite, fault.at)
        ended = site("run", "backup", "--type", kind, *options, fault=fault)
        if ended.code != KILLED:
            assert fault.at > 8
            break
        if site.state.exists() and (runs := site.rows("SELECT id FROM runs WHERE id <> ?", before)):
            if site.state_of(runs[0][0]) != "completed":  # killed after the last word was written down
                site("runs", "resume", runs[0][0], "--output", "json").expect(0)
            assert_whole(site)
            if kind == "full":
                assert_sound(site)
                site("audit", "verify").expect(0)  # the other's log misses the run that was forgotten


def assert_whole(site: Aishell) -> None:
    """One backup for each run, verified; nothing unfinished beside it."""
    backups = listed(site)
    assert all(backup["verified"] for backup in backups), json.dumps(backups, indent=1)
    folders = {path.name for path in (site.site / "backups").glob("*/*")}
    assert folders == {backup["backup_id"] for backup in backups}
    assert not [path for path in (site.site / "backups").iterdir() if path.name.startswith(".work")]


def test_the_plan_goes_from_the_size_to_what_may_go(aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    aishell.configure("aishell.yaml", json.dumps({"backup_copies": [str(elsewhere)]}))
    fill(sqlite, 100)
    first = made(back_up(aishell, sqlite))["backup_id"]
    more = ("--restore-test", "--cleanup-old", "--set", "retention={count: 1}")
    ended = back_up(aishell, sqlite, *more).expect(0)
    assert [action["tool"] for action in ended.json["actions_taken"]] == [
        "calculate_backup_size", "backup_database_full", "validate_backup", "restore_test", "copy_backup",
        "verify_copies", "cleanup_old_backups",
    ]  # fmt: skip
    outputs = {action["tool"]: action["output"] for action in ended.json["actions_taken"]}
    assert outputs["calculate_backup_size"]["bytes"] == sqlite.path.stat().st_size
    assert outputs["cleanup_old_backups"]["removed"] == [first]
    assert [backup["backup_id"] for backup in listed(aishell)] == [ended.json["output_data"]["backup_id"]]


def test_the_last_backup_is_that_of_this_very_file(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    fill(sqlite, 100)
    first = made(back_up(aishell, sqlite))["backup_id"]
    last = made(back_up(aishell, sqlite, "--type", "incremental"))["backup_id"]
    with Site.open(aishell.site, state=aishell.state) as site, site.job(Task("backup", sqlite.url)) as job:
        server = job.refresh()
        context = Context(
            job.database,
            "",
            SessionOptions(),
            target=job.target.name,
            backups=site.backup_store,
            facts={"server": server},
        )
        tool = job.pick("find_last_backup")

        def found(**params: Any) -> Any:
            return (dispatch.run(tool, tool.prepare(params), None, context).output["backup"] or {}).get("backup_id")

        assert (found(), found(kind="full")) == (last, first)
        context.facts = {"server": replace(server, identity="another")}
        assert found() is None


def test_what_only_the_application_has_keeps_nothing_from_being_backed_up(
    aishell: Aishell, sqlite: SqliteDatabase, tmp_path: Path
) -> None:
    """Indexes by its own function and collation cannot be looked through here, but every row can."""
    with closing(sqlite.connect()) as connection:
        connection.create_collation("mine", lambda one, other: (one > other) - (one < other))
        connection.create_function("own", 1, str.lower, deterministic=True)
        connection.execute("CREATE TABLE t (id integer PRIMARY KEY, name text COLLATE mine)")
        connection.execute("CREATE INDEX by_name ON t (name)")
        connection.execute("CREATE INDEX by_own ON t (own(name))")
        connection.execute("INSERT INTO t (name) VALUES ('a'), ('b')")
    found = made(back_up(aishell, sqlite, "--restore-test"))
    assert found["rung"] == "restored-and-compared"


@pytest.mark.parametrize("more", [(), ("--no-compare",)])
def test_a_database_that_is_damaged_gives_no_verified_backup(
    aishell: Aishell, sqlite: SqliteDatabase, more: tuple[str, ...]
) -> None:
    fill(sqlite)
    sqlite.close()
    data = bytearray(sqlite.path.read_bytes())
    data[4096 * 40 : 4096 * 41] = b"\xff" * 4096
    sqlite.path.write_bytes(data)
    ended = back_up(aishell, sqlite, *more).expect(1)
    assert "malformed" in ended.json["error"]["message"]
    assert "Traceback" not in ended.err
    assert not [backup for backup in listed(aishell) if backup["verified"]]

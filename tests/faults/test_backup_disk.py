"""A full disk while a backup is made, copied, read or put back: it is named, nothing half-made stays, and later all is well."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.backups.conftest import LOGGING
from tests.faults.backed import Backed
from tests.faults.killed import BALLAST, Fault, take
from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase
from tests.mariadb import MariadbServer
from tests.postgresql import PostgresqlDatabase
from tests.seed import SAMPLED, dice
from tests.workflows import targets, workflow

KILOBYTES = 600_000
RANDOM = {
    "postgresql": "CREATE TABLE big AS SELECT n, md5(random()::text) AS note FROM generate_series(1, 4000) AS n",
    "mysql": "CREATE TABLE big AS SELECT seq, MD5(RAND()) AS note FROM seq_1_to_4000",
    "sqlite": "CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) "
    "SELECT i, hex(randomblob(16)) AS note FROM n",
}


@contextmanager
def small_disk(place: Path, kilobytes: int = KILOBYTES) -> Iterator[None]:
    """A file system of its own, in memory, in the place of a new folder."""
    place.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"not run, nothing may be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """Somebody else's file, which leaves so many kilobytes."""
    ballast = disk / BALLAST
    take(ballast, left)
    return ballast


@pytest.fixture
def one(request: pytest.FixtureRequest, aishell: Aishell) -> Iterator[Backed]:
    """A database with rows that cannot be compressed, backed up to a disk of its own."""
    if request.param == "mariadb":
        factory: Callable[..., MariadbServer] = request.getfixturevalue("mariadb_server_factory")
        db: Any = factory(LOGGING).create("shop")
    else:
        db = request.getfixturevalue(request.param)
    made = Backed.made(aishell, db, "full")
    db.execute(RANDOM[db.url.partition(":")[0]])
    with small_disk(made.root):
        yield made


def assert_told(ended: Ended, disk: Path) -> None:
    """Which disk it is, in words; and no traceback."""
    message = ended.expect(1).json["error"]["message"]
    assert str(disk) in message
    assert any(
        text in message for text in ("No space left", "is full", "cannot be written", " are free", "bytes arrived")
    ), message
    assert "Traceback" not in ended.err


DUMPS = ("sqlite", "pg_distribution", "mariadb")
HOW = {
    "full": ("--restore-test",),
    "incremental": ("--type", "incremental", "--restore-test"),
    "physical": ("--physical",),
}


@SAMPLED
@pytest.mark.parametrize(
    ("one", "how"),
    [
        *((engine, "full") for engine in DUMPS),
        ("sqlite", "incremental"),
        ("mariadb", "incremental"),
        ("pg_distribution", "physical"),
    ],
    indirect=["one"],
)
def test_of_a_backup_that_finds_no_room_nothing_stays(one: Backed, how: str, whole: bool) -> None:
    """Ever more room until it is enough, then as little as is: so it ends in the dump, the digests, the manifest, its name."""
    try:
        first = one.back_up()
        more = HOW[how] + (("--parent", first) if how == "incremental" else ())
        command = one.on_it("run", "backup", *more)
        one.site("backups", "pin", first).expect(0)
        assert not has_room(one, command, 1, first)
        if whole:
            look_for_the_end_of_room(one, command, first)
        else:
            has_room(one, command, dice().choice([4, 16, 64, 256, 1024, 4096]), first)
        one.back_up(*more)
        one.site("backups", "verify", first).expect(0)
    finally:
        if how == "physical":
            one.db.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def look_for_the_end_of_room(one: Backed, command: tuple[str, ...], first: str) -> None:
    too_little, enough = 1, 4
    while not has_room(one, command, enough, first):
        too_little, enough = enough, enough * 4
    while enough - too_little > 4:
        between = (too_little + enough) // 2
        if has_room(one, command, between, first):
            enough = between
        else:
            too_little = between
    for less in range(8, 25, 8):
        assert not has_room(one, command, max(too_little - less, 1), first)


@pytest.mark.parametrize("one", ["pg_distribution"], indirect=True)
def test_an_increment_of_wal_that_finds_no_room_takes_none_from_the_server(one: Backed) -> None:
    """Each that fails has ended a segment, so the next one takes more; the slot keeps all of it."""
    slot = "SELECT slot_name, restart_lsn::text FROM pg_replication_slots"
    try:
        first, before = one.back_up("--physical"), one.db.execute(slot)
        command = one.on_it("run", "backup", "--type", "incremental")
        for left in (1, 8, 64, 15_000, 17_000):
            assert not has_room(one, command, left, first)
            assert one.db.execute(slot) == before
        last = one.back_up("--type", "incremental")
        assert len(one.manifest(last)["files"]) > 5
        one.site("backups", "verify").expect(0)
    finally:
        one.db.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def has_room(one: Backed, command: tuple[str, ...], left: int, first: str) -> bool:
    """Whether a backup can be made in so many kilobytes. Nothing is half there, and the first one is as good as before."""
    one.change()
    before = [entry["backup_id"] for entry in one.listed()]
    ended = one.site(*command, fault=Fault(left, of="room"))
    (one.root / BALLAST).unlink()
    if ended.code:
        assert_told(ended, one.root)
    entries = one.listed()
    assert [entry["backup_id"] for entry in entries][: len(before)] == before
    assert next(entry["backup_id"] for entry in entries if entry["verified"]) == first
    assert all(entry["problem"] is None for entry in entries), "a full disk is no damage"
    one.assert_nothing_left()
    one.site("backups", "prune", "--set", "count=1", "--despite-failure", "--yes").expect(0)
    return ended.code == 0


@pytest.mark.parametrize("one", ["sqlite"], indirect=True)
def test_a_backup_cannot_be_read_where_there_is_no_room_and_is_as_good_as_before(one: Backed, tmp_path: Path) -> None:
    """An encrypted one is opened beside the others."""
    key, identity = tmp_path / "backup.agekey", pyrage.x25519.Identity.generate()
    key.touch(0o600)
    key.write_text(f"{identity}\n")
    chosen = {"backup_recipients": [str(identity.to_public())], "backup_identity": str(key)}
    one.site.configure("aishell.yaml", json.dumps(chosen))
    backup_id = one.back_up()
    for left in (0, 4, 64):
        ballast = fill(one.root, left)
        (told,) = one.site("backups", "verify", "--output", "json").expect(1).json
        assert told["sound"] is None, "nothing was learnt of it"
        assert str(one.root) in told["problem"]
        command = one.on_it("backups", "restore", backup_id, "--to", str(tmp_path / "back.db"))
        assert_told(one.site(*command), one.root)
        ballast.unlink()
        (entry,) = one.listed()
        assert entry["verified"]
        one.assert_nothing_left()
    one.site("backups", "verify").expect(0)
    one.site(*command).expect(0)


@pytest.mark.parametrize("one", ["sqlite"], indirect=True)
def test_what_is_restored_to_a_full_disk_is_not_there(one: Backed, tmp_path: Path) -> None:
    backup_id, elsewhere = one.back_up(), tmp_path / "elsewhere"
    with small_disk(elsewhere):
        command = one.on_it("backups", "restore", backup_id, "--to", str(elsewhere / "back.db"))
        for left in (0, 64):
            ballast = fill(elsewhere, left)
            assert_told(one.site(*command), elsewhere)
            assert list(elsewhere.iterdir()) == [ballast]
            ballast.unlink()
        one.site(*command).expect(0)
        assert [path.name for path in elsewhere.iterdir()] == ["back.db"]


@pytest.mark.parametrize("one", ["sqlite"], indirect=True)
@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "url"])
def test_a_second_place_that_is_full_takes_no_half_of_a_backup(one: Backed, tmp_path: Path, scheme: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    with small_disk(elsewhere):
        one.site.configure("aishell.yaml", json.dumps({"backup_copies": [f"{scheme}{elsewhere}"]}))
        for left in (0, 4, 64):
            ballast = fill(elsewhere, left)
            ended = one.site(*one.on_it("run", "backup"))
            assert_told(ended, elsewhere)
            statuses = ended.statuses()
            assert statuses.pop("copies", "skipped") == "skipped", "copies are read where there are any"
            assert statuses == {"size": "done", "backup": "done", "validate": "done", "copy": "failed"}
            assert not list(elsewhere.rglob("manifest.json"))
            assert not list(elsewhere.rglob(".partial-*"))
            ballast.unlink()
        entries = one.listed()
        assert all(entry["verified"] and entry["copies"] == [] for entry in entries)
        backup_id = one.back_up()
        assert [path.parent.name for path in elsewhere.rglob("manifest.json")] == [backup_id]


def test_a_scheduled_backup_that_finds_no_room_is_told_alike_of_each_engine(
    aishell: Aishell, sqlite: SqliteDatabase, pg_distribution: PostgresqlDatabase
) -> None:
    """The run failed, whatever was too large; its reason is where people look for it, once, with what helps in a schedule."""
    for db in (sqlite, pg_distribution):
        db.execute(RANDOM[db.url.partition(":")[0]])
    targets(aishell, {"lite": sqlite.url, "pg": pg_distribution.url})
    workflow(aishell, "\n  backup: {agent: backup}\n")
    often = "every: 1h, targets: [lite, pg]"
    aishell.configure(
        "schedules.yaml", f"schedules: {{ag: {{agent: backup, {often}}}, wf: {{workflow: night, {often}}}}}"
    )
    aishell.configure("aishell.yaml", f"programs: {pg_distribution.server.bin}\n")
    with small_disk(aishell.site / "backups", 64):
        for name in ("ag", "wf"):
            aishell("schedule", "run-now", name).expect(1)
        told = aishell("schedule", "history", "--output", "json").expect(0).json
    assert {(row["schedule"], row["target"], row["outcome"], row["exit_code"]) for row in told} == {
        (name, target, "failure", 1) for name in ("ag", "wf") for target in ("lite", "pg")
    }
    for row in told:
        assert row["reason"].count("are free ") == 1, row
        assert "backups prune" in row["reason"]
        assert "--destination" not in row["reason"]

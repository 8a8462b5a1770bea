"""`aishell backups` with names that lead elsewhere, targets of any name, folders of any kind, and others at the same time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aishell.cli.backups import _verified
from aishell.cli.keeping import keeper
from aishell.site import Site
from tests.commands.backups.made import back_up, listed
from tests.faults.killed import Fault
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase
from tests.servers import wait_until

ESCAPE = "\x1b[31mred\nline"
NAMES = ("../../etc/passwd", "/", ".", "..", "*", "2026*", "[0-9]*", "?", "", "$HOME", "%2e%2e", "--yes", "-h", ESCAPE)


@pytest.fixture
def site(aishell: Aishell, shop: SqliteDatabase) -> Aishell:
    """With a configured target of a few rows."""
    return aishell


@pytest.mark.parametrize("command", ["show", "verify", "restore", "pin", "unpin"])
def test_a_name_is_the_beginning_of_an_id_and_nothing_else(site: Aishell, sqlite: SqliteDatabase, command: str) -> None:
    back_up(site)
    for name in NAMES:
        ended = site("backups", command, "--", name).expect(2)
        assert "unknown backup" in ended.err
        assert "\x1b" not in ended.out + ended.err
    assert "No such option" in site("backups", command, "--x").expect(2).err
    assert [entry["verified"] for entry in listed(site)] == [True]


@pytest.mark.parametrize("command", ["list", "verify", "prune"])
def test_a_target_that_is_none_is_told(site: Aishell, sqlite: SqliteDatabase, command: str) -> None:
    back_up(site)
    for name in NAMES:
        more = ("--set", "count=1", "--yes") if command == "prune" else ()
        ended = site("backups", command, f"--target={name}", *more).expect(2)
        assert "unknown target" in ended.err
        assert "\x1b" not in ended.err
    assert len(listed(site)) == 1


@pytest.mark.parametrize("place", ["..", "../out", "/tmp/out", "a/../../out", ".hidden", "a/.hidden", "$HOME"])
def test_a_destination_stays_in_the_folder_of_backups(site: Aishell, sqlite: SqliteDatabase, place: str) -> None:
    ended = site("run", "backup", "--yes", "--output", "json", "--destination", place)
    assert ended.code in (1, 2), ended.out
    assert listed(site) == []
    assert [path.name for path in site.site.iterdir()] in (["config"], ["config", "backups"], ["backups", "config"])


HOSTILE = (
    "a/b/../../c",
    "quo'te \"d",
    "new\nline",
    "é 漢 🐘",
    "x" * 200,
    "🐘" * 100,
    "-rf",
    ".hidden",
    "50% :x $y *?[a]",
)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_a_target_of_any_name_has_one_folder(site: Aishell, sqlite: SqliteDatabase, name: str) -> None:
    known = {"targets": {name: {"url": sqlite.url, "environment": "test"}}}
    site.configure("targets.yaml", json.dumps(known, ensure_ascii=False))
    site.configure("aishell.yaml", json.dumps({"default_target": name}, ensure_ascii=False))
    first = back_up(site)
    last = back_up(site, "--type", "incremental", "--restore-test")
    assert {entry["target"] for entry in listed(site)} == {name}
    (home,) = (path for path in (site.site / "backups").iterdir() if path.is_dir())
    assert {path.name for path in home.iterdir()} == {first, last}
    site("backups", "verify", f"--target={name}").expect(0)
    new = back_up(site, "--restore-test")
    site("backups", "prune", f"--target={name}", "--set", "count=1", "--yes").expect(0)
    assert [entry["backup_id"] for entry in listed(site)] == [new]
    site("backups", "rebuild-catalog").expect(0)
    assert [entry["target"] for entry in listed(site)] == [name]


def test_a_folder_that_is_a_link_is_as_good_as_any(site: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    (site.site / "backups").symlink_to(real)
    old, new = back_up(site), back_up(site, "--restore-test")
    site("backups", "verify").expect(0)
    site("backups", "prune", "--set", "count=1", "--yes").expect(0)
    assert [path.name for path in real.glob("*/*")] == [new] != [old]
    site("backups", "rebuild-catalog").expect(0)
    site("backups", "restore", new, "--yes").expect(0)
    assert [entry["backup_id"] for entry in listed(site)] == [new]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nothing can be written to, not even by root."""
    words = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder])
    for word in words:
        mounted = subprocess.run(word, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"not run, nothing may be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_folder_that_may_not_be_written_is_told_and_is_no_damage(
    site: Aishell, sqlite: SqliteDatabase, tmp_path: Path
) -> None:
    old, new = back_up(site), back_up(site)
    root = site.site / "backups"
    with read_only(root):
        refused = site("run", "backup", "--yes", "--output", "json").expect(1)
        assert "cannot be written: Read-only file system" in refused.json["error"]["message"]
        results = site("backups", "verify", "--output", "json").expect(1).json
        assert {result["sound"] for result in results} == {None}
        assert "Read-only file system" in results[0]["problem"]
        command = ("backups", "restore", new, "--to", str(tmp_path / "back.db"), "--yes", "--output", "json")
        assert "Read-only file system" in site(*command).expect(1).json["error"]["message"]
        told = site("backups", "prune", "--set", "count=1", "--yes", "--despite-failure").expect(1)
        assert "Read-only file system" in told.err
        assert "Read-only file system" in site("backups", "pin", old).expect(1).err
        assert [entry["verified"] for entry in listed(site)] == [True, True]
    site("backups", "verify").expect(0)
    site(*command).expect(0)


def test_of_two_backups_at_a_time_the_second_is_told_who_has_the_first(site: Aishell, bloated_sqlite: object) -> None:
    """One that is stopped while it copies; neither another backup nor a prune comes in between."""
    database = bloated_sqlite.make()  # type: ignore[attr-defined]
    site.configure("targets.yaml", json.dumps({"targets": {"shop": {"url": database.url, "environment": "test"}}}))
    site.configure("aishell.yaml", "default_target: shop")
    back_up(site)
    new = back_up(site)
    running = site.start(
        "run", "backup", "--yes", "--output", "json", fault=Fault(1, of="begin", signal=signal.SIGSTOP)
    )
    wait_until(lambda: running.ended or list((site.site / "backups").glob("*/.partial-*")), "it is begun")
    try:
        assert "is in use" in site("run", "backup", "--yes").expect(6).err
        assert "is in use" in site("backups", "prune", "--set", "count=1", "--yes").expect(6).err
        site("backups", "verify").expect(0)
        assert [entry["backup_id"] for entry in listed(site)][1:] == [new]
    finally:
        running.signal(signal.SIGCONT)
    running.wait().expect(0)
    assert all(entry["verified"] for entry in listed(site))


def test_what_is_removed_while_backups_are_read_is_left_out(site: Aishell, sqlite: SqliteDatabase) -> None:
    old, new = back_up(site), back_up(site)
    with Site.open(site.site, state=site.state) as opened:
        results = _verified(keeper(opened), opened, opened.backup_store.entries())
        assert next(results)["backup_id"] == new
        site("backups", "prune", "--set", "count=1", "--yes").expect(0)
        assert list(results) == []
    assert old not in {event["backup_id"] for event in site.events("backup_verified")}


CLOCK = """
import sys, aishell.backups.create.making as making, aishell.cli.main as main
making.now = lambda: "{}"
sys.argv = ["aishell", *{!r}]
main.main()
"""


def at(site: Aishell, moment: str, *more: str) -> str:
    """Make a backup by a clock that shows another moment; its id."""
    command = site.command("run", "backup", "--yes", "--output", "json", *more)
    ended = subprocess.run(
        [sys.executable, "-c", CLOCK.format(moment, command)],
        capture_output=True, text=True, cwd=site.site, env=site.environment(), check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return str(json.loads(ended.stdout)["output_data"]["backup_id"])


def test_a_clock_that_jumps_back_breaks_no_chain(site: Aishell, sqlite: SqliteDatabase, tmp_path: Path) -> None:
    """An increment that is dated before its parent, and another one on what is the newest by date."""
    full = at(site, "2026-11-20T10:00:00.000000+00:00")
    sqlite.execute("INSERT INTO orders (note) VALUES ('d')")
    early = at(site, "2026-11-20T09:00:00.000000+00:00", "--type", "incremental")
    sqlite.execute("INSERT INTO orders (note) VALUES ('e')")
    last = at(site, "2026-11-20T09:30:00.000000+00:00", "--type", "incremental")
    assert {entry["backup_id"]: entry["parent"] for entry in listed(site)} == {full: None, early: full, last: full}
    site("backups", "verify").expect(0)
    document = site("backups", "prune", "--set", "count=1", "--yes", "--output", "json").expect(0).json
    assert document["removed"] == []
    for number, name in enumerate((full, early, last)):
        place = tmp_path / f"{number}.db"
        site("backups", "restore", name, "--to", str(place), "--yes").expect(0)
        assert SqliteDatabase(place).execute("SELECT count(*) FROM orders") == [(3 + number,)]

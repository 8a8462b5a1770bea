"""Backups that are being removed when aishell is killed: each is there whole or not at all, and what had to stay has stayed."""

from __future__ import annotations

from typing import Any

from tests.faults.killed import Fault
from tests.faults.killing import KILLED, SWEEPS, Sweep, new_site
from tests.fix_aishell import Aishell
from tests.fix_sqlite import SqliteDatabase

#: A commit before the first removal of a clean-up; those before it are those of any backup (tests/backups).
FIRST = 10
RETENTION = "backup_agent:\n  retention: {count: 1}\n"


def a_site(aishell: Aishell, db: SqliteDatabase, name: str) -> tuple[Aishell, list[str]]:
    """With a chain of two that may go, and a newer backup; their ids."""
    site = new_site(aishell, name, db.url)
    site.configure("targets.yaml", f"targets: {{shop: {{url: {db.url!r}, environment: test}}}}")
    site.configure("aishell.yaml", "default_target: shop")
    site.configure("agents/backup.yaml", RETENTION)
    made = [back_up(site), back_up(site, "--type", "incremental"), back_up(site)]
    return site, made


def back_up(site: Aishell, *more: str) -> str:
    ended = site("run", "backup", "--yes", "--output", "json", *more).expect(0)
    return str(ended.json["output_data"]["backup_id"])


def listed(site: Aishell) -> list[dict[str, Any]]:
    return list(site("backups", "list", "--output", "json").expect(0).json)


def assert_whole(site: Aishell, newest: str) -> None:
    """What is listed is in the folder under its name, sound with all it rests on; the newest is there."""
    ids = {entry["backup_id"] for entry in listed(site)}
    folders = {path.name for path in (site.site / "backups").glob("*/*") if not path.name.startswith(".")}
    assert folders == ids
    assert newest in ids
    site("backups", "verify").expect(0)


@SWEEPS
def test_a_prune_that_is_killed(aishell: Aishell, sqlite: SqliteDatabase, sweep: Sweep) -> None:
    """At every commit to the state: the same command finishes it."""
    for fault in sweep.faults(4):
        site, (_, _, newest) = a_site(aishell, sqlite, str(fault))
        ended = site("backups", "prune", "--yes", fault=fault)
        assert_whole(site, newest)
        if ended.code != KILLED:
            assert fault.at > 4, "two backups, and of each an event and its place in the catalog"
            break
        site("backups", "prune", "--yes").expect(0)
        assert [entry["backup_id"] for entry in listed(site)] == [newest]
        assert not list((site.site / "backups").rglob(".trash-*"))
        site("audit", "verify").expect(0)


def test_a_clean_up_at_the_end_of_a_backup_that_is_killed(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    """At every commit to the state from the first removal on: the resumed run finishes it."""
    command = ("run", "backup", "--cleanup-old", "--yes", "--output", "json")
    cut_off: list[int] = []
    for at in range(FIRST, 60):
        site, made = a_site(aishell, sqlite, str(at))
        ended = site(*command, fault=Fault(at))
        if ended.code != KILLED:
            break
        ((run, state),) = site.rows("SELECT id, state FROM runs ORDER BY created_at DESC LIMIT 1")
        left = {entry["backup_id"] for entry in listed(site)}
        if state != "executing" or set(made) <= left:
            continue
        cut_off.append(at)
        new = left - set(made)
        assert len(new) == 1, "nothing goes before the new one is verified"
        (newest,) = new
        assert_whole(site, newest)
        site("runs", "resume", run, "--output", "json").expect(0)
        assert [entry["backup_id"] for entry in listed(site)] == [newest]
        assert not list((site.site / "backups").rglob(".trash-*"))
        site("audit", "verify").expect(0)
    assert len(cut_off) > 2
    assert cut_off[0] > FIRST, "what comes before the first removal is looked at too"

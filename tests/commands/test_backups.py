"""`aishell backups` as its user sees it: listed, checked, restored beside what is there, thinned out, and found again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aishell.state.locks import FileLock
from tests.commands.terminal import Terminal
from tests.faults.killing import Killer, killers
from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase

TARGETS = "targets: {{shop: {{url: 'sqlite:///{}', environment: {}}}}}"


class Quick(Aishell):
    """The command line, each command in a fork of a process that has its modules: importing them takes longer than they do."""

    forks: Killer

    def __call__(self, *arguments: str, **environment: str) -> Ended:
        return super().__call__(*arguments, **environment) if environment else self.forks.run(self, *arguments)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    with killers(Aishell(tmp_path_factory.mktemp("forks") / "home"), 1) as (killer,):
        yield killer


@pytest.fixture
def aishell(tmp_path: Path, forks: Killer) -> Iterator[Quick]:
    made = Quick(tmp_path / "home")
    made.forks = forks
    yield made
    made.close()


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> SqliteDatabase:
    """A configured target with a few rows."""
    aishell.configure("targets.yaml", TARGETS.format(sqlite.path, "test"))
    aishell.configure("aishell.yaml", "default_target: shop")
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    sqlite.execute("INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')")
    return sqlite


def back_up(aishell: Aishell, *more: str) -> str:
    """Make a backup; its id."""
    ended = aishell("run", "backup", "--yes", "--output", "json", *more).expect(0)
    return str(ended.json["output_data"]["backup_id"])


def listed(aishell: Aishell, code: int = 0) -> list[dict[str, Any]]:
    return list(aishell("backups", "list", "--output", "json").expect(code).json)


def folder(aishell: Aishell, backup_id: str) -> Path:
    return next((aishell.site / "backups").rglob(backup_id))


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, note FROM orders ORDER BY id").fetchall()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_without_a_backup_it_says_so_and_makes_no_state(aishell, shop):
    assert "there is no backup in" in aishell("backups", "list").expect(0).out
    assert listed(aishell) == []
    assert aishell("backups", "verify", "--output", "json").expect(0).json == []
    assert not aishell.state.exists()
    assert "did you mean 'shop'" in aishell("backups", "list", "--target", "shpo").expect(2).err
    assert "unknown backup 'x'" in aishell("backups", "show", "x").expect(2).err
    for command in ("pin", "unpin", "verify", "restore"):
        assert "unknown backup 'x'" in aishell("backups", command, "x").expect(2).err


def test_a_list_tells_how_far_each_was_proven(aishell, shop):
    full = back_up(aishell, "--restore-test")
    increment = back_up(aishell, "--type", "incremental")
    one, two = listed(aishell)
    assert (one["backup_id"], one["rung"], one["verified"]) == (full, "restored-and-compared", True)
    assert one["compared_at"] is not None
    assert (two["backup_id"], two["kind"], two["parent"], two["rung"]) == (increment, "incremental", full, "readable")
    assert {"target", "identity", "started_at", "bytes", "path", "problem", "pinned", "copies"} <= set(one)
    out = aishell("backups", "list", "--target", "shop").expect(0).out
    assert "restored and compared" in out
    assert full in out


def test_show_has_where_it_came_from_and_what_hangs_on_it(aishell, shop):
    full, increment = back_up(aishell), back_up(aishell, "--type", "incremental")
    document = aishell("backups", "show", full, "--output", "json").expect(0).json
    assert (document["rests_on"], document["basis_of"]) == ([], [increment])
    assert document["manifest"]["database"] == str(shop.path)
    assert document["manifest"]["compared"] is True
    assert aishell("backups", "show", increment, "--output", "json").json["rests_on"] == [full]
    out = aishell("backups", "show", full[:20]).expect(0).out
    assert "as safe as its disk" in out
    assert increment in out
    (folder(aishell, full) / "manifest.json").write_text("{}")
    assert "was changed or cut off" in aishell("backups", "show", full, "--output", "json").json["problem"]


def test_verify_reads_all_without_the_database(aishell, shop):
    full, increment = back_up(aishell), back_up(aishell, "--type", "incremental")
    shop.path.rename(shop.path.with_name("gone.db"))
    results = aishell("backups", "verify", "--output", "json").expect(0).json
    assert {(result["backup_id"], result["sound"], result["problem"]) for result in results} == {
        (full, True, None),
        (increment, True, None),
    }
    assert [event["backup_id"] for event in aishell.events("backup_verified")] == [increment, full]
    assert f"✓ {full}: readable" in aishell("backups", "verify", full).expect(0).out
    aishell("audit", "verify").expect(0)
    assert not list((aishell.site / "backups").glob(".work-*"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: flip(path / "database.sqlite"), "database.sqlite was changed or is damaged"),
        (lambda path: (path / "database.sqlite").unlink(), "database.sqlite is missing"),
        (lambda path: os.truncate(path / "database.sqlite", 100), "has 100 bytes instead of"),
        (lambda path: os.truncate(path / "database.sqlite", 0), "has 0 bytes instead of"),
        (lambda path: flip(path / "manifest.json"), "was changed or cut off"),
        (lambda path: (path / "manifest.json").unlink(), "cannot be read"),
        (shutil.rmtree, "cannot be read"),
    ],
    ids=["flipped bit", "missing file", "cut off", "emptied", "manifest edited", "manifest gone", "folder gone"],
)
def test_damage_is_named_and_counts_from_then_on(aishell, shop, tmp_path, damage, said):
    good = back_up(aishell)
    full = back_up(aishell)
    increment = back_up(aishell, "--type", "incremental")
    damage(folder(aishell, full))
    ended = aishell("backups", "verify", "--output", "json").expect(1)
    problems = {result["backup_id"]: result["problem"] for result in ended.json}
    assert said in problems[full]
    assert problems[increment] is not None, "what rests on it cannot be restored"
    assert problems[good] is None
    assert f"✗ {full}: " in aishell("backups", "verify", full).expect(1).out
    entries = {entry["backup_id"]: entry["verified"] for entry in listed(aishell, listed_code(said))}
    assert entries == {good: True, full: False, increment: False}
    place = tmp_path / "back.db"
    for name in (full, increment):
        refused = aishell("backups", "restore", name, "--to", str(place), "--yes", "--output", "json").expect(1)
        assert refused.json["status"] == "failure"
        assert refused.json["error"]["message"]
    assert not place.exists()
    aishell("backups", "restore", good, "--to", str(place), "--yes").expect(0)
    assert rows_of(place) == [(1, "a"), (2, "b"), (3, "c")]


def listed_code(said: str) -> int:
    """A list names what is wrong with the folder itself, and ends with 1 then."""
    return 1 if said in ("was changed or cut off", "cannot be read") else 0


def test_what_was_repaired_counts_again(aishell, shop):
    full = back_up(aishell)
    image = folder(aishell, full) / "database.sqlite"
    flip(image)
    aishell("backups", "verify").expect(1)
    assert not listed(aishell)[0]["verified"]
    flip(image)
    aishell("backups", "verify").expect(0)
    assert listed(aishell)[0]["verified"]


def test_policy_may_forbid_to_read_and_to_remove(aishell, shop):
    back_up(aishell)
    back_up(aishell)
    aishell.configure(
        "policy.yaml",
        "rules:\n  - {name: hands off, tool: 'validate_*', decision: deny}\n"
        "  - {name: keep, tool: cleanup_old_backups, decision: deny}\n",
    )
    assert "does not let validate_backup" in aishell("backups", "verify").expect(5).err
    assert "keep" in aishell("backups", "prune", "--set", "count=1", "--yes").expect(5).err
    assert len(listed(aishell)) == 2


def test_restored_beside_what_is_there_and_compared(aishell, shop):
    full = back_up(aishell)
    shop.execute("DELETE FROM orders")
    result = aishell("backups", "restore", full, "--yes", "--output", "json").expect(0).json
    assert (result["agent"], result["output_data"]["compared"]) == ("backup_restore", True)
    place = Path(result["output_data"]["place"])
    assert place.parent == aishell.site / "backups"
    assert str(place) in result["reasoning"]
    assert rows_of(place) == [(1, "a"), (2, "b"), (3, "c")]
    assert shop.execute("SELECT count(*) FROM orders") == [(0,)]
    assert listed(aishell)[0]["backup_id"] == full, "what was restored is no backup"
    aishell("audit", "verify").expect(0)


def test_a_place_is_named_from_where_one_stands(aishell, shop):
    full = back_up(aishell)
    command = ("backups", "restore", full, "--to", "back.db", "--yes", "--output", "json")
    result = aishell.start(*command).wait().expect(0).json
    assert result["output_data"]["place"] == str(aishell.site / "back.db")
    again = aishell.start(*command).wait().expect(1).json
    assert "is there already" in again["error"]["message"]
    itself = aishell("backups", "restore", full, "--to", str(shop.path), "--yes").expect(2)
    assert "is the database itself" in itself.err
    assert rows_of(shop.path) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_dry_run_restores_nothing(aishell, shop):
    full = back_up(aishell)
    preview = (
        aishell("backups", "restore", full, "--to", str(aishell.site / "back.db"), "--dry-run", "--output", "json")
        .expect(0)
        .json
    )
    assert preview["status"] == "preview"
    (step,) = preview["plan"]["steps"]
    assert step["params"]["place"] == str(aishell.site / "back.db")
    assert not (aishell.site / "back.db").exists()
    aishell("backups", "restore", full, "--to", str(aishell.site / "back.db"), "--dry-run").expect(0)


def test_on_production_it_waits_for_an_approval(aishell, shop):
    aishell.configure("targets.yaml", TARGETS.format(shop.path, "production"))
    full = back_up(aishell)
    waiting = (
        aishell("backups", "restore", full, "--to", str(aishell.site / "back.db"), "--output", "json").expect(3).json
    )
    assert waiting["status"] == "waiting_approval"
    assert not (aishell.site / "back.db").exists()
    ((approval,),) = aishell.rows("SELECT id FROM approvals WHERE status = 'pending'")
    assert "back.db" in aishell("approvals", "show", approval, "--output", "json").expect(0).out
    aishell("approvals", "approve", approval, "--reason", "agreed").expect(0)
    aishell.resume(waiting["run_id"]).expect(0)
    assert rows_of(aishell.site / "back.db") == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("how", ["file gone", "file damaged", "target taken out"])
def test_a_lost_database_is_restored_all_the_same(aishell, shop, how):
    full = back_up(aishell)
    if how == "file gone":
        shop.path.unlink()
    elif how == "file damaged":
        shop.path.write_bytes(b"no database at all" * 100)
    else:
        aishell.configure("targets.yaml", "targets: {}")
        aishell.configure("aishell.yaml", "safety_level: moderate")
    command = ("backups", "restore", full, "--to", str(aishell.site / "back.db"))
    assert "--yes" in aishell(*command).expect(2).err
    result = aishell(*command, "--yes", "--output", "json").expect(0).json
    assert (result["status"], result["output_data"]["compared"]) == ("success", True)
    assert rows_of(aishell.site / "back.db") == [(1, "a"), (2, "b"), (3, "c")]
    (event,) = aishell.events("backup_restored")
    assert event["backup_id"] == full
    assert "is there already" in aishell(*command, "--yes").expect(1).err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--point-in-time", "2026-11-21"), "as a whole"),
        (("--tables", "orders"), "as a whole"),
        (("--target", "nobody"), "unknown target 'nobody'"),
        (("--target", "shop", "--url", "sqlite:///x"), "exclude each other"),
        (("--option", "jobs"), "no assignment"),
        (("--option", "jbos=1"), "jbos"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_touched(aishell, shop, options, said):
    full = back_up(aishell)
    before = aishell.rows("SELECT count(*) FROM runs")
    ended = aishell("backups", "restore", full, "--to", str(aishell.site / "back.db"), "--yes", *options).expect(2)
    assert said in ended.err
    assert aishell.rows("SELECT count(*) FROM runs") == before
    assert not (aishell.site / "back.db").exists()


def prune(aishell: Aishell, *more: str, code: int = 0) -> Any:
    ended = aishell("backups", "prune", "--output", "json", *more).expect(code)
    return ended.json


def test_without_a_rule_nothing_may_be_removed(aishell, shop):
    back_up(aishell)
    said = aishell("backups", "prune", "--yes").expect(2).err
    assert "no retention rule is set" in said
    assert "backup.yaml" in said
    assert "did you mean 'count'" in aishell("backups", "prune", "--set", "cuont=1").expect(2).err
    assert "a whole number" in aishell("backups", "prune", "--set", "count=x").expect(2).err
    assert "unknown target" in aishell("backups", "prune", "--set", "count=1", "--target", "crm").expect(2).err


def retention(aishell: Aishell, rules: str) -> None:
    aishell.configure("agents/backup.yaml", f"backup_agent:\n  retention: {rules}\n")


def test_what_goes_and_stays_is_shown_with_the_rule(aishell, shop):
    retention(aishell, "{count: 1}")
    old, full = back_up(aishell), back_up(aishell)
    increment = back_up(aishell, "--type", "incremental")
    out = aishell("backups", "prune", "--dry-run").expect(0).out
    lines = {name: next(line for line in out.splitlines() if name in line) for name in (old, full, increment)}
    assert "no rule keeps it" in lines[old]
    assert "newest verified full; number 1 of the newest 1" in lines[full]
    assert "rests on number 1 of the newest 1" in lines[increment]
    document = prune(aishell, "--dry-run")
    assert (document["dry_run"], document["removed"]) == (True, [])
    assert {row["backup_id"]: row["becomes"] for row in document["backups"]} == {
        old: "goes", full: "stays", increment: "stays",
    }  # fmt: skip
    assert len(listed(aishell)) == 3
    assert "say so with --yes" in aishell("backups", "prune").expect(2).err
    document = prune(aishell, "--yes")
    assert document["removed"] == [old]
    assert document["removed_bytes"] > 0
    assert [entry["backup_id"] for entry in listed(aishell)] == [full, increment]
    (event,) = aishell.events("backup_removed")
    assert event["backup_id"] == old
    assert prune(aishell)["removed"] == [], "nothing to do asks nobody"
    aishell("backups", "verify").expect(0)


def test_a_person_is_asked(aishell, shop):
    back_up(aishell)
    back_up(aishell)
    command = [sys.executable, "-m", "aishell", *aishell.command("backups", "prune", "--set", "count=1")]
    for answer, left in (("n", 2), ("y", 1)):
        with Terminal(command, env=aishell.environment(), cwd=str(aishell.site)) as terminal:
            terminal.until("remove 1 backup(s)?")
            terminal.type(answer)
            assert terminal.end() == 0
        assert len(listed(aishell)) == left


def test_a_review_wants_the_targets_name(aishell, shop):
    back_up(aishell)
    back_up(aishell)
    aishell.configure("policy.yaml", "rules:\n  - {name: careful, tool: cleanup_old_backups, decision: review}\n")
    arguments = ("backups", "prune", "--set", "count=1")
    assert "policy does not let --yes" in aishell(*arguments, "--yes").expect(2).err
    command = [sys.executable, "-m", "aishell", *aishell.command(*arguments)]
    for answer, code, left in (("yes", 5, 2), ("shop", 0, 1)):
        with Terminal(command, env=aishell.environment(), cwd=str(aishell.site)) as terminal:
            terminal.until("type the target's name (shop)")
            terminal.type(answer)
            assert terminal.end() == code
        assert len(listed(aishell)) == left


def test_what_is_pinned_stays_until_it_is_not(aishell, shop):
    old, _ = back_up(aishell), back_up(aishell)
    assert f"pinned: {old}" in aishell("backups", "pin", old).expect(0).out
    document = prune(aishell, "--set", "count=1", "--yes")
    assert document["removed"] == []
    assert document["backups"][1]["reasons"] == ["pinned"]
    aishell("backups", "unpin", old).expect(0)
    assert prune(aishell, "--set", "count=1", "--yes")["removed"] == [old]
    assert [event["pinned"] for event in aishell.events("backup_pinned")] == [True, False]


def test_nothing_goes_after_a_backup_that_failed(aishell, shop):
    """Unless that is said to be no reason: then there may be no room for another one."""
    broken, old, new = back_up(aishell), back_up(aishell), back_up(aishell)
    flip(folder(aishell, broken) / "manifest.json")
    aishell("run", "backup", "--type", "incremental", "--parent", broken, "--yes").expect(1)
    rows = {row["backup_id"]: row for row in prune(aishell, "--set", "count=1", "--yes")["backups"]}
    assert rows[old]["becomes"] == "waits"
    assert rows[old]["reasons"][0].startswith("the last backup failed (run ")
    assert rows[new]["becomes"] == "stays"
    assert len(listed(aishell, 1)) == 3
    assert old in prune(aishell, "--set", "count=1", "--yes", "--despite-failure")["removed"]


def test_bad_backups_push_no_good_one_out(aishell, shop):
    """A week of damaged ones with count: 2; the good ones stay, and once there is a new good one the bad ones go."""
    retention(aishell, "{count: 2}")
    good = [back_up(aishell), back_up(aishell)]
    bad = [back_up(aishell) for _ in range(3)]
    for name in bad:
        flip(folder(aishell, name) / "database.sqlite")
    aishell("backups", "verify").expect(1)
    document = prune(aishell, "--yes")
    assert document["removed"] == []
    new = back_up(aishell, "--cleanup-old")
    assert [entry["backup_id"] for entry in listed(aishell)] == [good[1], new]


def test_a_run_that_uses_the_target_keeps_prune_away(aishell, shop):
    back_up(aishell)
    back_up(aishell)
    lock = FileLock(shop.path.with_name(f".{shop.path.name}.aishell-lock"), "1a2b3c4d")
    try:
        assert "is in use" in aishell("backups", "prune", "--set", "count=1", "--yes").expect(6).err
    finally:
        lock.release()
    assert len(listed(aishell)) == 2


def unfinished(aishell: Aishell, run_id: str) -> Path:
    """The folder of a backup that a run has begun and not finished."""
    path = aishell.site / "backups" / "shop" / f".partial-20261121T031500Z-full-{run_id[:8]}-backup"
    path.mkdir(parents=True)
    (path / "database.sqlite").write_bytes(b"half of it")
    return path


def set_state(aishell: Aishell, state: str) -> None:
    """As if the run had been killed, or given up."""
    with closing(sqlite3.connect(aishell.state)) as connection:
        connection.execute("UPDATE runs SET state = ?", (state,))
        connection.commit()


def test_what_runs_have_left_goes_when_they_are_over(aishell, shop):
    back_up(aishell)
    run = aishell.only_run()
    mine = unfinished(aishell, run)
    alien = unfinished(aishell, "00000000")
    assert f"unfinished: {mine}" in aishell("backups", "list").expect(0).err
    assert all(".partial" not in entry["path"] for entry in listed(aishell))
    arguments = ("--set", "count=1", "--yes")
    set_state(aishell, "executing")
    kept = {row["path"]: row["kept"] for row in prune(aishell, *arguments)["unfinished"]}
    assert f"aishell runs cancel {run[:8]}" in kept[str(mine)]
    assert "this site knows no such run" in kept[str(alien)]
    set_state(aishell, "cancelled")
    assert "say so with --yes" in aishell("backups", "prune", "--set", "count=1").expect(2).err
    gone = {row["path"]: row["removed"] for row in prune(aishell, *arguments)["unfinished"]}
    assert gone == {str(mine): True, str(alien): False}
    assert (mine.exists(), alien.exists()) == (False, True)
    assert [event["path"] for event in aishell.events("unfinished_backup_removed")] == [str(mine)]


def test_a_removal_that_was_cut_off_is_finished(aishell, shop):
    old, new = back_up(aishell), back_up(aishell)
    path = folder(aishell, old)
    path.rename(path.with_name(f".trash-{old}"))
    assert "half removed" in aishell("backups", "list").expect(0).err
    assert [entry["backup_id"] for entry in listed(aishell)] == [new]
    assert prune(aishell, "--set", "count=1", "--yes")["unfinished"][0]["removed"] is True
    assert not list((aishell.site / "backups").rglob(".trash-*"))
    assert aishell.rows("SELECT backup_id FROM backups") == [(new,)]


def test_a_catalog_is_made_again_when_the_state_is_lost(aishell, shop):
    full = back_up(aishell, "--restore-test")
    increment = back_up(aishell, "--type", "incremental")
    aishell("backups", "pin", full).expect(0)
    before = listed(aishell)
    for path in aishell.state.parent.glob("state.db*"):
        path.unlink()
    assert "2 backup(s) in the folder are not in the catalog" in aishell("backups", "list").expect(0).err
    told = aishell("backups", "rebuild-catalog", "--output", "json").expect(0).json
    assert told["added"] == [full, increment]
    after = listed(aishell)
    assert after == before
    back_up(aishell, "--type", "incremental")
    aishell("backups", "verify").expect(0)


def test_what_is_gone_is_forgotten_when_somebody_says_so(aishell, shop):
    gone, stays = back_up(aishell), back_up(aishell)
    shutil.rmtree(folder(aishell, gone))
    assert [entry["problem"] for entry in listed(aishell, 1)] == ["its folder is not there", None]
    said = aishell("backups", "rebuild-catalog").expect(0)
    assert "--yes forgets them" in said.out
    assert len(listed(aishell, 1)) == 2
    assert aishell("backups", "rebuild-catalog", "--yes", "--output", "json").expect(0).json["forgotten"] == [gone]
    assert [entry["backup_id"] for entry in listed(aishell)] == [stays]
    shutil.rmtree(aishell.site / "backups")
    assert "is its disk mounted?" in aishell("backups", "rebuild-catalog", "--yes").expect(1).err
    assert aishell.rows("SELECT count(*) FROM backups") == [(1,)]


def test_a_damaged_manifest_is_named_by_the_list(aishell, shop):
    good, bad = back_up(aishell), back_up(aishell)
    flip(folder(aishell, bad) / "manifest.json")
    said = aishell("backups", "list").expect(1)
    assert f"{bad}: " in said.err
    assert good in said.out
    (damaged,) = aishell("backups", "rebuild-catalog", "--output", "json").expect(1).json["damaged"]
    assert damaged["path"] == str(folder(aishell, bad))


CONSTRAINTS = """maintenance_agent:
  safety_constraints:
    - {type: backup_required, before_operations: [optimize_table], max_age_hours: 24, on_violation: block}
"""


def refused(ended: Ended) -> str:
    return "; ".join(a["reason"] or "" for a in ended.json["actions_taken"] if a["status"] == "rejected")


def test_risky_work_wants_a_verified_backup_of_this_very_database(aishell, bloated_sqlite, tmp_path):
    """None, one of another file, a damaged one, one that is too old: refused. A new one: done, by whatever name it was made."""
    database = bloated_sqlite.make()
    aishell.url = database.url
    aishell.configure("agents/maintenance.yaml", CONSTRAINTS)
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {database.url!r}, environment: test}}}}")

    def maintained() -> str:
        return refused(aishell.maintenance("full"))

    assert "there is no verified backup of this database" in maintained()
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (id integer)")
    back_up(aishell, "--url", f"sqlite:///{other}", "--environment", "test")
    assert "there is no verified backup of this database" in maintained()
    full = back_up(aishell, "--target", "shop")
    image = folder(aishell, full) / "database.sqlite"
    flip(image)
    aishell("backups", "verify", full).expect(1)
    assert "there is no verified backup of this database" in maintained()
    flip(image)
    aishell("backups", "verify", full).expect(0)
    with closing(sqlite3.connect(aishell.state)) as state:
        state.execute("UPDATE backups SET started_at = '2026-01-01T00:00:00.000000+00:00' WHERE backup_id = ?", (full,))
        state.commit()
    assert "hours old, more than 24" in maintained()
    back_up(aishell, "--target", "shop")
    assert maintained() == ""


def test_doctor_tells_the_age_of_the_last_verified_backup(aishell, shop):
    def finding() -> dict[str, Any]:
        found = aishell("doctor", "--output", "json").expect(0).json["findings"]
        return next(one for one in found if one["subject"] == "backup of shop")

    first = finding()
    assert (first["level"], first["text"], first["remedy"]) == (
        "warning",
        "there is none",
        "aishell run backup --target shop",
    )
    assert not aishell.state.exists(), "a check makes no state"
    full = back_up(aishell, "--restore-test")
    second = finding()
    assert second["level"] == "ok"
    assert f"restored and compared: {full}" in second["text"]
    flip(folder(aishell, full) / "database.sqlite")
    aishell("backups", "verify").expect(1)
    assert finding()["text"] == "none is verified, of 1"
    back_up(aishell)
    shutil.copy(shop.path, shop.path.with_name("copy.db"))
    shop.path.with_name("copy.db").rename(shop.path)
    assert "of another server under this name" in finding()["text"]
    aishell.configure("aishell.yaml", "safety_level: moderate")
    assert finding()["level"] == "ok", "a target that was not asked goes by its name"


def test_json_is_one_document_with_every_command(aishell, shop):
    back_up(aishell)
    for command in (("list",), ("verify",), ("show", "2026"), ("prune", "--set", "count=1"), ("rebuild-catalog",)):
        json.loads(aishell("backups", *command, "--output", "json").expect(0).out)

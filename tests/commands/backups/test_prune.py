"""`aishell backups prune`: what goes, what stays, and why."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from aishell.state.locks import FileLock
from tests.commands.backups.made import back_up, flip, folder, listed, prune, retention
from tests.commands.terminal import Terminal
from tests.fix_aishell import Aishell


def test_without_a_rule_nothing_may_be_removed(aishell, shop):
    back_up(aishell)
    said = aishell("backups", "prune", "--yes").expect(2).err
    assert "no retention rule is set" in said
    assert "backup.yaml" in said
    assert "did you mean 'count'" in aishell("backups", "prune", "--set", "cuont=1").expect(2).err
    assert "a whole number" in aishell("backups", "prune", "--set", "count=x").expect(2).err
    assert "unknown target" in aishell("backups", "prune", "--set", "count=1", "--target", "crm").expect(2).err


def test_what_goes_and_stays_is_shown_with_the_rule(aishell, shop):
    retention(aishell, "{count: 1}")
    old, full = back_up(aishell), back_up(aishell)
    increment = back_up(aishell, "--type", "incremental")
    out = aishell("backups", "prune", "--dry-run").expect(0).out
    lines = {name: next(line for line in out.splitlines() if name in line) for name in (old, full, increment)}
    assert "no rule keeps it" in lines[old]
    assert "newest verified full; #1 of the 1 newest" in lines[full]
    assert "needed by #1 of the 1 newest" in lines[increment]
    document = prune(aishell, "--dry-run")
    assert (document["dry_run"], document["removed"]) == (True, [])
    assert {row["backup_id"]: row["becomes"] for row in document["backups"]} == {
        old: "goes", full: "stays", increment: "stays",
    }  # fmt: skip
    assert len(listed(aishell)) == 3
    assert "confirm with --yes" in aishell("backups", "prune").expect(2).err
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
    assert "policy does not accept --yes" in aishell(*arguments, "--yes").expect(2).err
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
    assert f"runs cancel {run[:8]}" in kept[str(mine)]
    assert "its run was pruned or belongs to another site" in kept[str(alien)]
    set_state(aishell, "cancelled")
    assert "confirm with --yes" in aishell("backups", "prune", "--set", "count=1").expect(2).err
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

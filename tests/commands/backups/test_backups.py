"""`aishell backups` as its user sees it: listed, checked, and found again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.commands.backups.made import back_up, flip, folder, listed, rows_of
from tests.fix_aishell import Ended


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
    assert "the backup is lost if its disk is" in out
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


@pytest.mark.sampled(3)
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
    assert "policy requires approval for validate_backup" in aishell("backups", "verify").expect(5).err
    assert "keep" in aishell("backups", "prune", "--set", "count=1", "--yes").expect(5).err
    assert len(listed(aishell)) == 2


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
    assert [entry["problem"] for entry in listed(aishell, 1)] == ["its folder does not exist", None]
    said = aishell("backups", "rebuild-catalog").expect(0)
    assert "--yes forgets them" in said.out
    assert len(listed(aishell, 1)) == 2
    assert aishell("backups", "rebuild-catalog", "--yes", "--output", "json").expect(0).json["forgotten"] == [gone]
    assert [entry["backup_id"] for entry in listed(aishell)] == [stays]
    shutil.rmtree(aishell.site / "backups")
    assert "mount its disk" in aishell("backups", "rebuild-catalog", "--yes").expect(1).err
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
    assert (first["level"], first["text"]) == ("warning", "there is none")
    assert first["remedy"].endswith(" run backup --target shop")
    assert not aishell.state.exists(), "a check makes no state"
    full = back_up(aishell, "--restore-test")
    second = finding()
    assert second["level"] == "ok"
    assert f"restored and compared: {full}" in second["text"]
    flip(folder(aishell, full) / "database.sqlite")
    aishell("backups", "verify").expect(1)
    assert finding()["text"] == "none of 1 is verified"
    back_up(aishell)
    shutil.copy(shop.path, shop.path.with_name("copy.db"))
    shop.path.with_name("copy.db").rename(shop.path)
    assert "of another database under this name" in finding()["text"]
    aishell.configure("aishell.yaml", "safety_level: moderate")
    assert finding()["level"] == "ok", "a target that was not asked goes by its name"


def test_json_is_one_document_with_every_command(aishell, shop):
    back_up(aishell)
    for command in (("list",), ("verify",), ("show", "2026"), ("prune", "--set", "count=1"), ("rebuild-catalog",)):
        json.loads(aishell("backups", *command, "--output", "json").expect(0).out)

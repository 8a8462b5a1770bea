"""`aishell backups restore`: beside what is there, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.backups.made import TARGETS, back_up, listed, rows_of


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
    assert "already exists" in again["error"]["message"]
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
    assert "already exists" in aishell(*command, "--yes").expect(1).err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--point-in-time", "2026-11-21"), "as a whole"),
        (("--tables", "orders"), "as a whole"),
        (("--target", "nobody"), "unknown target 'nobody'"),
        (("--target", "shop", "--url", "sqlite:///x"), "exclude each other"),
        (("--option", "jobs"), "not an assignment"),
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

"""`aishell run maintenance --create-backup`: no step that can hurt without a backup that was read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase

CONSTRAINT = "{type: backup_required, before_operations: [optimize_table], max_age_hours: 24, on_violation: block}"


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> SqliteDatabase:
    """A database of which most is free pages; what rewrites it wants a backup."""
    aishell.configure("agents/maintenance.yaml", f"maintenance_agent:\n  safety_constraints:\n    - {CONSTRAINT}\n")
    aishell.url = sqlite.url
    sqlite.execute("CREATE TABLE log (id integer PRIMARY KEY, message text)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
    sqlite.execute(f"INSERT INTO log {numbers} SELECT i, hex(randomblob(60)) FROM n")
    sqlite.execute("DELETE FROM log WHERE id > 1000")
    return sqlite


def run(aishell: Aishell, *more: str) -> Ended:
    return aishell.maintenance("full", *more)


def free_pages(db: SqliteDatabase) -> int:
    return int(db.execute("PRAGMA freelist_count")[0][0])


def backups(aishell: Aishell) -> list[dict[str, Any]]:
    return list(aishell("backups", "list", "--output", "json").expect(0).json)


def test_made_and_read_before_what_can_hurt_and_once_only(aishell: Aishell, shop: SqliteDatabase) -> None:
    refused = run(aishell)
    assert refused.statuses()["optimize"] == "rejected"
    assert free_pages(shop) > 0
    ended = run(aishell, "--create-backup").expect(0)
    assert ended.statuses()["optimize"] == "done"
    assert free_pages(shop) == 0
    (backup,) = backups(aishell)
    assert backup["verified"]
    assert ended.json["output_data"]["backup_id"] == backup["backup_id"]
    assert backup["backup_id"] in ended.json["reasoning"]
    again = run(aishell, "--create-backup", "--dry-run").expect(0).json
    assert "backup" not in {step["id"] for step in again["plan"]["steps"]}
    assert any(backup["backup_id"] in note for note in again["output_data"]["warnings"])


def test_where_it_fails_only_what_can_do_no_harm_goes_on(aishell: Aishell, shop: SqliteDatabase) -> None:
    (aishell.site / "backups").write_text("no folder")
    ended = run(aishell, "--create-backup").expect(1)
    found = ended.statuses()
    assert (found["backup"], found["optimize"]) == ("failed", "skipped")
    assert found["corruption"] == "done"
    assert free_pages(shop) > 0


def test_as_the_configuration_says(aishell: Aishell, shop: SqliteDatabase) -> None:
    aishell.configure("agents/maintenance.yaml", "maintenance_agent:\n  create_backup: true\n")
    planned = run(aishell, "--dry-run").expect(0).json
    assert [step["id"] for step in planned["plan"]["steps"]][:3] == ["backup_size", "backup", "backup_read"]
    without = run(aishell, "--dry-run", "--no-backup").expect(0).json
    assert without["plan"]["steps"][0]["id"] == "health"

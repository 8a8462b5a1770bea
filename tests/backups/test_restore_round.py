"""`aishell run restore-test` and the workflow `weekly`: each backup has its turn, the longest unproven one first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase
from tests.fix_tools import label


@pytest.fixture(params=("pg_distribution", "mariadb", "sqlite"), ids=label)
def db(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def prove(aishell: Aishell, db: Any) -> Ended:
    return aishell("run", "restore-test", "--url", db.url, "--environment", "test", "--yes", "--output", "json")


def listed(aishell: Aishell) -> dict[str, str]:
    """Backup -> how far it was proven, the oldest first."""
    return {one["backup_id"]: one["rung"] for one in aishell("backups", "list", "--output", "json").expect(0).json}


def test_each_backup_has_its_turn(aishell: Aishell, db: Any) -> None:
    db.execute("CREATE TABLE orders (id integer PRIMARY KEY, note varchar(9))")
    db.execute("INSERT INTO orders VALUES (1, 'one'), (2, 'two')")
    none = prove(aishell, db).expect(1)
    assert [one["tool"] for one in none.json["actions_taken"]] == ["find_unproven_backup", "restore_test"]
    assert none.statuses() == {"choose": "failed", "restore_test": "skipped"}
    assert "there is no backup of" in none.json["reasoning"]
    for _ in range(2):
        aishell("run", "backup", "--url", db.url, "--environment", "test", "--yes").expect(0)
    first, second = listed(aishell)
    proven = [prove(aishell, db).expect(0).json["output_data"] for _ in range(3)]
    assert [one["backup_id"] for one in proven] == [first, second, first]
    assert ["never restored" in one["chosen"] for one in proven] == [True, True, False]
    assert all(one["rung"] == "restored-and-compared" and one["compared"] >= 1 for one in proven)
    assert set(listed(aishell).values()) == {"restored-and-compared"}
    assert db.execute("SELECT count(*) FROM orders")[0][0] == 2
    assert aishell.events("state_changed")[-1]["to"] == "completed"


def test_what_does_not_come_back_fails_and_is_out_of_the_round(aishell: Aishell, sqlite: SqliteDatabase) -> None:
    sqlite.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    for _ in range(2):
        aishell("run", "backup", "--url", sqlite.url, "--environment", "test", "--yes").expect(0)
    first, second = listed(aishell)
    entry = next(one for one in aishell("backups", "list", "--output", "json").json if one["backup_id"] == first)
    manifest = Path(entry["path"]) / "manifest.json"
    largest = max((path for path in Path(entry["path"]).rglob("*") if path != manifest), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    failed = prove(aishell, sqlite).expect(1)
    assert first in failed.json["reasoning"]
    assert prove(aishell, sqlite).expect(0).json["output_data"]["backup_id"] == second


def test_the_shipped_weekly_proves_a_backup_of_each_target(aishell: Aishell, tmp_path: Path) -> None:
    names = ("shop", "crm", "new")
    files = {name: SqliteDatabase(tmp_path / f"{name}.db") for name in names}
    lines = (f"  {name}: {{url: {json.dumps(one.url)}, environment: test}}\n" for name, one in files.items())
    aishell.configure("targets.yaml", "targets:\n" + "".join(lines))
    for name, one in files.items():
        one.execute("CREATE TABLE t (i integer)")
        if name != "new":
            aishell("run", "backup", "--target", name, "--yes").expect(0)
    ended = aishell("run", "workflow", "weekly", "--all", "--yes", "--output", "json").expect(1)
    stages = {(one["stage"], one["target"]): one for one in ended.json["stages"]}
    assert {key: one["exit_code"] for key, one in stages.items()} == {
        **{("restore_test", name): int(name == "new") for name in names},
        **{("maintenance", name): 0 for name in names},
    }
    for name in ("shop", "crm"):
        assert stages["restore_test", name]["output_data"]["rung"] == "restored-and-compared"

"""`aishell archives`, and `run log-cleanup --archive` as its user sees them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests import logs
from tests.fix_tools import ENGINES, label

pytestmark = pytest.mark.versions

ROWS = 2_000


@pytest.fixture(params=ENGINES, ids=label)
def log_db(request):
    db = request.getfixturevalue(request.param)
    logs.fill(db, {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]], ROWS)
    return db


def cleanup(aishell, db, *more, code=0):
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return aishell("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", *more, *fixed).expect(code)


def the_archive(aishell):
    (row,) = aishell("archives", "list", "--output", "json").expect(0).json
    return row


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_archived_deleted_and_put_back(aishell, log_db, kind):
    result = cleanup(aishell, log_db, "--archive", "--archive-format", kind).json
    assert result["status"] == "success"
    assert (result["output_data"]["rows_archived"], result["output_data"]["rows_deleted"]) == (ROWS // 2, ROWS // 2)
    assert logs.left(log_db) == logs.kept(ROWS)
    archive = the_archive(aishell)
    files = [path for path in (aishell.site / "archives").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"manifest.json", "deleted.jsonl"}
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}
    assert (archive["rows"], archive["format"], archive["whole"]) == (ROWS // 2, kind, True)
    assert archive["archive_id"] in result["reasoning"]
    begins = archive["archive_id"][:24]
    assert "✓" in aishell("archives", "verify", begins).expect(0).out
    checked = aishell("archives", "verify").expect(0)
    assert f"✓ {archive['archive_id']}: 1,000 rows, as the database counted them" in checked.out
    load = ("archives", "load", begins, "--url", log_db.url, "--environment", "test")
    assert aishell(*load, "--dry-run", "--output", "json").expect(0).json["status"] == "preview"
    assert logs.left(log_db) == logs.kept(ROWS)
    loaded = aishell(*load, "--yes", "--output", "json").expect(0).json
    assert (loaded["output_data"]["rows_loaded"], loaded["output_data"]["rows_left"]) == (ROWS // 2, 0)
    assert logs.left(log_db) == list(range(1, ROWS + 1))
    again = aishell(*load, "--yes", "--output", "json").expect(0).json
    assert (again["output_data"]["rows_loaded"], again["output_data"]["rows_left"]) == (0, ROWS // 2)
    own = aishell("archives", "load", archive["archive_id"], "--dry-run").expect(0)  # no target named: the one it is of
    assert archive["target"] in own.out


def test_a_damaged_archive_is_told_and_not_loaded(aishell, log_db):
    cleanup(aishell, log_db, "--archive")
    archive = the_archive(aishell)
    (file,) = Path(archive["path"]).glob("rows*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    said = aishell("archives", "verify", archive["archive_id"]).expect(1)
    assert "✗" in said.out
    assert "damaged" in said.out or "does not have" in said.out
    (result,) = aishell("archives", "verify", "--output", "json").expect(1).json
    assert (result["sound"], result["rows"]) == (False, 0)
    load = ("archives", "load", archive["archive_id"], "--url", log_db.url, "--environment", "test", "--yes")
    assert "rows.jsonl.zst" in aishell(*load, "--output", "json").expect(1).json["error"]["message"]
    assert logs.left(log_db) == logs.kept(ROWS)


def test_an_archive_that_is_damaged_before_the_deletion_stops_it(aishell, log_db):
    """Between the two steps: the archive is approved, archived, and then something happens to the file."""
    plan = aishell.site / "plan.json"
    aishell(
        "plan", "log-cleanup", "--table", "app_log", "--retention-days", "90", "--archive",
        "--url", log_db.url, "--environment", "production", "--out", str(plan),
    ).expect(0)  # fmt: skip
    waiting = (
        aishell("apply", str(plan), "--url", log_db.url, "--environment", "production", "--output", "json")
        .expect(3)
        .json
    )
    statuses = {step["step_id"]: step["status"] for step in waiting["actions_taken"]}
    assert statuses["archive_app_log"] == "done"
    archive = the_archive(aishell)
    (file,) = Path(archive["path"]).glob("rows*")
    file.write_bytes(file.read_bytes()[:-3])
    aishell("approvals", "approve", "--all", "--reason", "test")
    resumed = aishell("runs", "resume", waiting["run_id"], "--output", "json")
    assert logs.left(log_db) == list(range(1, ROWS + 1))
    assert resumed.code in (1, 3)


def test_lists_are_readable(aishell, log_db):
    assert "there is no archive" in aishell("archives", "list").expect(0).out
    assert "there is no archive" in aishell("archives", "verify").expect(0).out
    cleanup(aishell, log_db, "--archive", "--archive-to", "2026/logs")
    out = aishell("archives", "list").expect(0).out
    assert "app_log" in out
    assert "1,000" in out
    assert json.loads((Path(the_archive(aishell)["path"]) / "manifest.json").read_text())["rows"] == ROWS // 2


def test_what_is_wrong_is_said_before_anything_is_touched(aishell, log_db):
    outside = cleanup(aishell, log_db, "--archive-to", "../elsewhere", code=2)
    assert "outside" in outside.err
    assert "archives:" in outside.err
    assert "unknown archive 'x'" in aishell("archives", "load", "x", "--url", log_db.url).expect(2).err
    assert "unknown archive 'x'" in aishell("archives", "verify", "x").expect(2).err
    assert "unknown archive ''" in aishell("archives", "verify", "").expect(2).err
    assert "'xml'" in aishell("run", "log-cleanup", "--archive-format", "xml").expect(2).err
    assert logs.left(log_db) == list(range(1, ROWS + 1))
    assert not (aishell.site / "archives").exists()


def test_an_archive_goes_into_another_table_of_the_same_columns(aishell, log_db):
    cleanup(aishell, log_db, "--archive")
    archive = the_archive(aishell)["archive_id"]
    log_db.execute("CREATE TABLE scratch AS SELECT * FROM app_log WHERE 1 = 0")
    load = ("archives", "load", archive, "--url", log_db.url, "--environment", "test", "--yes", "--output", "json")
    assert aishell(*load, "--table", "scratch").expect(0).json["output_data"]["rows_loaded"] == ROWS // 2
    assert [row[0] for row in log_db.execute("SELECT id FROM scratch ORDER BY id")] == list(range(1, ROWS, 2))
    log_db.execute("CREATE TABLE other (id bigint PRIMARY KEY)")
    said = aishell(*load, "--table", "other").expect(2)
    assert "'created_at'" in said.err or "'message'" in said.err
    assert "app_logs" in aishell(*load, "--table", "app_logs").expect(2).err

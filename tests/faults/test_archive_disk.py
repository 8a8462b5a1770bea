"""A disk that is full while rows are archived: the run fails and says so, nothing half-made stays, and nothing was deleted."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from tests.faults.test_backup_disk import small_disk
from tests.fix_aishell import Aishell
from tests.seed import dice

#: Bytes a file may have: more than the state store and its log need (which is cut at 4 MB), less than the archive of 10,000 rows
#: of 2 kB that can be compressed to half at best.
LIMIT = 8_000_000
RANDOM = {"postgresql": "md5(random()::text)", "mysql": "MD5(RAND())", "sqlite": "hex(randomblob(16))"}
FILL = {
    "postgresql": "INSERT INTO app_log SELECT i, now() - interval '100 days', concat({many}) FROM generate_series(1, 10000) AS i",
    "mysql": "INSERT INTO app_log SELECT seq, NOW() - INTERVAL 100 DAY, CONCAT({many}) FROM seq_1_to_10000",
    "sqlite": "INSERT INTO app_log WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
    "SELECT i, datetime('now', '-100 days'), hex(randomblob(960)) FROM n",
}


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_full_disk_stops_the_archive_and_deletes_nothing(
    log_db: tuple[Any, str],
    aishell: Aishell,
    kind: str,
) -> None:
    db, engine = log_db
    typed = {"postgresql": "timestamptz", "mysql": "datetime", "sqlite": "text"}[engine]
    db.execute(f"CREATE TABLE app_log (id integer PRIMARY KEY, created_at {typed} NOT NULL, message text)")
    db.execute(FILL[engine].format(many=", ".join([RANDOM[engine]] * 60)))
    fixed = (
        "--url",
        db.url,
        "--environment",
        "test",
        "--yes",
        "--output",
        "json",
        "--archive",
        "--archive-format",
        kind,
    )
    command = ("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", *fixed)
    ended = aishell.start(*command, within=("prlimit", f"--fsize={LIMIT}")).wait().expect(1)
    statuses = ended.statuses()
    assert statuses["archive_app_log"] == "failed"
    assert statuses["delete_app_log"] == "skipped"
    message = ended.json["error"]["message"]
    assert "cannot be written" in message
    assert "File too large" in message
    assert db.execute("SELECT count(*) FROM app_log")[0][0] == 10_000
    assert "there is no archive" in aishell("archives", "list").expect(0).out
    assert [path for path in (aishell.site / "archives").rglob("*") if path.is_file()] == []
    aishell(*command).expect(0)
    assert db.execute("SELECT count(*) FROM app_log")[0][0] == 0
    aishell("archives", "verify").expect(0)


#: Kilobytes of a disk that is full at different moments: when the state is made, when a step is written down, within a chunk.

SIZES = (150, 220, 300, 400, 500, 700, 1200, 4000)


def test_a_full_disk_under_site_and_archive_is_said_and_later_all_is_well(sqlite: Any, aishell: Aishell) -> None:
    """State, log and archive on one disk. Which it is that cannot be written depends on the moment; that it is said does not."""
    sqlite.execute("CREATE TABLE app_log (id integer PRIMARY KEY, created_at text NOT NULL, message text)")
    sqlite.execute(FILL["sqlite"])
    shutil.rmtree(aishell.site)
    kilobytes = dice("disk").choice(SIZES)
    with small_disk(aishell.site, kilobytes):
        (aishell.config / "agents").mkdir(parents=True)
        aishell.state = aishell.site / "state.db"
        on_it = ("--url", sqlite.url, "--environment", "test", "--yes", "--output", "json")
        command = ("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", "--archive", *on_it)
        ended = aishell(*command)
        assert ended.code in (1, 2), ended
        assert "Traceback" not in ended.err
        assert "cannot be written" in ended.json["error"]["message"]
        assert sqlite.execute("SELECT count(*) FROM app_log")[0][0] == 10_000
        assert [path for path in (aishell.site / "archives").rglob("*") if path.is_file()] == []
        subprocess.run(["mount", "-o", "remount,size=200000k", str(aishell.site)], check=True)
        aishell(*command).expect(0)
        assert sqlite.execute("SELECT count(*) FROM app_log")[0][0] == 0
        aishell("archives", "verify").expect(0)

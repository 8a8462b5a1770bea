"""Sites with a workflow on several targets, and what became of it as another process sees it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fix_aishell import Aishell, Running
from tests.servers import wait_until

#: A backup, then what needs it.
TWO = """
  backup: {agent: backup}
  tidy: {agent: maintenance, needs: [backup], input: {maintenance_type: full, min_index_size: 65536}}
"""


def targets(site: Aishell, urls: Mapping[str, str], environment: str = "test") -> None:
    """Configure these targets."""
    lines = (
        f"  {name}: {{url: {json.dumps(url)}, environment: {environment}, labels: [night]}}\n"
        for name, url in urls.items()
    )
    site.configure("targets.yaml", "targets:\n" + "".join(lines))


def workflow(site: Aishell, stages: str, *top: str, name: str = "night") -> Path:
    return site.configure(f"workflows/{name}.yaml", "\n".join([*top, "stages:"]) + stages)


def worn(path: Path, *, rows: int = 4000) -> Path:
    """A small SQLite database with something to give back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        made.execute("BEGIN")
        made.executemany("INSERT INTO orders (note) VALUES (?)", (("x" * 200,) for _ in range(rows)))
        made.execute("COMMIT")
        made.execute("DELETE FROM orders WHERE id % 10 <> 0")
    return path


def stages(site: Aishell) -> dict[tuple[str, str], tuple[str, int | None]]:
    """(stage, target) -> its status and exit code, of the newest workflow."""
    found = site.rows(
        """SELECT stage, target, status, exit_code FROM workflow_stages WHERE workflow_id =
            (SELECT id FROM workflow_runs ORDER BY created_at DESC LIMIT 1) ORDER BY id"""
    )
    return {(stage, target): (status, code) for stage, target, status, code in found}


def workflow_id(site: Aishell) -> str:
    """The only run of a workflow."""
    ((found,),) = site.rows("SELECT id FROM workflow_runs")
    return str(found)


def until(site: Aishell, running: Running, stage: str, target: str, status: str) -> None:
    """Wait until a stage is that far on a target, while the command runs."""

    def there() -> bool:
        assert not running.ended, running.err.read_text()
        if not site.state.exists() or not site.rows("SELECT 1 FROM sqlite_schema WHERE name = 'workflow_stages'"):
            return False
        return (status,) in site.rows(
            "SELECT status FROM workflow_stages WHERE stage = ? AND target = ?", stage, target
        )

    wait_until(there, f"{stage} on {target} is {status}")


def held(path: Path) -> contextlib.AbstractContextManager[Any]:
    """Nobody else reads or writes a SQLite database."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return contextlib.closing(connection)


def assert_each_stage_once(site: Aishell) -> None:
    """One run for each stage on each target that was begun, of which none ran a finished step again."""
    begun = site.rows("SELECT run_id FROM workflow_stages WHERE attempts > 0 ORDER BY run_id")
    assert site.rows("SELECT id FROM runs ORDER BY id") == begun
    for (run_id,) in begun:
        ended: set[int] = set()
        sql = "SELECT step_index, type FROM events WHERE run_id = ? AND step_index IS NOT NULL ORDER BY id"
        for index, kind in site.rows(sql, run_id):
            assert index not in ended or kind not in ("step_started", "statement_sent", "step_completed"), (
                run_id,
                index,
            )
            if kind == "step_completed":  # what was left out when another failed has its turn after all
                ended.add(index)
    site("audit", "verify").expect(0)

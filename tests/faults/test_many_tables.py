"""Ten thousand tables cost as many queries as ten, and little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.fix_aishell import Aishell
from tests.statement_log import StatementLog

MANY, FEW = 10_000, 10
MOST_MEMORY = 300 << 20  # bytes


def make_tables(db: Any, number: int) -> None:
    """Tables with a row, a key and no statistics; some hundred a transaction, for each holds its locks until the end."""
    for first in range(1, number + 1, 400):
        db.execute(
            f"""DO $$ BEGIN FOR i IN {first}..{min(first + 399, number)} LOOP
                EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', i); EXECUTE format('INSERT INTO t%s VALUES (1)', i);
                END LOOP; END $$"""
        )


def planned(aishell: Aishell, db: Any) -> tuple[int, int, Any]:
    """How many statements a full dry run sent, its largest resident size in bytes, and its document."""
    log = StatementLog(db)
    out = aishell.home / "plan.json"
    arguments = aishell.command(
        "run", "maintenance", "--type", "full", "--url", db.url, "--dry-run", "--output", "json"
    )
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "aishell", *arguments], stdout=file, cwd=aishell.site, env=aishell.environment()
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert log.changing() == []
    return len(log.statements()), usage.ru_maxrss << 10, json.loads(out.read_text())


@pytest.mark.timeout(240)
def test_a_plan_over_ten_thousand_tables_takes_no_more_queries_than_one_over_ten(
    pg_current: Any, aishell: Aishell
) -> None:
    small = pg_current.server.create("ten_tables")
    try:
        make_tables(small, FEW)
        few, _, _ = planned(aishell, small)
    finally:
        small.drop()
    make_tables(pg_current, MANY)
    many, memory, document = planned(aishell, pg_current)
    (statistics,) = (step for step in document["plan"]["steps"] if step["tool"] == "batch_update_statistics")
    assert len(statistics["params"]["tables"]) == MANY
    assert many == few
    assert memory < MOST_MEMORY, f"{memory >> 20} MB"

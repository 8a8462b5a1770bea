"""Ten thousand tables cost as many queries as ten, and little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.fix_aishell import Aishell
from tests.seed import SAMPLED
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


#: The process tells its own peak when it leaves: what wait4() says counts the test process it was forked from.
PROGRAM = """
import atexit, pathlib, re, sys
status = pathlib.Path("/proc/self/status")
peak = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: peak.write_text(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]))
from aishell.cli.main import main
main()
"""


def planned(aishell: Aishell, db: Any) -> tuple[int, int, Any]:
    """How many statements a full dry run sent, the most memory it had, in bytes, and its document."""
    log = StatementLog(db)
    arguments = aishell.command(
        "run", "maintenance", "--type", "full", "--url", db.url, "--dry-run", "--output", "json"
    )
    peak = aishell.home / "peak"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(peak), *arguments],
        capture_output=True,
        cwd=aishell.site,
        env=aishell.environment(),
    )
    assert ended.returncode == 0, ended.stderr
    assert log.changing() == []
    return len(log.statements()), int(peak.read_text()) << 10, json.loads(ended.stdout)


@SAMPLED
def test_a_plan_over_ten_thousand_tables_takes_no_more_queries_than_one_over_ten(
    pg_current: Any, aishell: Aishell, whole: bool
) -> None:
    small = pg_current.server.create("ten_tables")
    try:
        make_tables(small, FEW)
        few, _, _ = planned(aishell, small)
    finally:
        small.drop()
    number = MANY if whole else MANY // 10
    make_tables(pg_current, number)
    many, memory, document = planned(aishell, pg_current)
    (statistics,) = (step for step in document["plan"]["steps"] if step["tool"] == "batch_update_statistics")
    assert len(statistics["params"]["tables"]) == number
    assert many == few
    assert memory < MOST_MEMORY, f"{memory >> 20} MB"

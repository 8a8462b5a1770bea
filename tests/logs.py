"""Log tables to be cleaned up, alike on every engine: old and new rows, and what must be there afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fix_tools import ENGINES, label

#: The rows with odd numbers are 100 days old, so that old and new lie side by side on every page.
_CREATE = {
    "postgresql": "CREATE TABLE app_log (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, message text)",
    "mysql": "CREATE TABLE app_log (id bigint PRIMARY KEY, created_at datetime NOT NULL, message text)",
    "sqlite": "CREATE TABLE app_log (id integer PRIMARY KEY, created_at text NOT NULL, message text)",
}
_FILL = {
    "postgresql": """INSERT INTO app_log SELECT i, now() - (CASE WHEN i % 2 = 1 THEN 100 ELSE 10 END || ' days')::interval
                     + i * interval '1 second', repeat('x', 180) FROM generate_series(1, {rows}) AS i""",
    "mysql": """INSERT INTO app_log SELECT seq, NOW() - INTERVAL IF(seq % 2 = 1, 100, 10) DAY + INTERVAL seq SECOND,
                repeat('x', 180) FROM seq_1_to_{rows}""",
    "sqlite": """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO app_log SELECT i, datetime('now', CASE WHEN i % 2 = 1 THEN '-100 days' ELSE '-10 days' END,
                   i || ' seconds'), printf('%.180c', 'x') FROM n""",
}


def fill(db: Any, engine: str, rows: int, *, indexed: bool = True) -> None:
    """Make `app_log` in a database; the statistics know of its rows."""
    db.execute(_CREATE[engine])
    db.execute(_FILL[engine].format(rows=rows))
    if indexed:
        db.execute("CREATE INDEX app_log_created ON app_log (created_at)")
    db.execute("ANALYZE TABLE app_log" if engine == "mysql" else "ANALYZE app_log")


def left(db: Any) -> list[int]:
    """The ids that are there, as a separate client sees them."""
    return [row[0] for row in db.execute("SELECT id FROM app_log ORDER BY id")]


def kept(rows: int) -> list[int]:
    """The ids that a clean-up of 90 days keeps."""
    return list(range(2, rows + 1, 2))


@pytest.fixture(params=ENGINES, ids=label)
def log_db(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """Each server in turn, and its engine; `fill` makes the log."""
    engine = "postgresql" if request.param.startswith("pg") else "mysql" if request.param == "mariadb" else "sqlite"
    return request.getfixturevalue(request.param), engine

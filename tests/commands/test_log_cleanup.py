"""`aishell run log-cleanup` on tables of every make: the plan finds the way, the rows go, the space comes back."""

from __future__ import annotations

from typing import Any

import pytest

from tests import logs
from tests.fix_aishell import Aishell, Ended
from tests.fix_tools import ENGINES, label

pytestmark = pytest.mark.versions

ROWS = 3000
#: Tables that are not like others: name -> (engine, what stands between the parentheses, what comes after them, tool).
TABLES: dict[str, tuple[str, str, str, str]] = {
    "two columns": ("mariadb", "k varchar(9), id int, at datetime, PRIMARY KEY (k, id)", "", "delete_old_records"),
    "no key": ("mariadb", "k varchar(9), id int, at datetime", "", "delete_old_records_without_key"),
    "enum": (
        "mariadb",
        "k enum('a','b'), id int, at datetime, PRIMARY KEY (k, id)",
        "",
        "delete_old_records_without_key",
    ),
    "timestamp": ("mariadb", "k varchar(9), id int PRIMARY KEY, at timestamp NULL", "", "delete_old_records"),
    "aria": ("mariadb", "k varchar(9), id int PRIMARY KEY, at datetime", " ENGINE = Aria", "delete_old_records"),
    "bare": ("sqlite", "k text, id int, at text, PRIMARY KEY (k, id)", " WITHOUT ROWID", "delete_old_records"),
    "shadowed": ("sqlite", "k text, rowid int, _rowid_ int, id int, at text", "", "delete_old_records"),
    "no_key": ("sqlite", "k text, id int, at text", "", "delete_old_records"),
    "pg_no_key": ("pg_current", "k text, id int, at timestamptz", "", "delete_old_records"),
}
FILL = {
    "mariadb": "SELECT CHAR(97 + seq MOD 2), seq, NOW() - INTERVAL IF(seq MOD 2, 100, 10) DAY FROM seq_1_to_{rows}",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
    "SELECT char(97 + i % 2), i, datetime('now', CASE WHEN i % 2 THEN '-100 days' ELSE '-10 days' END) FROM n",
    "pg_current": "SELECT chr(97 + i % 2), i, now() - make_interval(days => CASE WHEN i % 2 = 1 THEN 100 ELSE 10 END) "
    "FROM generate_series(1, {rows}) AS i",
}


def clean(aishell: Aishell, db: Any, *more: str) -> Ended:
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json", "--retention-days", "90")
    return aishell("run", "log-cleanup", *fixed, *more)


def tools(ended: Ended) -> dict[str, str]:
    return {action["step_id"]: action["tool"] for action in ended.json["actions_taken"]}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_any_make(request: pytest.FixtureRequest, aishell: Aishell, name: str) -> None:
    fixture, columns, tail, tool = TABLES[name]
    db = request.getfixturevalue(fixture)
    table = f"`{name}`" if fixture == "mariadb" else f'"{name}"'
    db.execute(f"CREATE TABLE {table} ({columns}){tail}")
    db.execute(f"INSERT INTO {table} (k, id, at) {FILL[fixture].format(rows=ROWS)}")
    db.execute(f"INSERT INTO {table} (k, id, at) VALUES ('b', 0, NULL)")
    ended = clean(aishell, db, "--set", f"table={name}", "--date-column", "at").expect(0)
    assert tool in tools(ended).values()
    assert ended.json["output_data"]["rows_deleted"] == ROWS // 2
    assert [row[0] for row in db.execute(f"SELECT id FROM {table} ORDER BY id")] == list(range(0, ROWS + 1, 2))


@pytest.mark.parametrize("fixture", ENGINES, ids=label)
def test_few_old_rows_are_found_by_the_index(request: pytest.FixtureRequest, aishell: Aishell, fixture: str) -> None:
    db = request.getfixturevalue(fixture)
    engine = db.url.partition(":")[0]
    logs.fill(db, engine, ROWS)
    db.execute("DELETE FROM app_log WHERE id % 2 = 1")
    date = {
        "postgresql": "now() - interval '91 days'",
        "mysql": "NOW() - INTERVAL 91 DAY",
        "sqlite": "datetime('now', '-91 days')",
    }
    db.execute(f"INSERT INTO app_log VALUES (1, {date[engine]}, 'x'), (3, {date[engine]}, 'x')")
    ended = clean(aishell, db, "--set", "table=app_log").expect(0)
    before_13 = engine == "postgresql" and db.server.major < 13  # the server would sort all old rows for each batch
    assert tools(ended)["delete_app_log"] == ("delete_old_records" if before_13 else "delete_old_records_by_date")
    assert ended.json["output_data"]["rows_deleted"] == 2
    assert logs.left(db) == logs.kept(ROWS)


def test_the_space_of_a_sqlite_file_comes_back(sqlite: Any, aishell: Aishell) -> None:
    logs.fill(sqlite, "sqlite", 20_000, indexed=False)
    sqlite.execute("UPDATE app_log SET created_at = datetime('now', '-10 days') WHERE id > 15000")
    sqlite.execute("UPDATE app_log SET created_at = datetime('now', '-100 days') WHERE id <= 15000")
    before = sqlite.path.stat().st_size
    ended = clean(aishell, sqlite, "--set", "table=app_log", "--shrink").expect(0)
    assert ended.statuses()["shrink_file"] == "done"
    assert sqlite.path.stat().st_size < before / 2
    assert logs.left(sqlite) == list(range(15_001, 20_001))


def test_a_table_that_lost_half_its_rows_is_rewritten_on_mariadb(mariadb: Any, aishell: Aishell) -> None:
    logs.fill(mariadb, "mysql", ROWS)
    ended = clean(aishell, mariadb, "--set", "table=app_log", "--shrink").expect(0)
    assert ended.statuses()["optimize_app_log"] == "done"
    assert tools(ended)["optimize_app_log"] == "optimize_table"


@pytest.mark.parametrize("fixture", FILL)
def test_a_filter_is_compared_with_values_of_the_columns_type(
    request: pytest.FixtureRequest, aishell: Aishell, fixture: str
) -> None:
    """`id>abc` emptied a table: MariaDB takes abc for 0, SQLite has every text behind every number."""
    db = request.getfixturevalue(fixture)
    time = {"mariadb": "datetime", "sqlite": "text", "pg_current": "timestamptz"}[fixture]
    db.execute(f"CREATE TABLE typed (id int PRIMARY KEY, level varchar(9), at {time})")
    db.execute(f"INSERT INTO typed (level, id, at) {FILL[fixture].format(rows=20)}")
    db.execute("UPDATE typed SET level = '0' WHERE id = 3")
    db.execute("UPDATE typed SET level = '007' WHERE id = 5")
    for wrong in ("id>abc", "id=12abc", "id<abc", "id=[1, x]"):
        ended = clean(aishell, db, "--table", "typed", "--where", wrong)
        assert ended.code == 2
        assert "invalid value" in ended.err
    assert db.execute("SELECT count(*) FROM typed") == [(20,)]
    clean(aishell, db, "--table", "typed", "--where", "level=0").expect(0)
    clean(aishell, db, "--table", "typed", "--where", "level=007").expect(0)
    clean(aishell, db, "--table", "typed", "--where", 'id="7"').expect(0)
    assert [row[0] for row in db.execute("SELECT id FROM typed ORDER BY id") if row[0] % 2] == [
        1,
        9,
        11,
        13,
        15,
        17,
        19,
    ]

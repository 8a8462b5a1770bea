"""Retention by the rules of a site, which are for all its databases: what is not there is told, and keeps nothing back."""

from __future__ import annotations

import json

import pytest

from tests.fix_aishell import Aishell, Ended
from tests.fix_sqlite import SqliteDatabase

RULES = """log_cleanup_agent:
  retention:
    - {tables: app_log, retention_days: 90}
    - {tables: app_logs, retention_days: 30}
    - {tables: "nope_*", retention_days: 30}
"""


@pytest.fixture
def shop(aishell: Aishell, sqlite: SqliteDatabase) -> SqliteDatabase:
    """A table with 300 old rows, one with none that a rule is for, and what is configured."""
    sqlite.execute("CREATE TABLE app_log (id integer PRIMARY KEY, logged_at text NOT NULL)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)"
    sqlite.execute(
        f"INSERT INTO app_log {numbers} SELECT i, datetime('now', iif(i <= 300, '-100 days', '-1 days')) FROM n"
    )
    aishell.configure("agents/log_cleanup.yaml", RULES)
    return sqlite


def clean(aishell: Aishell, shop: SqliteDatabase, *more: str) -> Ended:
    return aishell("run", "log-cleanup", "--url", shop.url, "--environment", "test", "--yes", "--output", "json", *more)


def rows(shop: SqliteDatabase) -> int:
    return int(shop.execute("SELECT count(*) FROM app_log")[0][0])


def test_a_rule_that_fits_nothing_here_is_told_and_the_others_run(aishell: Aishell, shop: SqliteDatabase) -> None:
    ended = clean(aishell, shop).expect(0).json
    assert rows(shop) == 100
    told = json.dumps(ended)
    assert "table app_logs does not exist, but a rule of the configuration names it: did you mean 'app_log'?" in told
    assert "table nope_* does not exist" in told


def test_a_table_that_is_named_has_to_be_there(aishell: Aishell, shop: SqliteDatabase) -> None:
    ended = clean(aishell, shop, "--table", "app_logs", "--retention-days", "30").expect(2)
    assert "unknown table 'app_logs'" in ended.err
    assert rows(shop) == 400


def test_no_rule_fits_anything(aishell: Aishell, shop: SqliteDatabase) -> None:
    aishell.configure(
        "agents/log_cleanup.yaml", "log_cleanup_agent: {retention: [{tables: other_log, retention_days: 30}]}\n"
    )
    clean(aishell, shop).expect(0)
    assert rows(shop) == 400


def test_rows_are_archived_where_it_is_said_of_the_run(aishell: Aishell, shop: SqliteDatabase) -> None:
    ended = clean(aishell, shop, "--archive").expect(0).json
    assert ended["output_data"]["rows_archived"] == ended["output_data"]["rows_deleted"] == 300
    assert rows(shop) == 100


@pytest.mark.parametrize("more", [("--retention-days", "30"), ("--where", "id=1")], ids=" ".join)
def test_what_is_for_tables_that_are_named_is_refused_without(
    aishell: Aishell, shop: SqliteDatabase, more: tuple[str, ...]
) -> None:
    assert "without a table" in clean(aishell, shop, *more).expect(2).err
    assert rows(shop) == 400


def test_what_is_left_of_a_cut_off_clean_up_was_not_counted(aishell: Aishell, shop: SqliteDatabase) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n WHERE i < 101000)"
    shop.execute(f"INSERT INTO app_log {numbers} SELECT i, datetime('now', '-100 days') FROM n")
    ended = clean(aishell, shop, "--set", "batch_target_ms=1", "--set", "sleep=1", "--max-duration", "3").expect(4).json
    (table,) = ended["output_data"]["tables"].values()
    assert 0 < table["rows_deleted"] < 100300
    assert table["remaining"] is None
    assert rows(shop) == 400 + 100000 - table["rows_deleted"]

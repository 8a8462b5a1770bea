"""`exclude`: tables that are left alone, whatever else is asked, by option, input and configuration."""

from __future__ import annotations

import json

import pytest

from tests import logs
from tests.fix_tools import ENGINES, label

ROWS = 200


@pytest.fixture(params=ENGINES, ids=label)
def log_db(request):
    """`app_log` as in other tests, and `app_ledger`, which is the same."""
    db = request.getfixturevalue(request.param)
    engine = {"pg": "postgresql", "mariadb": "mysql", "sqlite": "sqlite"}[request.param.split("_")[0]]
    logs.fill(db, engine, ROWS)
    db.execute("CREATE TABLE app_ledger AS SELECT * FROM app_log")
    if engine != "sqlite":
        db.execute("ALTER TABLE app_ledger ADD PRIMARY KEY (id)")
    return db


def run(aishell, agent, db, *more, code=0):
    fixed = ("--url", db.url, "--environment", "test", "--yes", "--output", "json")
    return aishell("run", agent, *more, *fixed).expect(code).json


def named(result: dict) -> str:
    return json.dumps([step["params"] for step in result["plan"]["steps"]])


@pytest.mark.parametrize("way", ["option", "input", "agent", "rule"])
def test_a_clean_up_leaves_what_is_excluded(aishell, log_db, way):
    more: tuple[str, ...] = ("--table", "app_*", "--retention-days", "90")
    if way == "option":
        more += ("--exclude", "app_led*")
    elif way == "input":
        more += ("--set", "exclude=[app_ledger]")
    elif way == "agent":
        aishell.configure("agents/log_cleanup.yaml", "log_cleanup_agent: {exclude: ['*.app_ledger']}\n")
    else:
        more = ()
        rule = "{tables: 'app_*', exclude: [app_ledger], retention_days: 90}"
        aishell.configure("agents/log_cleanup.yaml", f"log_cleanup_agent: {{retention: [{rule}]}}\n")
    result = run(aishell, "log-cleanup", log_db, *more)
    assert result["output_data"]["rows_deleted"] == ROWS // 2
    assert logs.left(log_db) == logs.kept(ROWS)
    assert log_db.execute("SELECT count(*) FROM app_ledger")[0][0] == ROWS


@pytest.mark.parametrize("way", ["option", "agent", "both"])
def test_maintenance_leaves_what_is_excluded(aishell, log_db, way):
    more = ("--type", "full", "--all-tables")
    everything = named(run(aishell, "maintenance", log_db, *more, "--dry-run"))
    assert "app_ledger" in everything
    if way != "option":
        aishell.configure("agents/maintenance.yaml", "maintenance_agent: {exclude: [app_ledger]}\n")
    if way != "agent":
        more += ("--exclude", "app_ledger" if way == "option" else "app_log")
    planned = named(run(aishell, "maintenance", log_db, *more, "--dry-run"))
    assert "app_ledger" not in planned
    assert ("app_log" in planned) == (way != "both")


def test_a_partition_alone_cannot_be_excluded(aishell, pg_current):
    """Its rows would go with those of its table all the same."""
    pg_current.execute("CREATE TABLE log (id int, created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at)")
    for year in (2020, 2021):
        bounds = f"FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        pg_current.execute(f"CREATE TABLE log_{year} PARTITION OF log FOR VALUES {bounds}")
        pg_current.execute(f"INSERT INTO log SELECT 1, '{year}-06-01'")
    fixed = ("log-cleanup", pg_current)
    keep = ("--retention-days", "90")
    refused = run(aishell, *fixed, "--table", "log", *keep, "--exclude", "log_2020", code=2)
    assert "log_2020 is excluded, and public.log, of which it is a partition, is not" in refused["error"]["message"]
    left = run(aishell, *fixed, "--table", "log*", *keep, "--exclude", "log", code=0)
    assert left["actions_taken"] == [] or left["output_data"].get("rows_deleted", 0) == 0
    assert pg_current.execute("SELECT count(*) FROM log")[0][0] == 2


@pytest.mark.parametrize("effect", ["CASCADE", "SET NULL"])
def test_no_row_of_an_excluded_table_goes_or_changes_with_another(aishell, log_db, effect):
    log_db.execute(
        "CREATE TABLE App_Items (id INTEGER PRIMARY KEY, log BIGINT, "
        f"FOREIGN KEY (log) REFERENCES app_log (id) ON DELETE {effect})"
    )
    log_db.execute("CREATE INDEX items_log ON App_Items (log)")
    log_db.execute("INSERT INTO App_Items SELECT id, id FROM app_log")
    before = log_db.execute("SELECT id, log FROM App_Items ORDER BY id")
    words = ("run", "log-cleanup", "--table", "app_log", "--retention-days", "90", "--exclude", "app_items")
    refused = aishell(*words, "--url", log_db.url, "--environment", "test", "--yes").expect(2)
    assert "go or change with those of" in refused.err
    assert log_db.execute("SELECT id, log FROM App_Items ORDER BY id") == before
    assert log_db.execute("SELECT count(*) FROM app_log")[0][0] == ROWS

"""The tools that only look: counting rows, progress, the report."""

from __future__ import annotations

import threading

import pytest

from aishell.models import Step, StepResult, StepStatus
from tests.servers import HANG, wait_until


def test_an_exact_count(engine):
    table = engine.samples.stale()
    output = engine.call("count_table_rows", schema=engine.schema, table=table, exact=True).output
    assert output == {"row_count": 2000, "method": "exact"}


def test_an_estimate_says_that_it_is_one(engine):
    table = engine.samples.table("counted", 2000)
    engine.samples.settle(table)
    output = engine.call("count_table_rows", schema=engine.schema, table=table).output
    assert output["row_count"] == pytest.approx(2000, rel=0.1)
    assert output["method"].startswith(("estimate", "exact"))


def test_a_table_never_analyzed_has_no_estimate(pg_engine):
    table = pg_engine.samples.without_key()  # building an index would count the rows
    output = pg_engine.call("count_table_rows", schema="public", table=table).output
    assert output["row_count"] is None
    assert "none" in output["method"]


def test_partitions_are_counted_together(server_engine):
    partitions = server_engine.samples.partitioned()
    for table in partitions or ["parts"]:
        server_engine.samples.settle(table)
    for exact in (False, True):
        output = server_engine.call("count_table_rows", schema=server_engine.schema, table="parts", exact=exact).output
        assert output["row_count"] == pytest.approx(100, rel=0.1)


def test_rows_of_a_view_are_counted(engine):
    engine.samples.table()
    view = engine.samples.view()
    assert engine.call("count_table_rows", schema=engine.schema, table=view, exact=True).output["row_count"] == 100


def test_a_missing_table_has_no_count(engine):
    result = engine.step("count_table_rows", schema=engine.schema, table="not_there", exact=True)
    assert result.status == "failed"
    assert "not_there" in result.reason


def test_progress_of_an_idle_session_is_nothing(server_engine):
    assert server_engine.call("show_progress", session="1").output == {"progress": []}


def test_progress_of_a_running_rebuild(pg_engine):
    table = pg_engine.samples.table(rows=500, index="worked")
    holder = pg_engine.db.connect(autocommit=False)
    holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    holder.execute(f"SELECT count(*) FROM {table}")
    builder = pg_engine.db.connect()
    thread = threading.Thread(target=builder.execute, args=["REINDEX INDEX CONCURRENTLY worked"])
    thread.start()
    try:
        session = f"{builder.info.backend_pid}@whenever"
        wait_until(lambda: pg_engine.rows("show_progress", session=session), "the build shows")
        (row,) = pg_engine.rows("show_progress", session=session)
        assert row["phase"]
        assert row["done"] is None or row["done"] <= row["total"]
    finally:
        holder.close()
        thread.join(HANG)


def test_the_report_tells_what_was_found_and_done(engine):
    health = engine.call("analyze_database_health").output
    engine.steps = (Step("health", "analyze_database_health"),)
    engine.results = [
        StepResult(0, "health", "analyze_database_health", {}, StepStatus.DONE, output=health, attempts=1),
    ]
    output = engine.call("generate_maintenance_report", tables=[], maintenance_type="quick").output
    assert output["format"] == "markdown"
    assert output["report"].startswith("# Maintenance of test (quick)")
    assert engine.database.product in output["report"]
    for finding in health["findings"]:
        assert finding["finding"] in output["report"]


def test_privileges_of_the_owner_of_everything(server_engine):
    server_engine.samples.table()
    output = server_engine.call("inspect_privileges").output
    assert output["role"]["role_name"].startswith(("postgres", "root"))


def test_privileges_of_a_stranger(server_engine):
    if server_engine.name == "postgresql":
        url = server_engine.db.make_role("stranger")
    else:
        url = server_engine.db.make_user("stranger", grants="SELECT")
    stranger = server_engine.connected(url)
    assert stranger.call("inspect_privileges").output["role"]["role_name"].startswith("stranger")


def test_the_databases_of_a_server_without_its_own(server_engine):
    names = [row["database"] for row in server_engine.call("inspect_databases").output["databases"]]
    assert names == sorted(names, key=str.encode)
    assert str(server_engine.database.credentials.url.database) in names
    assert not {"template0", "template1", "mysql", "sys", "information_schema", "performance_schema"} & {*names}
